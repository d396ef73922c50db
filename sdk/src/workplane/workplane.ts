/** The workplane of one replica: what an app holds after joining. Composes the rooms; decides little itself. */

import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Directory, MemberEvent, NetworkEnd, PeerPrincipal, Trust, WorkloadView } from '../discovery/index.ts';
import { MeshError } from '../errors.ts';
import type { MachineTrust, NodeKeys, OpenedRecord } from '../identity/index.ts';
import type { Group, Machine } from '../raft/group.types.ts';
import { type Kv, openKv } from '../raft/kv.ts';
import { kvMachine } from '../raft/kv-machine.ts';
import type { PodContext } from '../replicas/pod-api.ts';
import type { Contract, Impl, Methods, SessionCallContext } from '../streams/rpc/contract.ts';
import { durationMs } from '../streams/rpc/duration.ts';
import type { RpcNode, ServiceHandle, Session } from '../streams/rpc/session.types.ts';
import type { Logger, Metrics } from '../telemetry/index.ts';
import type { ServiceRecord, WorkloadId } from '../wire/index.ts';
import type { CharterKeeper } from './charter.ts';
import { ATTEMPT_META, createClient, type Target } from './client.ts';
import type { GroupOptions, Groups } from './groups.ts';
import { HealthState } from './health.ts';
import type { PodHost } from './host.ts';
import { replicaOf, toReplica } from './peers.ts';
import { Emitter, Queue } from './queue.ts';
import { RemoteWorkload } from './remote.ts';
import type { Secrets } from './secrets.ts';
import { openSelfSession } from './self-session.ts';
import type {
	CallContext,
	Client,
	ClientOptions,
	DrainReport,
	Events,
	Health,
	JoinOptions,
	MembershipEvent,
	Replica,
	ServeOptions,
	Server,
	WorkplaneState,
} from './types.ts';
import { within } from './within.ts';

const GRACE_MS = 10_000;
const FAREWELL_MS = 1000;

export interface Workplane extends AsyncDisposable {
	readonly self: Replica;
	readonly state: WorkplaneState;
	/** Aborts when this replica begins to drain: time to stop taking in work from elsewhere. */
	readonly signal: AbortSignal;
	/** Serves a contract; others find this replica by it. */
	serve<M extends Methods>(contract: Contract<M>, impl: Impl<M, CallContext>, options?: ServeOptions): Promise<Server>;
	/** A typed caller of whichever replica serves the contract. */
	client<M extends Methods>(contract: Contract<M>, options?: ClientOptions): Client<M>;
	/** Live replicas, by slot. Of another workload only once something here calls or watches it. */
	replicas(options?: { readonly workload?: string; readonly ready?: boolean }): readonly Replica[];
	watch(options?: { readonly workload?: string; readonly signal?: AbortSignal }): AsyncIterable<MembershipEvent>;
	/**
	 * The app's state machine, replicated over the workload's replicas (a StatefulSet). Open it at every start, before
	 * serving: a replica is ready when it is a voter of each group it opened. Does not wait for a leader.
	 *
	 * Errors: `corrupt` (the log cannot be trusted, or its disk was lost: the replica is replaced), `conflict` (open
	 * already), `invalid_input` (not a stateful workload; a bad name).
	 */
	group<S, C extends StandardSchemaV1, R>(
		name: string,
		machine: Machine<S, C, R>,
		options?: GroupOptions,
	): Promise<Group<S, StandardSchemaV1.InferInput<C>, R>>;
	/** A replicated map with revisions, compare-and-set and watches, on a group of this name. */
	kv<V extends StandardSchemaV1>(
		name: string,
		value: V,
		options?: GroupOptions,
	): Promise<Kv<StandardSchemaV1.InferInput<V>, StandardSchemaV1.InferOutput<V>>>;
	readonly health: Health;
	/**
	 * Leaves in order: not ready any more, calls in flight end, leadership goes to others, farewell. Resolves when this
	 * replica is gone from the mesh. Idempotent.
	 */
	drain(options?: {
		readonly grace?: number | `${number}${'ms' | 's' | 'm'}`;
		readonly reason?: string;
	}): Promise<DrainReport>;
	on<K extends keyof Events>(
		type: K,
		listener: (event: Events[K]) => void,
		options?: { readonly signal?: AbortSignal },
	): Disposable;
}

