/**
 * From award to running pod and back: gives a pod its ports, socket and environment, waits until its replica serves, tells
 * it what its owner changed, and removes it when it has left. Also adopts, after a restart of hostd, what still runs.
 */
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { MemberHint } from '@beemesh/sdk/api';
import { MeshError } from '@beemesh/sdk/errors';
import { cidOf, type OpenedBundle, openRecord } from '@beemesh/sdk/identity';
import type { UnixListener } from '@beemesh/sdk/streams';
import type { Logger } from '@beemesh/sdk/telemetry';
import { type Award, type OwnerId, raftMemberId, type WorkloadEnd, type WorkloadId } from '@beemesh/sdk/wire';
import type { PodStatus, WorkloadView } from '../api/contract.ts';
import type { LogsInput, LogsLine, OwnersWorkloads } from '../api/server.ts';
import type { HostConfig } from '../config.ts';
import type { Membership, MeshNode } from '../mesh/index.ts';
import { buildPod, type PodManager } from '../pods/index.ts';
import type { Accountant } from '../resources/index.ts';
import { lastLines, type Runtime } from '../runtime/index.ts';
import { podKey, type Scheduler } from '../scheduler/index.ts';
import { openKept } from './adopted.ts';
import type { EndedWorkloads } from './ended.ts';
import type { Fleet, LocalWorkloads } from './fleet.ts';
import { KeptVolumes } from './kept-volumes.ts';
import { fileOf, PodFiles } from './pod-files.ts';
import { type PodHost, servePod } from './pod-service.ts';
import { PodWatch } from './pod-watch.ts';
import { FreePorts, publishPorts } from './ports.ts';
import { type HostedPod, PodRegistry, podIdOf } from './registry.ts';
import { rostersOf } from './rosters.ts';
import { contextOf, environmentOf, type HostFacts, isolatesNetwork } from './surroundings.ts';
import { statusOf } from './views.ts';
import { dropsVolumes, goWithWorkload, volumeNamesOf } from './volumes.ts';

/** For a replica that was told to leave: find a successor, hand over, finish calls, exit. */
const LEAVE_GRACE_MS = 40_000;

export interface HostingOptions {
	readonly config: Omit<HostConfig, 'name' | 'machineName'>;
	/** What this host is called. */
	readonly name: string;
	readonly runtime: Runtime;
	readonly pods: PodManager;
	readonly resources: Accountant;
	readonly ended: EndedWorkloads;
	readonly membership: Membership;
	readonly logger: Logger;
	readonly nowMs: () => number;
}

export class Hosting implements LocalWorkloads, OwnersWorkloads {
	readonly #options: HostingOptions;
	readonly #registry = new PodRegistry();
	readonly #files: PodFiles;
	readonly #keptVolumes: KeptVolumes;
	readonly #freePorts: FreePorts;
	readonly #sockets = new Map<string, UnixListener>();
	readonly #watch: PodWatch;
	readonly #removing = new Map<string, Promise<void>>();
	#mesh!: MeshNode;
	#scheduler!: Scheduler;
	#fleet!: Fleet;
	#stopping = false;

	constructor(options: HostingOptions) {
		this.#options = options;
		this.#files = new PodFiles(options.config.stateDir);
		this.#keptVolumes = new KeptVolumes(options.config.stateDir);
		this.#freePorts = new FreePorts(options.config.bind, options.membership.machineId);
		this.#watch = new PodWatch(options.pods);
	}

	/** The rooms that need this one to be made first. Before any pod is started or adopted. */
	connect(parts: { readonly mesh: MeshNode; readonly scheduler: Scheduler; readonly fleet: Fleet }): void {
		this.#mesh = parts.mesh;
		this.#scheduler = parts.scheduler;
		this.#fleet = parts.fleet;
	}

	/** Pods now on this host. */
	get podCount(): number {
		return this.#registry.all().length;
	}

