/**
 * The life of one pod on its host, as a quiet core: events in, effects out. Kubernetes' rules for restart policy,
 * back-off, probes and phases; per container, as there.
 *
 * Order of effects: `kill` before `restart`; a probe is never asked for a container that does not run.
 */
import { BACKOFF, type BackoffConfig } from './backoff.ts';
import { type ContainerConfig, ContainerLifecycle, type RestartPolicy } from './container-lifecycle.ts';
import type { ProbeKind } from './probe-state.ts';

export interface LifecycleConfig {
	readonly restartPolicy: RestartPolicy;
	readonly containers: readonly ContainerConfig[];
	readonly backoff?: BackoffConfig;
}

export type LifecycleEvent =
	| { readonly type: 'started'; readonly container: string; readonly startedAtMs: number }
	| { readonly type: 'exited'; readonly container: string; readonly exitCode: number; readonly reason: string }
	| { readonly type: 'restartFailed'; readonly containers: readonly string[] }
	| { readonly type: 'probed'; readonly container: string; readonly probe: ProbeKind; readonly isSuccess: boolean }
	/** The pod is being removed: nothing is restarted or probed any more. */
	| { readonly type: 'stopping' }
	| { readonly type: 'tick' };

export type LifecycleEffect =
	| { readonly type: 'kill'; readonly container: string; readonly probe: ProbeKind }
	| { readonly type: 'restart'; readonly containers: readonly string[] }
	| { readonly type: 'probe'; readonly container: string; readonly probe: ProbeKind; readonly timeoutMs: number };

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Terminating';

export interface LifecycleStatus {
	readonly phase: PodPhase;
	/** `CrashLoopBackOff`, `OOMKilled`, `Error`, …; empty when all is well. */
	readonly reason: string;
	readonly isReady: boolean;
	readonly restarts: number;
	/** When the container that started last was started; undefined when none runs. */
	readonly startedAtMs: number | undefined;
}

export class PodLifecycle {
	readonly #containers: ReadonlyMap<string, ContainerLifecycle>;
	#isStopping = false;

	/** `restarts`: counts from before hostd was restarted. */
	constructor(config: LifecycleConfig, restarts: Readonly<Record<string, number>> = {}) {
		this.#containers = new Map(
			config.containers.map((container) => [
				container.name,
				new ContainerLifecycle(
					container,
					config.restartPolicy,
					config.backoff ?? BACKOFF,
					restarts[container.name] ?? 0,
				),
			]),
		);
	}

	step(event: LifecycleEvent, nowMs: number): readonly LifecycleEffect[] {
		const effects: LifecycleEffect[] = [];
		switch (event.type) {
			case 'started':
				this.#containers.get(event.container)?.started(event.startedAtMs);
				break;
			case 'exited':
				this.#containers.get(event.container)?.exited(event.exitCode, event.reason, nowMs, this.#isStopping);
				break;
			case 'restartFailed':
				for (const name of event.containers) this.#containers.get(name)?.restartFailed(nowMs);
				break;
			case 'probed':
				if (this.#containers.get(event.container)?.probed(event.probe, event.isSuccess, nowMs)) {
					effects.push({ type: 'kill', container: event.container, probe: event.probe });
				}
				break;
			case 'stopping':
				this.#isStopping = true;
				break;
			case 'tick':
				break;
		}
		if (!this.#isStopping) this.#due(nowMs, effects);
		return effects;
	}

	nextDeadlineMs(): number | undefined {
		if (this.#isStopping) return undefined;
		let next: number | undefined;
		for (const container of this.#containers.values()) {
			const deadlineMs = container.nextDeadlineMs();
			if (deadlineMs !== undefined && (next === undefined || deadlineMs < next)) next = deadlineMs;
		}
		return next;
	}

	/** Restarts of each container, for keeping. */
	restarts(): Readonly<Record<string, number>> {
		return Object.fromEntries([...this.#containers].map(([name, { restarts }]) => [name, restarts]));
	}

	status(): LifecycleStatus {
		const containers = [...this.#containers.values()];
		const startedAtMs = containers
			.map(({ phase }) => ('startedAtMs' in phase ? phase.startedAtMs : undefined))
			.filter((each) => each !== undefined)
			.sort((a, b) => b - a)[0];
		return {
			phase: this.#isStopping ? 'Terminating' : phaseOf(containers),
			reason: reasonOf(containers),
			isReady: !this.#isStopping && containers.length > 0 && containers.every(({ isReady }) => isReady),
			restarts: containers.reduce((sum, { restarts }) => sum + restarts, 0),
			startedAtMs,
		};
	}

	#due(nowMs: number, effects: LifecycleEffect[]): void {
		const restarting: string[] = [];
		for (const [name, container] of this.#containers) {
			if (container.takeRestart(nowMs)) restarting.push(name);
			for (const probe of container.takeProbes(nowMs)) {
				const timeoutMs = container.config.probes[probe]?.timeoutMs ?? 1000;
				effects.push({ type: 'probe', container: name, probe, timeoutMs });
			}
		}
		if (restarting.length > 0) effects.push({ type: 'restart', containers: restarting });
	}
}

function phaseOf(containers: readonly ContainerLifecycle[]): PodPhase {
	if (containers.some(({ phase }) => phase.is === 'waiting')) return 'Pending';
	if (!containers.every(({ phase }) => phase.is === 'ended')) return 'Running';
	return containers.every(({ phase }) => phase.is === 'ended' && phase.exitCode === 0) ? 'Succeeded' : 'Failed';
}

function reasonOf(containers: readonly ContainerLifecycle[]): string {
	if (containers.some(({ isCrashLooping }) => isCrashLooping)) return 'CrashLoopBackOff';
	for (const { phase } of containers) if ('reason' in phase && phase.reason !== 'Completed') return phase.reason;
	for (const { phase } of containers) if (phase.is === 'stopping') return 'Unhealthy';
	return '';
}
