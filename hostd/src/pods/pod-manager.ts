/**
 * The pods of this host: started, kept alive under their restart policy, probed, reported, removed. It knows pods, not
 * workloads: which pod belongs where, and whether it is still wanted, is decided elsewhere.
 */

import { join } from 'node:path';
import { isMeshError, MeshError } from '@beemesh/sdk/errors';
import { type Logger, silentLogger } from '@beemesh/sdk/telemetry';
import type { ContainerStatus, PodStart, PublishedPort, Runtime, RuntimePod } from '../runtime/index.ts';
import { type Clock, systemClock } from './clock.ts';
import type { PodPhase } from './core/lifecycle.ts';
import { PodDriver } from './pod-driver.ts';
import { PLAN_LABEL, type PodPlan, planPod, readPlan } from './pod-plan.ts';
import { RestartCounts } from './restart-counts.ts';

/** One pod as this host sees it. */
export interface PodReport {
	readonly podId: string;
	/** The labels it was deployed with. */
	readonly labels: Readonly<Record<string, string>>;
	readonly phase: PodPhase;
	/** `ImagePull`, `ContainerCreating`, `CrashLoopBackOff`, `OOMKilled`, `Error`, …; empty when all is well. */
	readonly reason: string;
	/** All containers run and their readiness probes succeed. */
	readonly isReady: boolean;
	/** Restarts in place, over all containers. */
	readonly restarts: number;
	readonly createdAtMs: number;
	readonly startedAtMs: number | undefined;
	readonly ports: readonly PublishedPort[];
	readonly addresses: readonly string[];
	readonly containers: readonly ContainerStatus[];
}

export type PodEvent =
	| { readonly type: 'changed'; readonly pod: PodReport }
	| { readonly type: 'removed'; readonly podId: string };

export interface PodManagerComponents {
	readonly runtime: Runtime;
	/** Folder for the restart counts. */
	readonly stateDir: string;
	/** @default silent */
	readonly logger?: Logger;
	/** @default the system's clock */
	readonly clock?: Clock;
}

export interface PodManager {
	/**
	 * Fetches missing images and starts the pod. Rejects with the runtime's error, and then nothing is left of the pod;
	 * with `cancelled` when it was removed meanwhile; with `conflict` when the pod exists.
	 */
	deploy(spec: PodStart): Promise<PodReport>;
	/** Stops it (SIGTERM, then SIGKILL after the grace) and removes it. Idempotent. Named volumes stay. */
	remove(podId: string, options?: { readonly graceMs?: number }): Promise<void>;
	get(podId: string): PodReport | undefined;
	list(): readonly PodReport[];
	/** Restarts in place: the incarnation that a pod's socket tells. */
	restarts(podId: string): number;
	events(listener: (event: PodEvent) => void): Disposable;
	/** Takes over the pods that an earlier hostd left running. Call once, before the first `deploy`. */
	adopt(): Promise<readonly PodReport[]>;
	/** Lets go of the pods, or removes them with their own grace. */
	close(options?: { readonly stopPods?: boolean }): Promise<void>;
}

interface Entry {
	readonly podId: string;
	readonly labels: Readonly<Record<string, string>>;
	readonly plan: PodPlan;
	readonly driver: PodDriver;
	readonly ports: readonly PublishedPort[];
	/** Aborted by a removal: ends a pull that is under way. */
	readonly abort: AbortController;
	/** Why it has no containers yet; empty once it was made. */
	creating: string;
	/** Settles when the runtime has made the pod, or not. */
	made: Promise<unknown>;
	removal: Promise<void> | undefined;
}

export function createPodManager(components: PodManagerComponents): PodManager {
	return new Manager(components);
}

class Manager implements PodManager {
	readonly #runtime: Runtime;
	readonly #clock: Clock;
	readonly #log: Logger;
	readonly #counts: RestartCounts;
	readonly #pods = new Map<string, Entry>();
	readonly #listeners = new Set<(event: PodEvent) => void>();
	readonly #subscription: Disposable;

	constructor({ runtime, stateDir, logger, clock }: PodManagerComponents) {
		this.#runtime = runtime;
		this.#clock = clock ?? systemClock;
		this.#log = logger ?? silentLogger;
		this.#counts = new RestartCounts(join(stateDir, 'restarts.json'), this.#log);
		this.#subscription = runtime.events((event) => this.#pods.get(event.podId)?.driver.handle(event));
	}

	async deploy(spec: PodStart): Promise<PodReport> {
		const { podId } = spec;
		if (this.#pods.has(podId)) throw new MeshError('conflict', `pod ${podId} exists already on this host`);
		const plan = planPod(spec, this.#clock.now());
		const pod = this.#manage(podId, spec.labels, spec.ports, plan, 'ImagePull');
		const made = this.#make(pod, spec);
		pod.made = made.catch(() => undefined);
		try {
			await made;
		} catch (error) {
			this.#forget(pod);
			throw pod.abort.signal.aborted && !isMeshError(error, 'cancelled')
				? new MeshError('cancelled', `pod ${podId} was removed while it was started`, { cause: error })
				: error;
		}
		this.#log.info('pod started', { podId, images: spec.pod.spec.containers.map(({ image }) => image) });
		return this.#report(pod);
	}

	remove(podId: string, options: { readonly graceMs?: number } = {}): Promise<void> {
		const pod = this.#pods.get(podId);
		if (!pod) return this.#runtime.remove(podId);
		pod.removal ??= this.#remove(pod, options.graceMs ?? pod.plan.graceMs).finally(() => {
			pod.removal = undefined;
		});
		return pod.removal;
	}

	get(podId: string): PodReport | undefined {
		const pod = this.#pods.get(podId);
		return pod && this.#report(pod);
	}

