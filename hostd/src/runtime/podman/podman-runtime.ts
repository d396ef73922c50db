/**
 * Runs pods on Podman: `kube play` of single plain pods on the libpod API, the Docker-compatible API for everything
 * about one container. Restarting is hostd's: Podman gets `restartPolicy: Never`.
 */
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMeshError, MeshError } from '@beemesh/sdk/errors';
import Docker from 'dockerode';
import { HostPolicy } from '../../policy/index.ts';
import { checkPodId, checkVolumeName, pickContainer } from '../container.ts';
import { RuntimeEvents } from '../events.ts';
import { KeyedLock } from '../keyed-lock.ts';
import { identify, isAlive } from '../proc.ts';
import type {
	ExecResult,
	LogLine,
	LogOptions,
	PodStart,
	PodStats,
	Runtime,
	RuntimeEvent,
	RuntimePod,
} from '../runtime.ts';
import { kubePlay, LABEL } from './kube-pod.ts';
import { Libpod, messageOf } from './libpod.ts';
import { LogDecoder } from './log-stream.ts';
import { OomEvidence } from './oom-evidence.ts';
import { type LibpodContainer, type LibpodPod, type PodView, viewPod } from './pod-view.ts';
import { podmanExec } from './podman-exec.ts';
import { PodmanWatch } from './podman-watch.ts';
import {
	HOW_TO_INSTALL,
	type PodmanService,
	type PodmanServiceOptions,
	podmanService,
	unreachable,
} from './service.ts';
import { startError } from './start-errors.ts';

export interface PodmanRuntimeOptions extends PodmanServiceOptions {
	/** Tells this hostd's pods and volumes from those of others on the same Podman. @default `hostd` */
	readonly instance?: string;
	/** @default nothing beyond what every pod may */
	readonly policy?: HostPolicy;
}

/** Oldest Podman whose `kube play` does what is asked of it here. */
const VERSION_MIN = [4, 3] as const;
const LOG_BYTES_MAX = '10mb';
/** How long Podman takes at most to stop a pod's network after its last container has ended. */
const INFRA_STOP_MS = 3_000;
/** Of a container started in place, while Podman says that its pod's network is not there. */
const START_TRIES = 3;
/** States of a container that Podman is not done with: `stopped` has ended and not been tidied up after yet. */
const UNSETTLED: ReadonlySet<string> = new Set(['running', 'stopping', 'stopped']);
/** How long Podman takes at most to tidy up after killed containers. */
const TIDY_MS = 3_000;
const POLL_MS = 30;

export class PodmanRuntime implements Runtime {
	readonly name = 'podman';
	readonly capabilities = {
		isolatesNetwork: true,
		enforcesCpuLimit: true,
		enforcesMemoryLimit: true,
		images: true,
	} as const;

	readonly #service: PodmanService;
	readonly #libpod: Libpod;
	readonly #docker: Docker;
	readonly #instance: string;
	readonly #policy: HostPolicy;
	readonly #events = new RuntimeEvents();
	readonly #locks = new KeyedLock();
	readonly #oom = new OomEvidence();
	#watch: PodmanWatch | undefined;

	constructor(options: PodmanRuntimeOptions = {}) {
		this.#service = podmanService(options);
		this.#libpod = new Libpod(this.#service.socketPath);
		this.#docker = new Docker({ socketPath: this.#service.socketPath });
		this.#instance = options.instance ?? 'hostd';
		this.#policy = options.policy ?? new HostPolicy();
	}

	async check(): Promise<string> {
		await this.#service.ensure();
		const version = await this.#reach(() => this.#libpod.get<{ Version?: string }>('/version'));
		const text = version?.Version ?? 'unknown';
		const [major = 0, minor = 0] = text.split('.').map(Number);
		if (!(major > VERSION_MIN[0] || (major === VERSION_MIN[0] && minor >= VERSION_MIN[1]))) {
			throw new MeshError('unavailable', `Podman ${text} is too old: ${HOW_TO_INSTALL}`, { retryable: false });
		}
		return `podman ${text}`;
	}

	async hasImage(image: string): Promise<boolean> {
		await this.#service.ensure();
		const response = await this.#reach(() => this.#libpod.call('GET', `/images/${encodeURIComponent(image)}/exists`));
		return response.status === 204;
	}

