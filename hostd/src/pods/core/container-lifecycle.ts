/** The life of one container: runs, ends, waits its back-off, runs again; and what its probes say meanwhile. Pure. */
import { type BackoffConfig, nextBackoffMs } from './backoff.ts';
import { type ProbeKind, type ProbeState, type ProbeTiming, recordResult, startProbe } from './probe-state.ts';

export type RestartPolicy = 'Always' | 'OnFailure' | 'Never';

export interface ContainerConfig {
	readonly name: string;
	readonly probes: Readonly<Partial<Record<ProbeKind, ProbeTiming>>>;
}

export type ContainerPhase =
	| { readonly is: 'waiting'; readonly reason: string }
	| { readonly is: 'running'; readonly startedAtMs: number }
	/** Killed because a probe failed; its end is awaited. */
	| { readonly is: 'stopping'; readonly startedAtMs: number }
	| { readonly is: 'backoff'; readonly restartAtMs: number; readonly exitCode: number; readonly reason: string }
	/** The restart was asked for and is under way. */
	| { readonly is: 'restarting'; readonly exitCode: number; readonly reason: string }
	| { readonly is: 'ended'; readonly exitCode: number; readonly reason: string };

export class ContainerLifecycle {
	readonly config: ContainerConfig;
	readonly #restartPolicy: RestartPolicy;
	readonly #backoff: BackoffConfig;
	#phase: ContainerPhase = { is: 'waiting', reason: 'ContainerCreating' };
	#backoffMs: number | undefined;
	#restarts: number;
	#probes = new Map<ProbeKind, ProbeState>();

	constructor(config: ContainerConfig, restartPolicy: RestartPolicy, backoff: BackoffConfig, restarts: number) {
		this.config = config;
		this.#restartPolicy = restartPolicy;
		this.#backoff = backoff;
		this.#restarts = restarts;
	}

	get phase(): ContainerPhase {
		return this.#phase;
	}

	get restarts(): number {
		return this.#restarts;
	}

	/** Crashed more than once in a row: what Kubernetes calls CrashLoopBackOff. */
	get isCrashLooping(): boolean {
		return (this.#phase.is === 'backoff' || this.#phase.is === 'restarting') && (this.#backoffMs ?? 0) > 0;
	}

	get isReady(): boolean {
		if (this.#phase.is !== 'running') return false;
		if (!this.#hasStartedUp()) return false;
		const readiness = this.#probes.get('readiness');
		return readiness === undefined || readiness.verdict === 'success';
	}

	started(startedAtMs: number): void {
		if (this.#phase.is === 'running' || this.#phase.is === 'stopping') return;
		this.#phase = { is: 'running', startedAtMs };
		this.#probes = new Map();
		for (const kind of ['startup', 'liveness', 'readiness'] as const) {
			const timing = this.config.probes[kind];
			if (timing) this.#probes.set(kind, startProbe(timing, startedAtMs));
		}
	}

	/** Returns nothing; the new phase says whether and when it starts again. `stays`: the pod is going away. */
	exited(exitCode: number, reason: string, nowMs: number, stays: boolean): void {
		if (this.#phase.is === 'backoff' || this.#phase.is === 'ended') return;
		const ranMs = 'startedAtMs' in this.#phase ? nowMs - this.#phase.startedAtMs : 0;
		this.#probes.clear();
		const restarts = this.#restartPolicy === 'Always' || (this.#restartPolicy === 'OnFailure' && exitCode !== 0);
		if (!restarts || stays) {
			this.#phase = { is: 'ended', exitCode, reason };
			return;
		}
		this.#wait(nextBackoffMs(this.#backoffMs, ranMs, this.#backoff), exitCode, reason, nowMs);
	}

	/** Whether the back-off is over; if so the restart counts and is the driver's to perform. */
	takeRestart(nowMs: number): boolean {
		if (this.#phase.is !== 'backoff' || nowMs < this.#phase.restartAtMs) return false;
		this.#restarts++;
		this.#phase = { is: 'restarting', exitCode: this.#phase.exitCode, reason: this.#phase.reason };
		return true;
	}

	restartFailed(nowMs: number): void {
		if (this.#phase.is !== 'restarting') return;
		const { exitCode, reason } = this.#phase;
		this.#wait(nextBackoffMs(this.#backoffMs, 0, this.#backoff), exitCode, reason, nowMs);
	}

	/** Probes that are due now; each is under way until its result comes. */
	takeProbes(nowMs: number): ProbeKind[] {
		const due: ProbeKind[] = [];
		for (const [kind, probe] of this.#activeProbes()) {
			if (probe.dueAtMs === undefined || probe.dueAtMs > nowMs) continue;
			probe.dueAtMs = undefined;
			due.push(kind);
		}
		return due;
	}

	/** Returns true when the result means that the container must be killed. */
	probed(kind: ProbeKind, isSuccess: boolean, nowMs: number): boolean {
		const probe = this.#probes.get(kind);
		// A result of the container's previous life finds a probe that is not under way.
		if (!probe || probe.dueAtMs !== undefined || this.#phase.is !== 'running') return false;
		recordResult(probe, isSuccess, nowMs);
		if (kind === 'readiness' || probe.verdict !== 'failure') return false;
		this.#phase = { is: 'stopping', startedAtMs: this.#phase.startedAtMs };
		return true;
	}

	nextDeadlineMs(): number | undefined {
		if (this.#phase.is === 'backoff') return this.#phase.restartAtMs;
		let next: number | undefined;
		for (const [, { dueAtMs }] of this.#activeProbes()) {
			if (dueAtMs !== undefined && (next === undefined || dueAtMs < next)) next = dueAtMs;
		}
		return next;
	}

	#wait(backoffMs: number, exitCode: number, reason: string, nowMs: number): void {
		this.#backoffMs = backoffMs;
		this.#phase = { is: 'backoff', restartAtMs: nowMs + backoffMs, exitCode, reason };
	}

	#hasStartedUp(): boolean {
		const startup = this.#probes.get('startup');
		return startup === undefined || startup.verdict === 'success';
	}

	/** The other probes wait for the startup probe, which rests after its success. */
	#activeProbes(): [ProbeKind, ProbeState][] {
		if (this.#phase.is !== 'running') return [];
		const hasStartedUp = this.#hasStartedUp();
		return [...this.#probes].filter(([kind]) => (kind === 'startup') !== hasStartedUp);
	}
}
