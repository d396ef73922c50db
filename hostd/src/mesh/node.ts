/**
 * One host in its mesh, over any transport: sessions with the others, who is present, tenders by gossip, leases and
 * provider records in the DHT. A host without others is a mesh of one.
 */
import { MeshError } from '@beemesh/sdk/errors';
import { signRecord } from '@beemesh/sdk/identity';
import { createRpcNode, type RpcNode, type Session, type Transport } from '@beemesh/sdk/streams';
import type { Logger, Metrics } from '@beemesh/sdk/telemetry';
import {
	decodeRecord,
	encodeRecord,
	type Lease,
	type MachineId,
	type Presence,
	presenceSchema,
	type WorkloadId,
} from '@beemesh/sdk/wire';
import * as v from 'valibot';
import { Announcer, type PresenceSource } from './announcer.ts';
import { type Alarm, type Clock, createAlarm } from './clock.ts';
import { Connector } from './connector.ts';
import { createPresenceTable, type HostEvent } from './core/presence.ts';
import { createRateLimit, type RateConfig } from './core/rate.ts';
import { Epochs } from './epochs.ts';
import { sealedGossip } from './gossip-seal.ts';
import { certifiedPresence, createHello, type MachinePrincipal, meshHash, type peekIntroduction } from './hello.ts';
import { Intake } from './intake.ts';
import { LEASE_TTL_MS, leaseKey, openLease, providerKey } from './lease.ts';
import type { Membership } from './membership.ts';
import type { Dht, Gossip, GossipHandler, Verdict } from './ports.ts';
import { presenceKind, type Said } from './presence-intake.ts';
import { Renewal } from './renewal.ts';

const RPC_PROTOCOL = '/beemesh/m/rpc/1';
const PRESENCE_CHANNEL = 'presence';
/** Presence of the session's own host, unsigned. */
const STATUS_CHANNEL = 'status';
/** Provider lookups within this time share one answer: they cost the whole neighbourhood a message. */
const PROVIDERS_CACHE_MS = 2_000;
const PROVIDERS_CACHED_MAX = 1_024;
/** Unsigned presence of one session's host; an honest one sends at most four a second. */
const STATUS: RateConfig = { perMinute: 10 * 60, burst: 60 };

/** Topics on which the hosts of a mesh talk. */
export function topicsOf(meshId: string, scopes: readonly string[]): readonly string[] {
	return [presenceTopic(meshId), ...scopes.map((scope) => tenderTopic(meshId, scope))];
}

function presenceTopic(meshId: string): string {
	return `/beemesh/m/${meshHash(meshId)}/presence`;
}

function tenderTopic(meshId: string, scope: string): string {
	return `/beemesh/m/${meshHash(meshId)}/tender/${scope}`;
}

export interface MeshNode extends AsyncDisposable {
	readonly machineId: MachineId;
	readonly membership: Membership;
	readonly rpc: RpcNode<MachinePrincipal>;
	/** For streams that are no calls. */
	readonly transport: Pick<Transport, 'dial' | 'handle'>;
	/** Multiaddrs with `/p2p/`, at which others reach this host. */
	addresses(): readonly string[];
	/** This host as the others see it. */
	self(): Presence;
	/** Everyone present now, this host first. */
	hosts(): readonly Presence[];
	onHosts(listener: (event: HostEvent) => void): Disposable;
	/** Publishes a tender; the hosts it went to directly. */
	publishTender(scope: string, envelope: Uint8Array): Promise<ReadonlySet<MachineId>>;
	/** Verify in the handler: its verdict decides whether the tender is passed on. */
	onTender(scope: string, handler: GossipHandler): Disposable;
	/** Best effort: says that this host deploys a slot. */
	putLease(lease: Omit<Lease, 'machineId' | 'ts'>): Promise<void>;
	/** Somebody's living lease of a slot, if the DHT knows one in time. */
	findLease(
		slot: Pick<Lease, 'wid' | 'slot' | 'gen'>,
		signal: AbortSignal,
	): Promise<(Lease & { readonly untilMs: number }) | undefined>;
	/** This host runs pods of this workload or owner. Idempotent. */
	provide(kind: 'workload' | 'owner', id: string): Promise<void>;
	unprovide(kind: 'workload' | 'owner', id: string): Promise<void>;
	/** Other hosts that said so. Hints; up to 2 s old. */
	findProviders(kind: 'workload' | 'owner', id: string, signal?: AbortSignal): Promise<readonly MachineId[]>;
	/** Tells the others at once of a change that cannot wait, such as leaving. */
	announce(): void;
}

