/**
 * From award to running pod and back: gives a pod its ports, socket and environment, waits until its replica serves, tells
 * it what its owner changed, and removes it when it has left. Also adopts, after a restart of hostd, what still runs.
 */
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { MemberHint, PodContext } from '@beemesh/sdk/api';
import { type MeshCode, MeshError } from '@beemesh/sdk/errors';
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
import { FreePorts, MESH_PORT, portEnvironment, publishPorts } from './ports.ts';
import { type HostedPod, PodRegistry, podIdOf } from './registry.ts';
import { rostersOf } from './rosters.ts';
import { endsOf, isReady, pidsOf, statusOf } from './views.ts';

/** Time from start to serving, once the image is here. A slow machine starts a Node app in a few seconds. */
const DEPLOY_TIMEOUT_MS = 30_000;
/** A container without the SDK never dials its socket: running and probed for this long counts as deployed. */
const PLAIN_IMAGE_AFTER_MS = 5_000;
/** Exits before the first readiness that make a deployment failed. */
const EXITS_MAX = 3;
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
	readonly #waiters = new Set<() => void>();
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
		options.pods.events(() => this.#changed());
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
		const { pods, config, ended, nowMs } = this.#options;
		ended.refuse(award.wid, opened.charter.body.era);
		const podId = podIdOf(award.wid, raftMemberId(award.slot, award.gen));
		await this.#removing.get(podId);
		const { containers } = opened.manifest.spec.template.spec;
		const isolatesNetwork = this.#isolates(opened);
		const ports = await publishPorts(containers, config.bind, this.#freePorts, { isolatesNetwork });
		const built = buildPod(opened.manifest, award.slot, award.gen, { hostIp: config.advertise ?? config.bind });
		const pod = this.#register({
			...{ podId, award, opened, replyKey, name: built.metadata.name, ports },
			...{ createdAtMs: nowMs(), hasServed: false },
		});
		try {
			await this.#files.write(podId, fileOf(pod));
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
				env: this.#environment(pod, socketDir),
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
			await this.#serving(pod, signal);
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
		// Another host may have told us in the meantime.
		for (const envelope of this.#options.ended.envelopes()) this.end(envelope);
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
			contextOf: (pod) => this.#contextOf(pod),
			membersOf: (wid) => this.#fleet.members(wid),
			rostersOf: (wid) => this.#fleet.rosters(wid),
			announced: (pod) => {
				this.#options.logger.debug('replica announced itself', { pod: pod.name, ...pod.announced });
				this.#changed();
			},
			left: (pod, reason) => {
				this.#options.logger.info('replica left', { pod: pod.name, reason });
				pod.leaving = reason;
				this.#remove(pod, reason).catch(this.#stays(pod));
			},
		};
	}

	#contextOf(pod: HostedPod): PodContext {
		const { config, pods } = this.#options;
		const mesh = pod.ports.find(({ name }) => name === MESH_PORT);
		const isolated = this.#isolates(pod.bundle);
		const listenIp = isolated ? '0.0.0.0' : config.bind;
		const publicIp = config.advertise ?? config.bind;
		// A loopback address of the host means another machine, the pod itself, inside a network of its own.
		const announced =
			mesh !== undefined && !(isolated && isLoopback(publicIp)) && (isolated || publicIp !== config.bind);
		const zone = this.#mesh.self().labels['topology.kubernetes.io/zone'];
		return {
			machineId: this.#mesh.machineId,
			machineAddresses: [...this.#mesh.addresses()],
			machineName: this.#options.name,
			...(zone === undefined ? {} : { zone }),
			slot: pod.award.slot,
			gen: pod.award.gen,
			incarnation: pods.restarts(pod.podId),
			award: pod.award,
			bundle: pod.bundle.bundle,
			meshGenesis: this.#options.membership.trust.mesh.envelope,
			meshEpoch: this.#options.membership.trust.epoch.envelope,
			listen: mesh === undefined ? [] : [quicAddress(listenIp, mesh.container)],
			announce: announced ? [quicAddress(publicIp, mesh.host)] : [],
		};
	}

	/** False for a pod on the host's own network. */
	#isolates({ manifest }: OpenedBundle): boolean {
		return this.#options.runtime.capabilities.isolatesNetwork && manifest.spec.template.spec.hostNetwork !== true;
	}

	/** On disk, so that a replica is the same one after the machine has been off. */
	#privateDir(podId: string): string {
		return join(this.#options.config.stateDir, 'private', podId);
	}

	#environment(pod: HostedPod, socketDir: string): Record<string, string> {
		const { runtime, config } = this.#options;
		// Who gives a pod a network of its own gives it a view of the file system of its own too.
		const isContained = runtime.capabilities.isolatesNetwork;
		return {
			BEEMESH_SOCKET: isContained ? '/run/beemesh/pod.sock' : join(socketDir, 'pod.sock'),
			BEEMESH_PRIVATE_DIR: isContained ? '/run/beemesh-private' : this.#privateDir(pod.podId),
			BEEMESH_BIND: this.#isolates(pod.bundle) ? '0.0.0.0' : config.bind,
			BEEMESH_POD: pod.name,
			...portEnvironment(pod.ports),
		};
	}

	/** Resolves when the replica serves; rejects on the third exit, on abort, and after the deploy timeout. */
	#serving(pod: HostedPod, signal: AbortSignal): Promise<void> {
		const { pods } = this.#options;
		return new Promise((resolve, reject) => {
			const settle = (finish: () => void): void => {
				this.#waiters.delete(look);
				clearTimeout(timeout);
				clearTimeout(plain);
				signal.removeEventListener('abort', abort);
				finish();
			};
			const fail = (code: MeshCode, message: string): void => settle(() => reject(new MeshError(code, message)));
			const abort = (): void => fail('cancelled', 'the deployment was cancelled');
			const look = (): void => {
				const managed = pods.get(pod.podId);
				if (pod.leaving !== '') fail('unavailable', `the replica left: ${pod.leaving}`);
				else if (managed?.phase === 'Failed' || (managed?.restarts ?? 0) >= EXITS_MAX) {
					fail('unavailable', `it keeps ending: ${endsOf(managed)}; its last lines are in the host's log`);
				} else if (isReady(pod, managed)) settle(resolve);
			};
			const timeout = setTimeout(() => {
				const state = pod.embedsSdk
					? pod.announced === undefined
						? 'did not join its workload'
						: 'is not ready'
					: 'does not run';
				const ends = endsOf(pods.get(pod.podId));
				const why = ends === '' ? '' : `: ${ends}; its last lines are in the host's log`;
				fail('deadline', `the pod ${state} after ${DEPLOY_TIMEOUT_MS / 1000} s${why}`);
			}, DEPLOY_TIMEOUT_MS);
			const plain = setTimeout(() => {
				pod.isPlain = true;
				look();
			}, PLAIN_IMAGE_AFTER_MS);
			signal.addEventListener('abort', abort, { once: true });
			this.#waiters.add(look);
			look();
		});
	}

	#changed(): void {
		for (const look of [...this.#waiters]) look();
	}

	/** Tells a replica to leave; removes it when it has, or when the grace is over. */
	async #leave(pod: HostedPod, reason: string, graceMs = LEAVE_GRACE_MS): Promise<void> {
		if (pod.leaving !== '') return this.#removing.get(pod.podId);
		pod.leaving = reason;
		for (const listener of pod.listeners) listener({ type: 'drain', reason });
		if (pod.embedsSdk && graceMs > 0) await this.#gone(pod, graceMs);
		await this.#remove(pod, reason);
	}

	/** Resolves when the pod is removed or none of its containers runs, at the latest after the grace. */
	#gone(pod: HostedPod, graceMs: number): Promise<void> {
		return new Promise((resolve) => {
			const settle = (): void => {
				clearTimeout(timer);
				this.#waiters.delete(look);
				resolve();
			};
			const look = (): void => {
				const managed = this.#options.pods.get(pod.podId);
				if (managed === undefined || pidsOf(managed).length === 0 || this.#removing.has(pod.podId)) settle();
			};
			const timer = setTimeout(settle, graceMs);
			this.#waiters.add(look);
			look();
		});
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
			this.#changed();
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

/** One named volume per claim and ordinal; another generation of the slot on this host finds it again. */
function volumeNamesOf({ manifest, wid }: OpenedBundle, slot: number): Record<string, string> {
	if (manifest.kind !== 'StatefulSet') return {};
	return Object.fromEntries(
		(manifest.spec.volumeClaimTemplates ?? []).map(({ metadata }) => [
			`${metadata.name}-${manifest.metadata.name}-${slot}`,
			`bm-${wid.slice(-16)}-${metadata.name}-${slot}`,
		]),
	);
}

/** Kubernetes' persistentVolumeClaimRetentionPolicy; Retain unless the manifest says otherwise. */
function dropsVolumes({ bundle: { manifest, charter }, award, isEnded }: HostedPod): boolean {
	if (manifest.kind !== 'StatefulSet') return false;
	if (charter.body.deleted || isEnded) return goWithWorkload({ manifest });
	const policy = manifest.spec.persistentVolumeClaimRetentionPolicy;
	return award.slot >= charter.body.replicas && policy?.whenScaled === 'Delete';
}

function goWithWorkload({ manifest }: Pick<OpenedBundle, 'manifest'>): boolean {
	return (
		manifest.kind === 'StatefulSet' && manifest.spec.persistentVolumeClaimRetentionPolicy?.whenDeleted === 'Delete'
	);
}

function quicAddress(ip: string, port: number): string {
	return `/${ip.includes(':') ? 'ip6' : 'ip4'}/${ip}/udp/${port}/quic-v1`;
}

function isLoopback(ip: string): boolean {
	return ip.startsWith('127.') || ip === '::1';
}