/** What joining has put together. */
export interface Parts {
	readonly host: PodHost;
	readonly context: PodContext;
	readonly charter: CharterKeeper;
	readonly network: NetworkEnd;
	readonly directory: Directory;
	readonly trust: Trust;
	/** Machines of our host's mesh. */
	readonly machines: MachineTrust;
	/** Keeps what this replica begins with when it is started again in place; sealed to its keys. */
	readonly keepAdmission: (sealed: Uint8Array) => Promise<void>;
	readonly secrets: Secrets;
	readonly keys: NodeKeys;
	/** Our own. */
	readonly cert: OpenedRecord<'replica-cert'>;
	readonly node: RpcNode<PeerPrincipal>;
	readonly options: JoinOptions;
	readonly log: Logger;
	readonly metrics: Metrics;
}

/** Another part of this replica that has something to do before it leaves, and something to close after. */
export interface Companion {
	/** While peers still listen: hand over what others must take on. */
	leave?(): Promise<void>;
	close(): void | Promise<void>;
}

export class LiveWorkplane implements Workplane {
	readonly #parts: Parts;
	readonly #events = new Emitter<Events>();
	readonly #watchers = new Set<{ readonly workload: string | undefined; readonly queue: Queue<MembershipEvent> }>();
	readonly #changed = new Set<() => void>();
	readonly #health: HealthState;
	readonly #leaving = new AbortController();
	readonly #servers = new Map<string, ServiceHandle>();
	readonly #remotes = new Map<string, RemoteWorkload>();
	readonly #names = new Map<WorkloadId, string>();
	readonly #companions: Companion[] = [];
	#state: WorkplaneState = 'joining';
	#role = '';
	#selfSession: Promise<Session<PeerPrincipal>> | undefined;
	#draining: Promise<DrainReport> | undefined;
	#groups: Groups | undefined;
	/** Why the host should remove this pod for good; undefined while it should not. */
	#farewell: string | undefined;

