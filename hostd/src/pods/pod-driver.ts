/** Drives one pod: feeds its lifecycle core with what the runtime reports, and performs what the core decides. */
import { isMeshError } from '@beemesh/sdk/errors';
import type { Logger } from '@beemesh/sdk/telemetry';
import { lastLines, type Runtime, type RuntimeEvent, type RuntimePod } from '../runtime/index.ts';
import type { Clock } from './clock.ts';
import { type LifecycleEffect, type LifecycleEvent, type LifecycleStatus, PodLifecycle } from './core/lifecycle.ts';
import type { ProbeKind } from './core/probe-state.ts';
import type { PodPlan } from './pod-plan.ts';
import { performProbe } from './probe.ts';

export interface PodDriverComponents {
	readonly runtime: Runtime;
	readonly clock: Clock;
	readonly log: Logger;
}

export interface PodDriverOptions {
	readonly podId: string;
	readonly plan: PodPlan;
	/** Restart counts from before. */
	readonly restarts: Readonly<Record<string, number>>;
	readonly onChange: () => void;
	readonly onRestart: (counts: Readonly<Record<string, number>>) => void;
	/** The runtime no longer has this pod, although nobody here removed it. */
	readonly onLost: () => void;
}

export class PodDriver {
	readonly #components: PodDriverComponents;
	readonly #options: PodDriverOptions;
	readonly #lifecycle: PodLifecycle;
	#timer: Disposable | undefined;
	#seen: RuntimePod | undefined;
	#shown = '';
	#isClosed = false;

	constructor(components: PodDriverComponents, options: PodDriverOptions) {
		this.#components = components;
		this.#options = options;
		const containers = options.plan.containers.map(({ name, probes }) => {
			const timings = Object.entries(probes).map(([kind, probe]) => [kind, probe.timing] as const);
			return { name, probes: Object.fromEntries(timings) };
		});
		this.#lifecycle = new PodLifecycle({ restartPolicy: options.plan.restartPolicy, containers }, options.restarts);
	}

	/** The pod as the runtime last showed it; undefined before it was made. */
	get seen(): RuntimePod | undefined {
		return this.#seen;
	}

	status(): LifecycleStatus {
		return this.#lifecycle.status();
	}

	/** Takes over a pod that runs already. */
	adopt(pod: RuntimePod): void {
		this.#seen = pod;
		for (const { name, state } of pod.containers) {
			if (state.state === 'running')
				this.#dispatch({ type: 'started', container: name, startedAtMs: state.startedAtMs });
			else {
				const { exitCode, reason } = state.state === 'exited' ? state : { exitCode: 255, reason: 'Unknown' };
				this.#dispatch({ type: 'exited', container: name, exitCode, reason });
			}
		}
	}

	/** What the runtime reports about this pod. */
	handle(event: RuntimeEvent): void {
		if (event.type === 'removed') {
			this.#options.onLost();
			return;
		}
		const container = event.container ?? '';
		if (event.type === 'started') {
			this.#dispatch({ type: 'started', container, startedAtMs: this.#components.clock.now() });
		} else {
			const exitCode = event.exitCode ?? 255;
			const reason = event.reason ?? 'Unknown';
			void this.#logExit(container, exitCode, reason);
			this.#dispatch({ type: 'exited', container, exitCode, reason });
		}
		void this.refresh();
	}

	/** Looks at the runtime again, for process ids, addresses and exit codes in reports. */
	async refresh(): Promise<void> {
		try {
			this.#seen = (await this.#components.runtime.inspect(this.#options.podId)) ?? this.#seen;
			this.#changed();
		} catch (error) {
			this.#components.log.warn('the runtime does not answer', { error });
		}
	}

	/** From here on nothing is restarted or probed. */
	stopping(): void {
		this.#dispatch({ type: 'stopping' });
	}

	close(): void {
		this.#isClosed = true;
		this.#timer?.[Symbol.dispose]();
	}

	#dispatch(event: LifecycleEvent): void {
		if (this.#isClosed) return;
		for (const effect of this.#lifecycle.step(event, this.#components.clock.now())) this.#perform(effect);
		this.#arm();
		this.#changed();
	}

	#perform(effect: LifecycleEffect): void {
		switch (effect.type) {
			case 'probe':
				void this.#probe(effect.container, effect.probe, effect.timeoutMs);
				break;
			case 'kill':
				void this.#kill(effect.container, effect.probe);
				break;
			case 'restart':
				void this.#restart(effect.containers);
				break;
		}
	}

	async #logExit(container: string, exitCode: number, reason: string): Promise<void> {
		const { runtime, log } = this.#components;
		if (exitCode === 0) log.info('container exited', { container, exitCode, reason });
		else {
			const lines = await lastLines(runtime, this.#options.podId, { container });
			log.warn('container exited', { container, exitCode, reason, lastLines: lines });
		}
	}

	async #probe(container: string, probe: ProbeKind, timeoutMs: number): Promise<void> {
		const plan = this.#options.plan.containers.find(({ name }) => name === container)?.probes[probe];
		if (!plan) return;
		const { runtime } = this.#components;
		const target = { runtime, podId: this.#options.podId, container, address: this.#seen?.addresses[0] };
		const isSuccess = await performProbe(plan.action, target, timeoutMs);
		this.#dispatch({ type: 'probed', container, probe, isSuccess });
	}

	async #kill(container: string, probe: ProbeKind): Promise<void> {
		const { runtime, log } = this.#components;
		log.warn('container is unhealthy and is restarted', { container, probe });
		try {
			await runtime.stop(this.#options.podId, this.#options.plan.graceMs, [container]);
		} catch (error) {
			log.error('cannot stop an unhealthy container', { container, error });
		}
	}

	async #restart(containers: readonly string[]): Promise<void> {
		const { runtime, log } = this.#components;
		const { podId } = this.#options;
		// Before the start: the container may ask for its incarnation at once.
		this.#options.onRestart(this.#lifecycle.restarts());
		try {
			await runtime.restart(podId, containers);
		} catch (error) {
			log.warn('cannot start containers again', { containers, error });
			if (isMeshError(error, 'not_found')) this.#options.onLost();
			else this.#dispatch({ type: 'restartFailed', containers });
		}
	}

	#arm(): void {
		this.#timer?.[Symbol.dispose]();
		const deadlineMs = this.#lifecycle.nextDeadlineMs();
		if (deadlineMs === undefined) return;
		const { clock } = this.#components;
		this.#timer = clock.after(Math.max(0, deadlineMs - clock.now()), () => this.#dispatch({ type: 'tick' }));
	}

	#changed(): void {
		if (this.#isClosed) return;
		const now = JSON.stringify([this.status(), this.#seen]);
		if (now === this.#shown) return;
		this.#shown = now;
		this.#options.onChange();
	}
}