	async pullImage(image: string, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
		await this.#service.ensure();
		const stream = await this.#docker.pull(image).catch((cause: unknown) => {
			throw pullError(image, cause);
		});
		const onAbort = () => (stream as Readable).destroy();
		options.signal?.addEventListener('abort', onAbort, { once: true });
		try {
			await new Promise<void>((resolve, reject) => {
				(stream as Readable).once('close', () => {
					if (options.signal?.aborted) reject(new MeshError('cancelled', `the pull of ${image} was cancelled`));
				});
				this.#docker.modem.followProgress(stream, (error) => (error ? reject(pullError(image, error)) : resolve()));
			});
		} finally {
			options.signal?.removeEventListener('abort', onAbort);
		}
		if (!(await this.hasImage(image))) throw pullError(image, new Error('it is still missing after the pull'));
	}

	async start(asked: PodStart): Promise<RuntimePod> {
		checkPodId(asked.podId);
		const spec = { ...asked, pod: await this.#policy.admit(asked.pod, asked) };
		const play = kubePlay(spec, this.#instance);
		await this.#service.ensure();
		return this.#locks.run(spec.podId, async () => {
			if (await this.#lookUp(spec.podId)) {
				throw new MeshError('conflict', `pod ${spec.podId} exists already on this host`);
			}
			for (const [index, { image }] of spec.pod.spec.containers.entries()) {
				if (await this.hasImage(image)) continue;
				throw new MeshError('not_found', `spec.containers[${index}].image: no image '${image}' on this host`);
			}
			try {
				for (const volume of play.volumes)
					await this.#makeVolume(volume.name, volume.isEmptyDir ? spec.podId : undefined);
				await this.#play(spec, play.body);
			} catch (error) {
				await this.#discard(spec.podId).catch(() => undefined);
				await this.#watch?.sync(spec.podId);
				throw error;
			}
			await this.#watch?.sync(spec.podId);
			return (await this.#find(spec.podId)).pod;
		});
	}

	async restart(podId: string, containers?: readonly string[]): Promise<RuntimePod> {
		await this.#service.ensure();
		return this.#locks.run(podId, async () => {
			const view = await this.#find(podId);
			const exited = view.pod.containers.filter(
				({ name, state }) => state.state !== 'running' && (!containers || containers.includes(name)),
			);
			if (view.pod.containers.every(({ state }) => state.state !== 'running')) await this.#settleNetwork(podId);
			for (const { name } of exited) {
				await this.#startAgain(podId, view.containerIds.get(name) ?? '');
			}
			await this.#watch?.sync(podId);
			return (await this.#find(podId)).pod;
		});
	}

	async stop(podId: string, graceMs: number, containers?: readonly string[]): Promise<void> {
		await this.#service.ensure();
		await this.#locks.run(podId, async () => {
			const view = await this.#inspect(podId);
			if (!view) return;
			const running = view.pod.containers.filter(
				({ name, state }) => state.state === 'running' && (!containers || containers.includes(name)),
			);
			const timeout = Math.ceil(graceMs / 1000);
			await Promise.all(
				running.map(({ name }) =>
					this.#libpod.act('POST', `/containers/${view.containerIds.get(name)}/stop?timeout=${timeout}`),
				),
			);
			if (!containers) await this.#libpod.act('POST', `/pods/${podId}/stop?t=0`);
			await this.#watch?.sync(podId);
		});
	}

	async remove(podId: string): Promise<void> {
		checkPodId(podId);
		await this.#service.ensure();
		// Before the lock: a stop that waits for its grace must not hold up a removal.
		await this.#kill(podId);
		await this.#locks.run(podId, () => this.#discard(podId));
		await this.#watch?.sync(podId);
	}

	async removeVolume(volume: string): Promise<void> {
		await this.#service.ensure();
		checkVolumeName(volume, 'volume');
		await this.#reach(() => this.#libpod.act('DELETE', `/volumes/${encodeURIComponent(volume)}?force=true`));
	}

	async volumes(): Promise<readonly string[]> {
		const volumes = await this.#volumes(`${LABEL.instance}=${this.#instance}`);
		return volumes
			.filter(({ Labels }) => !Labels?.[LABEL.emptyDirOf])
			.map(({ Name }) => Name)
			.sort();
	}

	async list(): Promise<readonly RuntimePod[]> {
		await this.#service.ensure();
		await this.#watch?.seeded;
		return this.#list();
	}

	async inspect(podId: string): Promise<RuntimePod | undefined> {
		await this.#service.ensure();
		return (await this.#inspect(podId))?.pod;
	}

	async *logs(podId: string, options: LogOptions = {}): AsyncIterable<LogLine> {
		await this.#service.ensure();
		const view = await this.#find(podId);
		const { name } = pickContainer(podId, view.pod.containers, options.container);
		const container = this.#docker.getContainer(view.containerIds.get(name) ?? '');
		const query = {
			stdout: true,
			stderr: true,
			timestamps: true,
			...(options.tail !== undefined && { tail: options.tail }),
		};
		const decoder = new LogDecoder();
		if (!options.follow) {
			yield* decoder.push(await container.logs({ ...query, follow: false }));
			return;
		}
		const stream = (await container.logs({ ...query, follow: true })) as Readable;
		const onAbort = () => stream.destroy();
		if (options.signal?.aborted) onAbort();
		options.signal?.addEventListener('abort', onAbort, { once: true });
		try {
			for await (const chunk of stream) {
				for (const line of decoder.push(chunk as Buffer)) {
					if (options.signal?.aborted) return;
					yield line;
				}
			}
		} catch (error) {
			if (!options.signal?.aborted) throw error;
		} finally {
			options.signal?.removeEventListener('abort', onAbort);
			stream.destroy();
		}
	}

	async exec(
		podId: string,
		command: readonly string[],
		options: { readonly container?: string; readonly signal?: AbortSignal } = {},
	): Promise<ExecResult> {
		await this.#service.ensure();
		const view = await this.#find(podId);
		const { name, state } = pickContainer(podId, view.pod.containers, options.container);
		if (state.state !== 'running') {
			throw new MeshError('conflict', `container ${name} of pod ${podId} is not running`);
		}
		return podmanExec(this.#docker, view.containerIds.get(name) ?? '', command, options.signal);
	}

	async stats(podId: string): Promise<PodStats> {
		await this.#service.ensure();
		const view = await this.#find(podId);
		const running = view.pod.containers.filter(({ state }) => state.state === 'running');
		const stats = await Promise.all(
			running.map(({ name }) =>
				this.#docker.getContainer(view.containerIds.get(name) ?? '').stats({ stream: false, 'one-shot': true }),
			),
		);
		return {
			cpuSeconds: stats.reduce((sum, { cpu_stats }) => sum + (cpu_stats?.cpu_usage?.total_usage ?? 0) / 1e9, 0),
			memoryBytes: stats.reduce((sum, { memory_stats }) => sum + (memory_stats?.usage ?? 0), 0),
		};
	}

	events(listener: (event: RuntimeEvent) => void): Disposable {
		this.#watch ??= new PodmanWatch({
			open: async () => {
				await this.#service.ensure();
				const filters = { label: [`${LABEL.instance}=${this.#instance}`] };
				return (await this.#docker.getEvents({ filters })) as Readable;
			},
			list: () => this.#list(),
			inspect: async (podId) => (await this.#inspect(podId))?.pod,
			emit: (event) => this.#events.emit(event),
		});
		return this.#events.subscribe(listener);
	}

	/** Lets go of the pods; they keep running. A service of our own ends. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.#watch?.close();
		await this.#service.close();
	}

	async #play(spec: PodStart, body: string): Promise<void> {
		// Podman's default network: `kube play` would make one of its own, with a name server that nobody here asks.
		const network = spec.pod.spec.hostNetwork ? '' : '&network=podman';
		const path = `/play/kube?start=true${network}&logDriver=k8s-file&logOptions=max-size=${LOG_BYTES_MAX}`;
		const response = await this.#reach(() => this.#libpod.call('POST', path, body, 'application/yaml'));
		if (response.status >= 300) throw startError(spec, messageOf(response));
		const report = JSON.parse(response.body) as { Pods?: { ContainerErrors?: readonly string[] | null }[] | null };
		const errors = report.Pods?.flatMap(({ ContainerErrors }) => ContainerErrors ?? []) ?? [];
		if (errors.length > 0) throw startError(spec, errors.join('; '));
	}

	async #list(): Promise<readonly RuntimePod[]> {
		const filters = encodeURIComponent(JSON.stringify({ label: [`${LABEL.instance}=${this.#instance}`] }));
		const pods = (await this.#reach(() => this.#libpod.get<LibpodPod[]>(`/pods/json?filters=${filters}`))) ?? [];
		const views = await Promise.all(pods.map(({ Name }) => this.#inspect(Name)));
		return views.flatMap((view) => view?.pod ?? []);
	}

	async #inspect(podId: string): Promise<PodView | undefined> {
		const pod = await this.#lookUp(podId);
		if (!pod || pod.Labels?.[LABEL.instance] !== this.#instance) return undefined;
		const containers = await Promise.all(
			(pod.Containers ?? []).map(({ Id }) => this.#libpod.get<LibpodContainer>(`/containers/${Id}/json`)),
		);
		const present = containers.flatMap((container) => container ?? []);
		return viewPod(pod, present, ({ Id, State }) => this.#oom.wasKilled(Id, State.FinishedAt));
	}

	/** The pod of that name, whoever's it is. Podman also takes the beginning of an id, which a name may look like. */
	async #lookUp(podId: string): Promise<LibpodPod | undefined> {
		const pod = await this.#reach(() => this.#libpod.get<LibpodPod>(`/pods/${encodeURIComponent(podId)}/json`));
		return pod?.Name === podId ? pod : undefined;
	}

	async #find(podId: string): Promise<PodView> {
		const view = await this.#inspect(podId);
		if (!view) throw new MeshError('not_found', `no pod ${podId} on this host`);
		return view;
	}

	/**
	 * Podman stops a pod's network, in its own time, when the last container has ended. A container started before that
	 * would lose its ports again, or does not start at all: the network is waited for, or stopped here.
	 */
	async #settleNetwork(podId: string): Promise<void> {
		if (await this.#networkSettles(podId)) return;
		await this.#libpod.act('POST', `/pods/${podId}/stop?t=0`);
		// What has been stopped is still to be tidied up after.
		await this.#networkSettles(podId);
	}

	/** On a busy machine Podman may still be tidying up after the network that looked settled: it is waited for again. */
	async #startAgain(podId: string, containerId: string): Promise<void> {
		for (let tries = 1; ; tries++) {
			try {
				await this.#libpod.act('POST', `/containers/${containerId}/start`);
				return;
			} catch (error) {
				const isUnsettled = /cannot get namespace path unless container \S+ is running/.test((error as Error).message);
				if (!isUnsettled || tries === START_TRIES) throw error;
				await this.#settleNetwork(podId);
			}
		}
	}

	/** Waits for it; false after {@link INFRA_STOP_MS}. */
	async #networkSettles(podId: string): Promise<boolean> {
		const deadlineMs = Date.now() + INFRA_STOP_MS;
		do {
			const { infra } = await this.#find(podId);
			if (infra === undefined || !UNSETTLED.has(infra.State.Status)) return true;
			await sleep(POLL_MS);
		} while (Date.now() < deadlineMs);
		return false;
	}

	/**
	 * Kills all containers and waits until Podman has tidied up after them: a removal that meets a tidying process waits
	 * three seconds for it, while that waits for the removal.
	 */
	async #kill(podId: string): Promise<void> {
		const view = await this.#inspect(podId);
		if (!view) return;
		const monitors = view.monitorPids.flatMap((pid) => identify(pid) ?? []);
		// Podman answers with a conflict when nothing runs.
		await this.#libpod.call('POST', `/pods/${podId}/kill?signal=KILL`);
		const deadlineMs = Date.now() + TIDY_MS;
		while (monitors.some(isAlive) && Date.now() < deadlineMs) await sleep(POLL_MS);
	}

	async #discard(podId: string): Promise<void> {
		const view = await this.#inspect(podId);
		if (view) {
			await this.#kill(podId);
			await this.#libpod.act('DELETE', `/pods/${podId}?force=true`);
			for (const id of view.containerIds.values()) this.#oom.forget(id);
		}
		for (const { Name } of await this.#volumes(`${LABEL.emptyDirOf}=${podId}`)) await this.removeVolume(Name);
	}

	async #makeVolume(name: string, emptyDirOf: string | undefined): Promise<void> {
		const path = `/volumes/${encodeURIComponent(name)}/exists`;
		if ((await this.#reach(() => this.#libpod.call('GET', path))).status === 204) return;
		const labels = {
			[LABEL.instance]: this.#instance,
			...(emptyDirOf !== undefined && { [LABEL.emptyDirOf]: emptyDirOf }),
		};
		await this.#libpod.act('POST', '/volumes/create', { Name: name, Label: labels, Labels: labels });
	}

	async #volumes(
		label: string,
	): Promise<readonly { readonly Name: string; readonly Labels: Record<string, string> | null }[]> {
		await this.#service.ensure();
		const filters = encodeURIComponent(JSON.stringify({ label: [label] }));
		return (
			(await this.#reach(() =>
				this.#libpod.get<{ Name: string; Labels: Record<string, string> | null }[]>(`/volumes/json?filters=${filters}`),
			)) ?? []
		);
	}

	/** A socket that fails is Podman being away, which somebody can do something about. */
	async #reach<T>(call: () => Promise<T>): Promise<T> {
		try {
			return await call();
		} catch (error) {
			if (isMeshError(error)) throw error;
			throw unreachable(this.#service.socketPath, error);
		}
	}
}

function pullError(image: string, cause: unknown): MeshError {
	const reason = cause instanceof Error ? cause.message : String(cause);
	const isMissing = /not found|manifest unknown|denied|unauthorized|unknown: /i.test(reason);
	return new MeshError(isMissing ? 'not_found' : 'unavailable', `cannot pull image '${image}': ${reason}`, { cause });
}