	constructor(parts: Parts) {
		this.#parts = parts;
		const { directory, charter } = parts;
		this.#names.set(charter.opened.wid, charter.opened.charter.body.name);
		this.#health = new HealthState((ready) => {
			directory.publish({ ready });
			this.announce();
		});
		directory.listen({ onMember: (wid, event) => this.#onMember(wid, event) });
	}

	get parts(): Parts {
		return this.#parts;
	}

	get self(): Replica {
		const { directory, charter } = this.#parts;
		return toReplica({ record: directory.record, workload: charter.opened.charter.body.name, rttMs: undefined });
	}

	get state(): WorkplaneState {
		return this.#state;
	}

	get signal(): AbortSignal {
		return this.#leaving.signal;
	}

	get health(): HealthState {
		return this.#health;
	}

	on<K extends keyof Events>(
		type: K,
		listener: (event: Events[K]) => void,
		options: { readonly signal?: AbortSignal } = {},
	): Disposable {
		return this.#events.on(type, listener, options.signal);
	}

	emit<K extends keyof Events>(type: K, event: Events[K]): void {
		this.#events.emit(type, event);
	}

	warn(error: MeshError): void {
		this.#parts.log.warn(error.message, { code: error.code });
		this.emit('warn', error);
	}

	/** Joined: others may choose this replica, as soon as the app that has just been given it is set up. */
	begin(): void {
		this.setState('serving');
		setImmediate(() => this.#health.lift('starting'));
	}

	setState(state: WorkplaneState): void {
		if (this.#state === state || this.#state === 'left') return;
		if (this.#state === 'draining' && state !== 'left') return;
		this.#state = state;
		this.emit('state', state);
	}

	setRole(role: string): void {
		if (role === this.#role) return;
		this.#role = role;
		this.announce();
	}

	/** Tells the host how we are. The host asks nothing back and may be away. */
	announce(): void {
		const { host, directory } = this.#parts;
		const { replicaId, addresses } = directory.record;
		const told = async (): Promise<void> => {
			await host.calls.announce({ replicaId, addresses: [...addresses], ready: this.#health.ready, role: this.#role });
		};
		told().catch((error) => this.#parts.log.debug('host not told', { error }));
	}

	/** Companions leave in the order added and close in reverse. */
	add(companion: Companion): void {
		this.#companions.push(companion);
	}

	async serve<M extends Methods>(
		contract: Contract<M>,
		impl: Impl<M, CallContext>,
		options: ServeOptions = {},
	): Promise<Server> {
		this.#requireIn();
		const { node } = this.#parts;
		const name = `${contract.name}@${contract.version}`;
		const handle = node.services.serve(contract, this.#wrap(contract, impl), options);
		this.#servers.set(name, handle);
		this.#publishServices();
		return {
			get stats() {
				return handle.stats;
			},
			[Symbol.asyncDispose]: async () => {
				if (this.#servers.get(name) === handle) this.#servers.delete(name);
				this.#publishServices();
				await handle[Symbol.asyncDispose]();
			},
		};
	}

	client<M extends Methods>(contract: Contract<M>, options: ClientOptions = {}): Client<M> {
		return createClient(contract, this.#target(options.workload), options, this.#parts.options.defaults ?? {});
	}

	replicas(options: { readonly workload?: string; readonly ready?: boolean } = {}): readonly Replica[] {
		const target = this.#target(options.workload);
		return target
			.views()
			.flatMap((view) => view.live())
			.map(({ record }) => this.#replica(record, target.workload))
			.filter(({ ready }) => options.ready === undefined || ready === options.ready);
	}

	watch(options: { readonly workload?: string; readonly signal?: AbortSignal } = {}): AsyncIterable<MembershipEvent> {
		const { workload } = this.#target(options.workload);
		const { signal } = options;
		const queue: Queue<MembershipEvent> = new Queue({
			onEnd: () => {
				this.#watchers.delete(watcher);
				signal?.removeEventListener('abort', end);
			},
		});
		const end = (): void => queue.end();
		const watcher = { workload, queue };
		this.#watchers.add(watcher);
		signal?.addEventListener('abort', end, { once: true });
		if (signal?.aborted || this.#state === 'left') end();
		return queue;
	}

	async group<S, C extends StandardSchemaV1, R>(
		name: string,
		machine: Machine<S, C, R>,
		options: GroupOptions = {},
	): Promise<Group<S, StandardSchemaV1.InferInput<C>, R>> {
		this.#requireIn();
		if (this.#groups === undefined) {
			throw new MeshError(
				'invalid_input',
				`group ${name}: only a StatefulSet has groups; this workload is a Deployment`,
			);
		}
		return this.#groups.open(name, machine, options);
	}

	async kv<V extends StandardSchemaV1>(
		name: string,
		value: V,
		options: GroupOptions = {},
	): Promise<Kv<StandardSchemaV1.InferInput<V>, StandardSchemaV1.InferOutput<V>>> {
		return openKv(await this.group(name, kvMachine(), options), value);
	}

	/** For a stateful workload. */
	useGroups(groups: Groups): void {
		this.#groups = groups;
	}

	/** Drains, and tells the host that this pod is not wanted any more. */
	async depart(reason: string): Promise<void> {
		this.#farewell ??= reason;
		await this.drain({ reason });
	}

	drain(options: Parameters<Workplane['drain']>[0] = {}): Promise<DrainReport> {
		this.#draining ??= this.#drain(options);
		return this.#draining;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.drain({ reason: 'disposed' });
	}

	async #drain(options: NonNullable<Parameters<Workplane['drain']>[0]>): Promise<DrainReport> {
		const startMs = performance.now();
		const { directory, node, network, host, log } = this.#parts;
		log.info('draining', { reason: options.reason ?? 'asked by the app' });
		this.setState('draining');
		this.#leaving.abort();
		this.#health.close();
		const graceMs = durationMs(options.grace ?? this.#parts.options.drain?.grace ?? GRACE_MS);
		const before = this.#inflight();
		const drained = Promise.all([...this.#servers.values()].map((server) => server.drain()));
		// What waits for a quorum that excludes us waits in vain.
		await within(graceMs, drained, directory.outvoted);
		const aborted = this.#inflight();
		for (const { leave } of this.#companions)
			if (leave !== undefined) await within(graceMs, leave(), directory.outvoted);
		for (const companion of this.#companions.reverse()) await companion.close();
		for (const server of this.#servers.values()) await server[Symbol.asyncDispose]();
		directory.publish({ ready: false, left: true });
		for (const remote of this.#remotes.values()) remote.close();
		await this.#putTombstone();
		// From here on nobody is watched: that sessions end is our doing.
		directory.close();
		await node[Symbol.asyncDispose]();
		await (await this.#selfSession)?.close();
		await network.transport[Symbol.asyncDispose]();
		this.setState('left');
		for (const { queue } of this.#watchers) queue.end();
		const farewell = this.#farewell;
		if (farewell !== undefined)
			await within(
				FAREWELL_MS,
				tryTo(() => host.calls.leave({ reason: farewell.slice(0, 200) })),
			);
		await host[Symbol.asyncDispose]();
		return { finished: Math.max(0, before - aborted), aborted, tookMs: performance.now() - startMs };
	}

	/** Best effort: peers have been told; the DHT's copy expires by itself. */
	async #putTombstone(): Promise<void> {
		const { network, directory, log } = this.#parts;
		try {
			await network.dht?.put(directory.advertisement, AbortSignal.timeout(500));
		} catch (error) {
			log.debug('farewell not put', { error });
		}
	}

	#inflight(): number {
		return [...this.#servers.values()].reduce((sum, { stats }) => sum + stats.inflight + stats.queued, 0);
	}

	#requireIn(): void {
		if (this.#draining !== undefined) throw new MeshError('draining', 'this replica is leaving its workload');
	}

	#publishServices(): void {
		if (this.#draining === undefined) this.#parts.directory.publish({ services: [...this.#servers.keys()] });
	}

	#wrap<M extends Methods>(
		contract: Contract<M>,
		impl: Impl<M, CallContext>,
	): Impl<M, SessionCallContext<PeerPrincipal>> {
		const handlers = impl as unknown as Record<string, (input: unknown, context: CallContext) => unknown>;
		const wrapped: Record<string, unknown> = {};
		for (const name of Object.keys(contract.methods)) {
			wrapped[name] = (input: unknown, context: SessionCallContext<PeerPrincipal>) =>
				handlers[name]?.(input, this.#callContext(context));
		}
		return wrapped as Impl<M, SessionCallContext<PeerPrincipal>>;
	}

	#callContext({ principal, signal, deadline, meta }: SessionCallContext<PeerPrincipal>): CallContext {
		const { directory } = this.#parts;
		const { [ATTEMPT_META]: attempt = '1', ...rest } = meta;
		return {
			get from() {
				return replicaOf(directory, principal);
			},
			signal,
			deadline,
			attempt: Number(attempt) || 1,
			meta: rest,
		};
	}

	#target(workload: string | undefined): Target {
		const { directory, charter } = this.#parts;
		const { name } = charter.opened.charter.body;
		const isOwn = workload === undefined || workload === name;
		const remote = isOwn ? undefined : this.#remote(workload);
		return {
			what: `workload ${workload ?? name}`,
			workload: workload ?? name,
			directory,
			views: (): readonly WorkloadView[] => remote?.views() ?? [directory.own],
			self: () => (isOwn ? this.#self() : undefined),
			wake: () => remote?.wake(),
			changed: (signal) => this.#nextChange(signal),
		};
	}

	#remote(name: string): RemoteWorkload {
		this.#requireIn();
		let remote = this.#remotes.get(name);
		if (remote === undefined) {
			const { host, directory, log, charter } = this.#parts;
			const { namespace } = charter.opened.charter.body;
			this.#remotes.set(name, (remote = new RemoteWorkload({ directory, host, namespace, name, log })));
		}
		return remote;
	}

	#self(): Promise<Session<PeerPrincipal>> {
		const { directory, node } = this.#parts;
		this.#selfSession ??= openSelfSession(directory.record.replicaId, directory.exchange, node.services);
		return this.#selfSession;
	}

	#nextChange(signal: AbortSignal): Promise<void> {
		return new Promise((resolve) => {
			const done = (): void => {
				this.#changed.delete(done);
				signal.removeEventListener('abort', done);
				resolve();
			};
			this.#changed.add(done);
			signal.addEventListener('abort', done, { once: true });
			if (signal.aborted) done();
		});
	}

	#onMember(wid: WorkloadId, event: MemberEvent): void {
		for (const wake of [...this.#changed]) wake();
		if (event.type === 'updated') return;
		const workload = this.#nameOf(wid);
		if (workload === undefined || event.record.replicaId === this.#parts.directory.record.replicaId) return;
		const told: MembershipEvent = { type: event.type, replica: this.#replica(event.record, workload) };
		for (const watcher of this.#watchers) if (watcher.workload === workload) watcher.queue.push(told);
		if (wid === this.#parts.charter.opened.wid) {
			this.#parts.log.info(`replica ${event.type}`, {
				slot: event.record.slot,
				gen: event.record.gen,
				peer: event.record.replicaId,
			});
			this.emit('member', told);
		}
	}

	#nameOf(wid: WorkloadId): string | undefined {
		const known = this.#names.get(wid);
		if (known !== undefined) return known;
		for (const remote of this.#remotes.values()) {
			if (!remote.views().some((view) => view.wid === wid)) continue;
			this.#names.set(wid, remote.name);
			return remote.name;
		}
		return undefined;
	}

	#replica(record: ServiceRecord, workload: string): Replica {
		return toReplica({ record, workload, rttMs: this.#parts.node.get(record.replicaId)?.rttMs });
	}
}

/** As a promise, also when it throws at once: the host may be away. */
async function tryTo<T>(work: () => Promise<T>): Promise<T> {
	return work();
}