	/** Starts the pod of an award; resolves when its replica serves, rejects (and leaves nothing behind) when it will not. */
	async deploy(award: Award, opened: OpenedBundle, signal: AbortSignal, replyKey: Uint8Array): Promise<void> {
		const { pods, runtime, config, ended, nowMs } = this.#options;
		ended.refuse(award.wid, opened.charter.body.era);
		const podId = podIdOf(award.wid, raftMemberId(award.slot, award.gen));
		await this.#removing.get(podId);
		const built = buildPod(opened.manifest, award.slot, award.gen, { hostIp: config.advertise ?? config.bind });
		const { name } = built.metadata;
		const kept = { award, bundle: opened.bundle, replyKey, createdAtMs: nowMs(), hasServed: false, name };
		// First of all: a hostd that ends before there is a pod is to tell of it when it is back.
		await this.#files.write(podId, kept);
		const { containers } = opened.manifest.spec.template.spec;
		const isIsolated = isolatesNetwork(runtime.capabilities, opened);
		const ports = await publishPorts(containers, config.bind, this.#freePorts, {
			isolatesNetwork: isIsolated,
		}).catch(async (error: unknown) => {
			await this.#files.remove(podId);
			throw error;
		});
		const pod = this.#register({
			...{ podId, award, opened, replyKey, name, ports },
			...{ createdAtMs: kept.createdAtMs, hasServed: false },
		});
		try {
			const socketDir = await this.#listen(pod);
			const privateDir = this.#privateDir(podId);
			await mkdir(privateDir, { recursive: true, mode: 0o700 });
			await pods.deploy({
				podId,
				pod: built,
				owner: opened.charter.body.owner,
				ports,
				socketDir,
				privateDir,
				env: environmentOf(
					pod,
					{ socket: socketDir, private: privateDir },
					{
						isContained: runtime.capabilities.isolatesNetwork,
						listenIp: isIsolated ? '0.0.0.0' : config.bind,
					},
				),
				volumeNames: volumeNamesOf(opened, award.slot),
				labels: {
					'io.beemesh.machine': this.#mesh.machineId,
					'io.beemesh.workload': award.wid,
					'io.beemesh.slot': String(award.slot),
					'io.beemesh.generation': String(award.gen),
					'io.beemesh.award': award.awardId,
				},
			});
		} catch (error) {
			return this.#failed(pod, error);
		}
		await this.#bringUp(pod, signal);
	}

	/** The rest of a deployment: resolves when the replica serves. */
	async #bringUp(pod: HostedPod, signal: AbortSignal): Promise<void> {
		const { logger, nowMs } = this.#options;
		try {
			await this.#watch.serving(pod, signal);
			await this.#noteServed(pod);
			logger.info('pod serves', { pod: pod.name, podId: pod.podId, ms: nowMs() - pod.createdAtMs });
		} catch (error) {
			await this.#failed(pod, error);
		}
	}

	async #noteServed(pod: HostedPod): Promise<void> {
		pod.hasServed = true;
		try {
			await this.#files.write(pod.podId, fileOf(pod));
		} catch (error) {
			const { podId, name } = pod;
			this.#options.logger.warn('it is not kept that a pod came up: a restarted hostd would look again', {
				...{ pod: name, podId, error },
			});
		}
	}

	async #failed(pod: HostedPod, error: unknown): Promise<never> {
		const { logger, runtime } = this.#options;
		const { podId, name } = pod;
		// The pod's own log goes with it.
		logger.warn('pod did not come up', { pod: name, podId, error, lastLines: await lastLines(runtime, podId) });
		await this.#remove(pod, 'deployment failed');
		throw error;
	}

	/** Takes back the pods that a former hostd of this state folder started; removes those it knows nothing of. */
	async adopt(): Promise<void> {
		const { pods, runtime, logger, nowMs, resources } = this.#options;
		for (const { podId, ports, labels } of await pods.adopt()) {
			if (labels['io.beemesh.machine'] !== this.#mesh.machineId) continue;
			const file = await this.#files.read(podId).catch((error: unknown) => {
				logger.warn('a pod’s award cannot be read', { podId, error });
				return undefined;
			});
			if (file === undefined) {
				logger.warn('removing a pod without an award', { podId });
				await runtime.remove(podId);
				continue;
			}
			const { award, bundle, replyKey, createdAtMs, hasServed, name } = file;
			const kept = openKept(bundle, nowMs());
			if ('error' in kept) {
				const { error } = kept;
				logger.warn('removing a pod whose charter or manifest does not hold any more', { podId, error });
				await runtime.remove(podId);
				continue;
			}
			const pod = this.#register({
				...{ podId, award, opened: kept.opened, replyKey, name, ports },
				...{ createdAtMs, hasServed },
			});
			// Until its replica dials again, its probes speak for it.
			pod.isPlain = hasServed;
			const claim = { wid: award.wid, resources: kept.resources, hostPorts: [] };
			const key = podKey(award.wid, award.slot, award.gen);
			resources.adopt(key, claim);
			await this.#listen(pod);
			logger.info('adopted a running pod', { pod: name, podId });
			if (!hasServed) this.#scheduler.resume(award, replyKey, (signal) => this.#bringUp(pod, signal));
		}
		for (const podId of await this.#files.list())
			if (this.#registry.get(podId) === undefined) await this.#neverStarted(podId);
		// Another host may have told us in the meantime.
		for (const envelope of this.#options.ended.envelopes()) this.end(envelope);
	}

	/** What is kept of a pod that is not there. Whoever waits for it to be deployed hears that it never will. */
	async #neverStarted(podId: string): Promise<void> {
		const file = await this.#files.read(podId).catch(() => undefined);
		await rm(this.#privateDir(podId), { recursive: true, force: true });
		await this.#files.remove(podId);
		if (file === undefined || file.hasServed) return;
		this.#scheduler.resume(file.award, file.replyKey, async () => {
			throw new MeshError('unavailable', 'hostd was restarted before it had started the pod');
		});
	}

	/** Asks every pod to leave, waits for them, and removes them. */
	async drain(): Promise<void> {
		this.#stopping = true;
		await Promise.all(this.#registry.all().map((pod) => this.#leave(pod, 'the host is stopping')));
	}

	/** Stops serving the pods' sockets; the pods run on. */
	async close(): Promise<void> {
		await Promise.all([...this.#sockets.values()].map((listener) => listener.close()));
	}

	// What owners and other hosts ask

	inventory(owner: OwnerId): WorkloadView[] {
		const views = new Map<WorkloadId, WorkloadView>();
		for (const pod of this.#registry.all()) {
			if (pod.bundle.charter.body.owner !== owner) continue;
			const known = views.get(pod.award.wid);
			const status = this.#statusOf(pod);
			if (known !== undefined) known.pods.push(status);
			else {
				const { charter, manifest } = pod.bundle.bundle;
				views.set(pod.award.wid, { wid: pod.award.wid, charter, manifest, pods: [status] });
			}
		}
		return [...views.values()];
	}

	rosters(wid: WorkloadId): Uint8Array[] {
		return rostersOf(this.#registry.of(wid));
	}

	ownRosters(owner: OwnerId, wid: WorkloadId): Uint8Array[] {
		return rostersOf(this.#podsOf(owner, wid));
	}

	checkpoint(owner: OwnerId, wid: WorkloadId, sealed: Uint8Array): number {
		const listening = this.#podsOf(owner, wid).filter(({ listeners }) => listeners.size > 0);
		for (const { listeners } of listening) for (const tell of listeners) tell({ type: 'checkpoint', sealed });
		return listening.length;
	}

	#podsOf(owner: OwnerId, wid: WorkloadId): HostedPod[] {
		return this.#registry.of(wid).filter(({ bundle }) => bundle.charter.body.owner === owner);
	}

	members(wid: WorkloadId): MemberHint[] {
		return this.#registry.of(wid).flatMap(({ announced, award, leaving }) => {
			if (announced === undefined || leaving !== '') return [];
			const { replicaId, addresses } = announced;
			return [{ replicaId, slot: award.slot, gen: award.gen, addresses: [...addresses] }];
		});
	}

	charter(envelope: Uint8Array, manifest: Uint8Array | undefined): number {
		const { wid, manifestCid } = openRecord('charter', envelope).body;
		if (manifest !== undefined && cidOf(manifest) !== manifestCid) {
			throw new MeshError('invalid_input', 'the manifest is not the one that the charter names');
		}
		const pods = this.#registry.adoptCharter(envelope, manifest, wid, this.#options.nowMs());
		for (const pod of pods) {
			const { award } = pod;
			this.#files.write(pod.podId, fileOf(pod)).catch((error: unknown) => {
				this.#options.logger.warn('the new charter is not kept: a restarted hostd would go by the old one', {
					error,
				});
			});
			const { deleted, replicas } = pod.bundle.charter.body;
			// A replica with the SDK leaves by itself, in its workload's order; nobody else would stop a plain image.
			if (deleted || (!pod.embedsSdk && award.slot >= replicas)) {
				this.#leave(pod, deleted ? 'deleted' : 'scaled down').catch(this.#stays(pod));
			}
		}
		return pods.length;
	}

	end(envelope: Uint8Array): void {
		const { ended, nowMs } = this.#options;
		const { body: end } = ended.note(envelope, nowMs());
		for (const pod of this.#registry.of(end.wid)) {
			const { deleted, era } = pod.bundle.charter.body;
			// Under the charter that deletes it, it is leaving in its own order.
			if (deleted || pod.isEnded || era >= end.era) continue;
			pod.isEnded = true;
			// Nobody is to take its place, so there is nobody to wait for.
			this.#leave(pod, 'deleted', 0).catch(this.#stays(pod));
		}
		void this.#dropKeptVolumes(end);
	}

	async #dropKeptVolumes(end: WorkloadEnd): Promise<void> {
		const { logger, runtime } = this.#options;
		try {
			for (const volume of await this.#keptVolumes.endedBy(end)) {
				await runtime.removeVolume(volume);
				await this.#keptVolumes.forget(volume);
			}
		} catch (error) {
			logger.warn('volumes of a deleted workload stay', { error });
		}
	}

	async *logs(owner: OwnerId, input: LogsInput, signal: AbortSignal): AsyncGenerator<LogsLine> {
		const pod = this.#registry.get(input.podId);
		if (pod === undefined || pod.bundle.charter.body.owner !== owner) {
			throw new MeshError('not_found', `there is no pod ${input.podId} of this owner on host ${this.#options.name}`);
		}
		yield* this.#options.runtime.logs(pod.podId, {
			follow: input.follow,
			timestamps: input.timestamps,
			signal,
			...(input.container === undefined ? {} : { container: input.container }),
			...(input.tail === undefined ? {} : { tail: input.tail }),
		});
	}

	#statusOf(pod: HostedPod): PodStatus {
		const { machineId } = this.#mesh;
		return statusOf(pod, this.#options.pods.get(pod.podId), { machineId, name: this.#options.name });
	}

	// One pod's life

	#register(pod: {
		podId: string;
		award: Award;
		opened: OpenedBundle;
		replyKey: Uint8Array;
		name: string;
		ports: HostedPod['ports'];
		createdAtMs: number;
		hasServed: boolean;
	}): HostedPod {
		const { opened, ...rest } = pod;
		const hosted: HostedPod = {
			...rest,
			bundle: opened,
			announced: undefined,
			roster: undefined,
			embedsSdk: false,
			isPlain: false,
			leaving: '',
			isEnded: false,
			listeners: new Set(),
		};
		this.#registry.add(hosted);
		return hosted;
	}

	async #listen(pod: HostedPod): Promise<string> {
		const socketDir = join(dirname(this.#options.config.socket), 'pods', pod.podId);
		this.#sockets.set(pod.podId, await servePod(join(socketDir, 'pod.sock'), pod, this.#podHost()));
		return socketDir;
	}

	#podHost(): PodHost {
		return {
			machineId: this.#mesh.machineId,
			trust: this.#options.membership.trust,
			signer: this.#options.membership.keys.signer,
			scheduler: this.#scheduler,
			logger: this.#options.logger,
			nowMs: this.#options.nowMs,
			contextOf: (pod) =>
				contextOf(pod, this.#facts(), this.#options.config, {
					isIsolated: isolatesNetwork(this.#options.runtime.capabilities, pod.bundle),
					incarnation: this.#options.pods.restarts(pod.podId),
				}),
			membersOf: (wid) => this.#fleet.members(wid),
			rostersOf: (wid) => this.#fleet.rosters(wid),
			announced: (pod) => {
				this.#options.logger.debug('replica announced itself', { pod: pod.name, ...pod.announced });
				this.#watch.changed();
			},
			left: (pod, reason) => {
				this.#options.logger.info('replica left', { pod: pod.name, reason });
				pod.leaving = reason;
				this.#remove(pod, reason).catch(this.#stays(pod));
			},
		};
	}

	#facts(): HostFacts {
		const { trust } = this.#options.membership;
		const zone = this.#mesh.self().labels['topology.kubernetes.io/zone'];
		return {
			machineId: this.#mesh.machineId,
			machineAddresses: [...this.#mesh.addresses()],
			machineName: this.#options.name,
			...(zone === undefined ? {} : { zone }),
			meshGenesis: trust.mesh.envelope,
			meshEpoch: trust.epoch.envelope,
		};
	}

	/** On disk, so that a replica is the same one after the machine has been off. */
	#privateDir(podId: string): string {
		return join(this.#options.config.stateDir, 'private', podId);
	}

	/** Tells a replica to leave; removes it when it has, or when the grace is over. */
	async #leave(pod: HostedPod, reason: string, graceMs = LEAVE_GRACE_MS): Promise<void> {
		if (pod.leaving !== '') return this.#removing.get(pod.podId);
		pod.leaving = reason;
		for (const listener of pod.listeners) listener({ type: 'drain', reason });
		if (pod.embedsSdk && graceMs > 0) await this.#watch.gone(pod, graceMs, () => this.#removing.has(pod.podId));
		await this.#remove(pod, reason);
	}

	/** For removals that nobody waits for. */
	#stays(pod: HostedPod): (error: unknown) => void {
		return (error) => this.#options.logger.error('a pod cannot be removed', { pod: pod.name, podId: pod.podId, error });
	}

	#remove(pod: HostedPod, reason: string): Promise<void> {
		const known = this.#removing.get(pod.podId);
		if (known !== undefined) return known;
		const removing = this.#removeNow(pod, reason).finally(() => {
			this.#removing.delete(pod.podId);
			this.#watch.changed();
		});
		this.#removing.set(pod.podId, removing);
		return removing;
	}

	async #removeNow(pod: HostedPod, reason: string): Promise<void> {
		const { pods, runtime, resources, config, logger } = this.#options;
		const { award, bundle } = pod;
		const graceMs = 1000 * (bundle.manifest.spec.template.spec.terminationGracePeriodSeconds ?? 30);
		await pods.remove(pod.podId, { graceMs });
		await this.#sockets.get(pod.podId)?.close();
		this.#sockets.delete(pod.podId);
		await rm(join(dirname(config.socket), 'pods', pod.podId), { recursive: true, force: true });
		for (const volume of Object.values(volumeNamesOf(bundle, award.slot))) {
			if (!this.#stopping && dropsVolumes(pod)) {
				await runtime.removeVolume(volume);
				await this.#keptVolumes.forget(volume);
			} else if (goWithWorkload(bundle))
				await this.#keptVolumes.keep(volume, { wid: award.wid, era: bundle.charter.body.era });
		}
		await rm(this.#privateDir(pod.podId), { recursive: true, force: true });
		await this.#files.remove(pod.podId);
		this.#registry.delete(pod.podId);
		resources.release(podKey(award.wid, award.slot, award.gen));
		logger.info('pod removed', { pod: pod.name, podId: pod.podId, reason });
	}
}