export interface MeshNodeOptions {
	readonly transport: Transport;
	readonly gossip: Gossip;
	readonly dht: Dht;
	readonly membership: Membership;
	readonly name: string;
	readonly labels: Readonly<Record<string, string>>;
	/** Multiaddrs ending in `/p2p/<machine id>`. This host's own is skipped, so all hosts can have one list. */
	readonly join: readonly string[];
	readonly presence: PresenceSource;
	readonly logger: Logger;
	readonly metrics: Metrics;
	readonly clock: Clock;
	readonly random: () => number;
}

class Node implements MeshNode {
	readonly machineId: MachineId;
	readonly membership: Membership;
	readonly rpc: RpcNode<MachinePrincipal>;
	readonly transport: Pick<Transport, 'dial' | 'handle'>;
	readonly #options: MeshNodeOptions;
	readonly #gossip: Gossip;
	readonly #gossiped: Intake<ReturnType<typeof peekIntroduction>, Said>;
	readonly #introduced: Intake<ReturnType<typeof peekIntroduction>, Said>;
	readonly #statuses = createRateLimit(STATUS);
	readonly #table = createPresenceTable();
	readonly #listeners = new Set<(event: HostEvent) => void>();
	readonly #announcer: Announcer;
	readonly #connector: Connector;
	readonly #epochs: Epochs;
	readonly #renewal: Renewal;
	readonly #alarm: Alarm;
	readonly #subscriptions: Disposable[];
	readonly #provided = new Set<string>();
	readonly #lookups = new Map<string, { readonly untilMs: number; readonly found: Promise<readonly MachineId[]> }>();
	#closed = false;