	list(): readonly PodReport[] {
		return [...this.#pods.values()].map((pod) => this.#report(pod));
	}

	restarts(podId: string): number {
		return this.#pods.get(podId)?.driver.status().restarts ?? 0;
	}

	events(listener: (event: PodEvent) => void): Disposable {
		const own = (event: PodEvent) => listener(event);
		this.#listeners.add(own);
		return { [Symbol.dispose]: () => void this.#listeners.delete(own) };
	}

	async adopt(): Promise<readonly PodReport[]> {
		const found = await this.#runtime.list();
		this.#counts.keepOnly(new Set(found.map(({ podId }) => podId)));
		const adopted: PodReport[] = [];
		for (const pod of found) {
			if (this.#pods.has(pod.podId)) continue;
			const plan = readPlan(pod.labels);
			if (!plan) {
				this.#log.warn('a pod without a plan is left alone; remove it by hand', { podId: pod.podId });
				continue;
			}
			const { [PLAN_LABEL]: _plan, ...labels } = pod.labels;
			const managed = this.#manage(pod.podId, labels, pod.ports, plan, '');
			managed.driver.adopt(pod);
			adopted.push(this.#report(managed));
		}
		if (adopted.length > 0) this.#log.info('pods adopted', { podIds: adopted.map(({ podId }) => podId) });
		return adopted;
	}

	async close(options: { readonly stopPods?: boolean } = {}): Promise<void> {
		if (options.stopPods) await Promise.all([...this.#pods.keys()].map((podId) => this.remove(podId)));
		this.#subscription[Symbol.dispose]();
		for (const pod of this.#pods.values()) {
			pod.abort.abort();
			pod.driver.close();
		}
		this.#pods.clear();
		this.#listeners.clear();
	}

	async #make(pod: Entry, spec: PodStart): Promise<void> {
		const { signal } = pod.abort;
		for (const [index, { image, imagePullPolicy, command }] of spec.pod.spec.containers.entries()) {
			await this.#fetchImage(image, imagePullPolicy, command, `spec.containers[${index}]`, signal);
		}
		pod.creating = 'ContainerCreating';
		this.#emit({ type: 'changed', pod: this.#report(pod) });
		signal.throwIfAborted();
		await this.#runtime.start({ ...spec, labels: { ...spec.labels, [PLAN_LABEL]: JSON.stringify(pod.plan) } });
		pod.creating = '';
		await pod.driver.refresh();
	}

	/** The default is `IfNotPresent` whatever the tag: a host that healed at midnight must run what the others run. */
	async #fetchImage(
		image: string,
		policy: 'Always' | 'IfNotPresent' | 'Never' | undefined,
		command: readonly string[] | undefined,
		field: string,
		signal: AbortSignal,
	): Promise<void> {
		// Without images a command of its own is all that a container needs.
		if (!this.#runtime.capabilities.images && command?.[0]?.startsWith('/')) return;
		const isPresent = await this.#runtime.hasImage(image);
		if (policy === 'Never' && !isPresent) {
			throw new MeshError('not_found', `${field}.image: '${image}' is not on this host, and is never to be pulled`);
		}
		signal.throwIfAborted();
		if (policy === 'Always' || !isPresent) await this.#runtime.pullImage(image, { signal });
	}

	#manage(
		podId: string,
		labels: Readonly<Record<string, string>>,
		ports: readonly PublishedPort[],
		plan: PodPlan,
		creating: string,
	): Entry {
		const log = this.#log.with({ podId });
		const driver = new PodDriver(
			{ runtime: this.#runtime, clock: this.#clock, log },
			{
				podId,
				plan,
				restarts: this.#counts.get(podId),
				onChange: () => this.#emit({ type: 'changed', pod: this.#report(pod) }),
				onRestart: (counts) => this.#counts.set(podId, counts),
				onLost: () => {
					if (!pod.removal) log.warn('the pod is gone from the runtime');
					this.#forget(pod);
				},
			},
		);
		const pod: Entry = {
			podId,
			labels,
			plan,
			driver,
			ports,
			abort: new AbortController(),
			creating,
			made: Promise.resolve(),
			removal: undefined,
		};
		this.#pods.set(podId, pod);
		return pod;
	}

	async #remove(pod: Entry, graceMs: number): Promise<void> {
		pod.driver.stopping();
		pod.abort.abort();
		await pod.made;
		await this.#runtime.stop(pod.podId, graceMs);
		await this.#runtime.remove(pod.podId);
		this.#forget(pod);
	}

	#forget(pod: Entry): void {
		if (this.#pods.get(pod.podId) !== pod) return;
		pod.driver.close();
		this.#pods.delete(pod.podId);
		this.#counts.delete(pod.podId);
		this.#log.info('pod removed', { podId: pod.podId });
		this.#emit({ type: 'removed', podId: pod.podId });
	}

	#report(pod: Entry): PodReport {
		const status = pod.driver.status();
		const seen: RuntimePod | undefined = pod.driver.seen;
		return {
			podId: pod.podId,
			labels: pod.labels,
			phase: status.phase,
			reason: status.phase === 'Pending' ? pod.creating || status.reason : status.reason,
			isReady: status.isReady,
			restarts: status.restarts,
			createdAtMs: pod.plan.createdAtMs,
			startedAtMs: status.startedAtMs,
			ports: seen?.ports ?? pod.ports,
			addresses: seen?.addresses ?? [],
			containers: seen?.containers ?? [],
		};
	}

	#emit(event: PodEvent): void {
		for (const listener of [...this.#listeners]) {
			try {
				listener(event);
			} catch (error) {
				this.#log.error('a listener of pod events failed', { error });
			}
		}
	}
}