	constructor(options: MeshNodeOptions) {
		const { transport, clock, logger, membership } = options;
		this.#options = options;
		this.machineId = transport.peerId as MachineId;
		this.membership = membership;
		this.transport = transport;
		this.#gossip = sealedGossip(options.gossip, membership);
		const isNews = (machineId: MachineId, seq: number): boolean =>
			machineId !== this.machineId && this.#table.isNews(machineId, seq);
		const kind = presenceKind(membership.trust, isNews);
		this.#gossiped = new Intake(kind, clock.nowMs());
		// Neighbours introduce who was there before us; none of that lives for longer than a presence does.
		this.#introduced = new Intake(kind, 0);
		const joins = options.join.map(parseJoin);
		this.rpc = createRpcNode<MachinePrincipal>({
			transport,
			protocol: RPC_PROTOCOL,
			exchange: createHello({
				trust: membership.trust,
				introduction: () => this.#announcer.introduction(),
				nowMs: () => clock.nowMs(),
			}),
			onFailure: ({ error, what }) => logger.error('a call from another host failed here', { what, error }),
		});
		this.#connector = new Connector({
			machineId: this.machineId,
			rpc: this.rpc,
			clock,
			logger,
			random: options.random,
		});
		this.#epochs = new Epochs({ membership, rpc: this.rpc, clock, logger });
		this.#renewal = new Renewal({ membership, rpc: this.rpc, clock, logger });
		this.#alarm = createAlarm(clock, () => this.#tell(this.#table.expire(clock.nowMs())));
		this.#subscriptions = [
			this.rpc.onSession((session) => this.#onSession(session)),
			this.rpc.services.onNotify(STATUS_CHANNEL, (payload, { principal }) => this.#receiveStatus(payload, principal)),
			this.rpc.services.onNotify(
				PRESENCE_CHANNEL,
				(introduction, { principal }) =>
					void this.#receivePresence(this.#introduced, introduction, principal.machineId),
			),
			this.#gossip.subscribe(presenceTopic(membership.meshId), (introduction, from) =>
				this.#receivePresence(this.#gossiped, introduction, from),
			),
			membership.trust.onEpoch(({ body }) => this.#tell(body.revoked.flatMap((id) => this.#evict(id)))),
		];
		this.#announcer = new Announcer({
			machineId: this.machineId,
			name: options.name,
			labels: options.labels,
			certified: () => membership.self.cert.labels,
			addresses: () => transport.addresses(),
			source: options.presence,
			signer: membership.keys.signer,
			credential: () => membership.credential,
			clock,
			send: (introduction) => void this.#sendPresence(introduction),
			report: (presence) => {
				const payload = encodeRecord(presence);
				for (const session of this.rpc.sessions()) session.notify(STATUS_CHANNEL, payload);
			},
		});
		for (const { machineId, address } of joins) this.#connector.bootstrap(machineId, address);
	}

	addresses(): readonly string[] {
		return this.#options.transport.addresses();
	}

	self(): Presence {
		return this.#announcer.presence();
	}

	hosts(): readonly Presence[] {
		return [this.#announcer.presence(), ...this.#table.present()];
	}

	onHosts(listener: (event: HostEvent) => void): Disposable {
		this.#listeners.add(listener);
		return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
	}

	publishTender(scope: string, envelope: Uint8Array): Promise<ReadonlySet<MachineId>> {
		return this.#gossip.publish(tenderTopic(this.membership.meshId, scope), envelope);
	}

	onTender(scope: string, handler: GossipHandler): Disposable {
		return this.#gossip.subscribe(tenderTopic(this.membership.meshId, scope), handler);
	}

	async putLease(lease: Omit<Lease, 'machineId' | 'ts'>): Promise<void> {
		const { clock, dht, membership } = this.#options;
		const body = { ...lease, machineId: this.machineId, ts: clock.nowMs() };
		const signed = signRecord('lease', body, membership.keys.signer);
		// A renewal that takes longer than the lease lives is of no use.
		await dht.put(leaseKey(lease), signed, AbortSignal.timeout(LEASE_TTL_MS));
	}

	async findLease(slot: { wid: WorkloadId; slot: number; gen: number }, signal: AbortSignal) {
		const { clock, dht, membership } = this.#options;
		const key = leaseKey(slot);
		const envelope = await dht.get(key, signal);
		if (envelope === undefined) return undefined;
		const lease = openLease(key, envelope, membership.trust, clock.nowMs());
		const untilMs = lease.ts + LEASE_TTL_MS;
		return untilMs > clock.nowMs() && lease.machineId !== this.machineId ? { ...lease, untilMs } : undefined;
	}

	async provide(kind: 'workload' | 'owner', id: string): Promise<void> {
		const name = `${kind}/${id}`;
		if (this.#provided.has(name)) return;
		this.#provided.add(name);
		try {
			await this.#options.dht.provide(providerKey(this.membership.meshId, kind, id));
		} catch (error) {
			this.#provided.delete(name);
			throw error;
		}
	}

	async unprovide(kind: 'workload' | 'owner', id: string): Promise<void> {
		if (!this.#provided.delete(`${kind}/${id}`)) return;
		await this.#options.dht.unprovide(providerKey(this.membership.meshId, kind, id));
	}

	async findProviders(kind: 'workload' | 'owner', id: string, signal?: AbortSignal): Promise<readonly MachineId[]> {
		const { clock, dht } = this.#options;
		const nowMs = clock.nowMs();
		const name = `${kind}/${id}`;
		const cached = this.#lookups.get(name);
		if (cached !== undefined && nowMs < cached.untilMs) return cached.found;
		if (this.#lookups.size >= PROVIDERS_CACHED_MAX) this.#lookups.clear();
		const found = dht.findProviders(providerKey(this.membership.meshId, kind, id), signal);
		this.#lookups.set(name, { untilMs: nowMs + PROVIDERS_CACHE_MS, found });
		found.catch(() => this.#lookups.delete(name));
		return found;
	}

	announce(): void {
		this.#announcer.announce();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		if (this.#closed) return;
		this.#closed = true;
		this.#connector.close();
		this.#epochs.close();
		this.#renewal.close();
		this.#alarm.set(undefined);
		const goodbye = this.#announcer.goodbye();
		for (const session of this.rpc.sessions()) session.notify(PRESENCE_CHANNEL, goodbye);
		// By gossip too, for hosts that have heard of this one and have no session with it yet.
		await this.#sendPresence(goodbye);
		for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
		await this.rpc[Symbol.asyncDispose]();
		await this.#options.transport[Symbol.asyncDispose]();
	}

	#onSession(session: Session<MachinePrincipal>): void {
		const { machineId, introduction } = session.principal;
		this.#options.logger.debug('session with host', { machineId });
		const events = this.#accept(session.principal.presence, introduction);
		if (events?.some(({ type }) => type === 'up')) {
			// New to us, so its part of the mesh may be too: introduce everybody to each other now, gossip takes seconds.
			for (const known of this.#table.envelopes()) if (known !== introduction) session.notify(PRESENCE_CHANNEL, known);
			for (const other of this.rpc.sessions()) if (other !== session) other.notify(PRESENCE_CHANNEL, introduction);
		}
		session.onClose((error) => {
			if (this.#closed) return;
			const next = this.rpc.get(machineId);
			if (next !== undefined) return this.#restarted(next);
			this.#options.logger.debug('session with host ended', { machineId, error });
			// It will take us for suspect too, until it hears something newer.
			this.#announcer.renew();
			this.#tell(this.#table.suspect(machineId, this.#options.clock.nowMs()));
			// Also a bootstrap host that said goodbye: it may be back.
			this.#connector.lost(machineId);
		});
	}

	/**
	 * Another process of a host that we took for present. It knows nobody, so it is to be introduced like any that has
	 * come; unless somebody told us of it before, who has introduced it.
	 */
	#restarted({ principal: { machineId, presence } }: Session<MachinePrincipal>): void {
		if (!this.#table.isNews(machineId, presence.seq)) return;
		this.#tell(this.#table.suspect(machineId, this.#options.clock.nowMs(), 'restarted'));
	}

	#receiveStatus(payload: Uint8Array, { machineId }: MachinePrincipal): void {
		const nowMs = this.#options.clock.nowMs();
		if (this.#closed || !this.#statuses.allows(machineId, nowMs)) return;
		this.#statuses.spend(machineId, nowMs);
		const parsed = v.safeParse(presenceSchema, decodeRecord(payload));
		if (!parsed.success || parsed.output.machineId !== machineId) {
			this.#options.logger.debug('status refused: not one of the host that sent it', { machineId });
			return;
		}
		this.#accept(certifiedPresence(parsed.output, this.membership.trust, nowMs), undefined);
	}

	#receivePresence(
		intake: Intake<ReturnType<typeof peekIntroduction>, Said>,
		introduction: Uint8Array,
		from: MachineId,
	): Verdict {
		if (this.#closed) return 'ignore';
		const admitted = intake.admit(introduction, from, this.#options.clock.nowMs());
		if (admitted.verdict !== 'accept') {
			if (admitted.verdict === 'reject')
				this.#options.logger.debug('presence refused', { from, error: admitted.error });
			return admitted.verdict;
		}
		const { presence, toPassOn } = admitted.value;
		return this.#accept(presence, toPassOn) === undefined ? 'ignore' : 'accept';
	}

	/** `introduction`: with its certificate, for those whom we shall introduce it to. */
	#accept(presence: Presence, introduction: Uint8Array | undefined): readonly HostEvent[] | undefined {
		if (presence.machineId === this.machineId) return undefined;
		const events = this.#table.accept(presence, introduction, this.#options.clock.nowMs());
		if (events === undefined) return undefined;
		this.#tell(events);
		if (this.#table.get(presence.machineId) !== undefined) {
			const isUp = events.some(({ type }) => type === 'up');
			this.#connector.want(presence.machineId, presence.addresses, isUp);
		}
		return events;
	}

	#tell(events: readonly HostEvent[]): void {
		const { logger, metrics } = this.#options;
		this.#alarm.set(this.#table.nextDeadlineMs());
		for (const event of events) {
			if (event.type === 'up') {
				logger.info('host is up', { machineId: event.presence.machineId, name: event.presence.name });
			} else if (event.type === 'down') {
				logger.info('host is down', { machineId: event.machineId, reason: event.reason });
				if (event.reason === 'left') this.#connector.forget(event.machineId);
			}
			if (event.type !== 'changed') {
				metrics.count('beemesh_host_events_total', { type: event.type });
				metrics.gauge('beemesh_hosts', this.#table.present().length + 1);
			}
			for (const listener of [...this.#listeners]) listener(event);
		}
	}

	/** A revoked machine: out of the list, and out of every connection. */
	#evict(machineId: MachineId): readonly HostEvent[] {
		this.#connector.drop(machineId);
		void this.rpc.get(machineId)?.close('revoked from this mesh');
		void this.#options.transport.disconnect(machineId);
		return this.#table.suspect(machineId, this.#options.clock.nowMs());
	}

	async #sendPresence(envelope: Uint8Array): Promise<void> {
		const { logger } = this.#options;
		let reached: ReadonlySet<MachineId> = new Set();
		try {
			reached = await this.#gossip.publish(presenceTopic(this.membership.meshId), envelope);
		} catch (error) {
			logger.debug('gossip took no presence: telling each host', { error });
		}
		for (const session of this.rpc.sessions()) {
			if (!reached.has(session.principal.machineId)) session.notify(PRESENCE_CHANNEL, envelope);
		}
	}
}

function parseJoin(address: string): { machineId: MachineId; address: string } {
	const match = /\/p2p\/([1-9A-HJ-NP-Za-km-z]+)$/.exec(address);
	if (match === null) {
		throw new MeshError(
			'invalid_input',
			`join: '${address}' names no host: write …/p2p/<machine id>, as \`beectl get hosts -o wide\` shows it`,
		);
	}
	return { machineId: match[1] as MachineId, address };
}

export function createNode(options: MeshNodeOptions): MeshNode {
	return new Node(options);
}
