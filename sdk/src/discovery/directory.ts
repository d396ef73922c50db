/**
 * Everything a replica knows of replicas: admits sessions, keeps a view per workload, publishes its own record, and
 * pushes news to those connected. Sub-second truth comes from here; the workload's DHT is the backstop.
 */
import * as v from 'valibot';
import { MeshError } from '../errors.ts';
import { type EpochName, type OpenedRecord, type RecordSignature, type Signer, signRecord } from '../identity/index.ts';
import type { Caller } from '../streams/rpc/contract.ts';
import type { HelloExchange, RpcNode, Session } from '../streams/rpc/session.types.ts';
import { type Logger, silentLogger } from '../telemetry/index.ts';
import {
	bytesSchema,
	cidSchema,
	decodeRecord,
	type EpochRecord,
	encodeRecord,
	envelopeSchema,
	type PeerId,
	type RecordCid,
	type ReplicaCert,
	type ServiceRecord,
	type SlotGen,
	timeMs,
	type WorkloadId,
} from '../wire/index.ts';
import {
	type Advertisement,
	createAdvertisementReader,
	encodeAdvertisement,
	peekAdvertisement,
	RECORD_TTL_MS,
	type ReadAdvertisement,
} from './advertisement.ts';
import type { MembershipConfig } from './core/index.ts';
import {
	ADVERTISEMENTS,
	ADVERTISEMENTS_BYTES_MAX,
	type CosignPapers,
	EPOCHS,
	epochNewsSchema,
	HEARTBEAT,
	PeerApi,
} from './peer-api.ts';
import type { Trust } from './trust.ts';
import { type MemberEvent, WorkloadView } from './view.ts';

const REFRESH_MS = 5000;
const EPOCHS_BYTES_MAX = 4 * 1024 * 1024;
/** A hello has 64 KiB; a larger epoch is sent right after it. */
const HELLO_EPOCH_BYTES_MAX = 32 * 1024;

const helloSchema = v.strictObject({
	v: v.literal(1),
	ad: envelopeSchema,
	head: v.optional(v.strictObject({ era: timeMs, e: timeMs, cid: cidSchema })),
	epoch: v.optional(bytesSchema(HELLO_EPOCH_BYTES_MAX)),
});
/** Time for the remote's answer to a ping on behalf of somebody who suspects it. */
const INDIRECT_PING_MS = 200;

/** Who is at the other end of a session. */
export interface PeerPrincipal {
	readonly cert: ReplicaCert;
	/** A replica of our own workload; others of the same owner and namespace may only call. */
	readonly isMember: boolean;
	readonly advertisement: Advertisement;
	/** The newest epoch of its workload that it knew when the session began. */
	readonly head: EpochName | undefined;
}

/** The part of our service record that changes. */
export interface RecordChange {
	readonly addresses?: readonly string[];
	readonly services?: readonly string[];
	readonly ready?: boolean;
	readonly leaving?: boolean;
	readonly left?: boolean;
}

export interface DirectoryOptions {
	readonly cert: OpenedRecord<'replica-cert'>;
	readonly trust: Trust;
	readonly signer: Signer;
	readonly manifestCid: RecordCid;
	readonly version: string;
	readonly zone?: string;
	readonly displace: MembershipConfig['displace'];
	readonly addresses: () => readonly string[];
	readonly log?: Logger;
}

export interface DirectoryListener {
	onMember?(wid: WorkloadId, event: MemberEvent): void;
	/** A newer replica holds our slot. */
	onSuperseded?(slot: number, gen: number): void;
	/** Our record changed, or is due again: put it into the DHT. */
	onPublish?(advertisement: Advertisement): void;
	/** A session with a replica of our own workload. */
	onMemberSession?(session: Session<PeerPrincipal>): void;
}

export class Directory {
	readonly exchange: HelloExchange<PeerPrincipal>;
	readonly #options: DirectoryOptions;
	readonly #read: ReadAdvertisement;
	readonly #cert: ReplicaCert;
	readonly #views = new Map<WorkloadId, WorkloadView>();
	readonly #listeners = new Set<DirectoryListener>();
	/** Heads that peers have had from us. */
	readonly #sent = new WeakMap<Session<PeerPrincipal>, EpochName>();
	readonly #subscriptions: Disposable[] = [];
	readonly #log: Logger;
	readonly #outvoted = new AbortController();
	#node: RpcNode<PeerPrincipal> | undefined;
	#record: ServiceRecord;
	#advertisement: Advertisement;
	#refresh: NodeJS.Timeout | undefined;

	constructor(options: DirectoryOptions) {
		this.#options = options;
		this.#log = options.log ?? silentLogger;
		const { manifestCid, version, zone, trust } = options;
		this.#cert = options.cert.body;
		this.#read = createAdvertisementReader(trust);
		const { wid, replicaId, slot, gen, incarnation, machineId } = this.#cert;
		this.#record = {
			...{ wid, replicaId, slot, gen, incarnation, machineId, manifestCid, version },
			...(zone === undefined ? {} : { zone }),
			...{ addresses: [], services: [], ready: false, leaving: false, left: false, seq: 0, ts: 0, exp: 0 },
		};
		this.#advertisement = this.#sign({});
		this.exchange = {
			hello: () => {
				const head = trust.chain(wid)?.head;
				const link = trust
					.chain(wid)
					?.linksSince((head?.e ?? 0) - 1)
					.at(-1);
				const known = head === undefined ? {} : { head: { era: head.era, e: head.e, cid: head.cid } };
				const epoch = link === undefined || link.epoch.byteLength > HELLO_EPOCH_BYTES_MAX ? {} : { epoch: link.epoch };
				return encodeRecord({ v: 1, ad: this.#advertisement.bytes, ...known, ...epoch });
			},
			admit: (remote, hello) => this.#admit(remote, hello),
		};
	}

	get record(): ServiceRecord {
		return this.#record;
	}

	get advertisement(): Advertisement {
		return this.#advertisement;
	}

	get node(): RpcNode<PeerPrincipal> {
		if (this.#node === undefined) throw new MeshError('internal', 'the directory has no node yet');
		return this.#node;
	}

	/**
	 * Fires when a member refuses us because our slot is another's and nobody needs our vote: nothing that we still do
	 * for the workload counts.
	 */
	get outvoted(): AbortSignal {
		return this.#outvoted.signal;
	}

	/** Our own workload. */
	get own(): WorkloadView {
		return this.view(this.#cert.wid);
	}

	listen(listener: DirectoryListener): Disposable {
		this.#listeners.add(listener);
		return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
	}

	/** Starts on a node whose exchange is {@link exchange}. */
	start(node: RpcNode<PeerPrincipal>): void {
		this.#node = node;
		this.#options.trust.isHere = (wid, at) => this.#isHere(wid, at);
		this.own.learn(this.#advertisement);
		const { services } = node;
		services.serve(PeerApi, {
			probe: async ({ peer }, { principal }) => {
				requireMember(principal);
				return { alive: await this.#reaches(peer) };
			},
			drain: async ({ reason }, { principal }) => {
				this.#requireCurrent(principal);
				this.onDrain?.(reason);
				return {};
			},
			cosign: ({ epoch, certs, papers }, { principal }) => {
				requireMember(principal);
				if (this.onCosign === undefined) throw new MeshError('unavailable', 'this replica has not joined yet');
				return this.onCosign(epoch, certs, papers);
			},
			renewal: (_, { principal }) => {
				requireMember(principal);
				const cert = this.onRenewal?.();
				return cert === undefined ? {} : { cert };
			},
			groupKey: (_, { principal }) => {
				this.#requireCurrent(principal);
				if (this.groupKey === undefined) throw new MeshError('unavailable', 'this replica has not joined yet');
				return { groupKey: this.groupKey() };
			},
			share: async ({ charter, manifest, generations }, { principal }) => {
				this.#requireCurrent(principal);
				this.own.learnGenerations(generations);
				await this.onCharter?.(charter, manifest);
				return {};
			},
		});
		this.#subscriptions.push(
			services.onNotify(HEARTBEAT, (_, { principal, remote }) =>
				this.#views.get(principal.cert.wid)?.heard(remote as PeerId),
			),
			services.onNotify(ADVERTISEMENTS, (payload) => this.#onAdvertisements(payload)),
			services.onNotify(EPOCHS, (payload) => void this.#onEpochs(payload)),
			this.#options.trust.onChange((wid) => {
				if (wid !== this.#cert.wid) return;
				// Members, and callers, who check our members too.
				for (const session of node.sessions()) this.#sendEpochs(session);
				this.learnMembers();
			}),
			node.onSession((session) => this.#onSession(session)),
		);
		this.#refresh = setInterval(() => this.publish({}), REFRESH_MS);
	}

	/** Of a displaced replica: whether a Raft group may still need its vote. Until its successor votes, it is let in. */
	mayStillVote: (at: SlotGen) => boolean = () => false;
	/** A member asks us to sign a change of the membership. */
	onCosign:
		| ((body: EpochRecord, certs: readonly Uint8Array[], papers: CosignPapers | undefined) => RecordSignature)
		| undefined;
	/** A member renews its certificate, and would renew ours with it. */
	onRenewal: (() => Uint8Array | undefined) | undefined;
	groupKey: (() => Uint8Array) | undefined;
	/** A member asks us to leave. */
	onDrain: ((reason: string) => void) | undefined;
	/** A displaced replica has been refused, and is hearing by whom it was displaced. */
	onDismissed: ((peer: PeerId) => void) | undefined;
	/** A member shares a charter. */
	onCharter: ((charter: Uint8Array, manifest: Uint8Array | undefined) => void | Promise<void>) | undefined;

	/** The view of a workload; made on first use. */
	view(wid: WorkloadId): WorkloadView {
		let view = this.#views.get(wid);
		if (view === undefined) {
			const isOwn = wid === this.#cert.wid;
			view = new WorkloadView({
				wid,
				self: isOwn ? this.#record.replicaId : undefined,
				// As a caller we use whatever is ready; who displaces whom is the other workload's business.
				displace: isOwn ? this.#options.displace : 'when-ready',
				node: this.node,
				isActive: isOwn,
				onMember: (event) => this.#onMember(wid, event),
				onSuperseded: (slot, gen) => this.#emit((l) => l.onSuperseded?.(slot, gen)),
				onOutvoted: () => this.#outvoted.abort(),
				onRefused: () => void this.#askAfterRefusal(),
			});
			this.#views.set(wid, view);
		}
		return view;
	}

	/** Dials a hint. The session's certificate says who it really is. */
	async dial(peer: PeerId, addresses: readonly string[], signal?: AbortSignal): Promise<Session<PeerPrincipal>> {
		try {
			return await this.node.connect(peer, { addresses, ...(signal === undefined ? {} : { signal }) });
		} catch (error) {
			this.own.refused(error);
			throw error;
		}
	}

	/**
	 * Takes generations from the newest epoch. A displaced replica may hear of its successor in no other way: it votes no
	 * more, and those that it has sessions with have not met the newcomer yet.
	 */
	learnMembers(): void {
		const { members = [] } = this.#options.trust.chain(this.#cert.wid)?.head.body ?? {};
		this.own.learnGenerations(members.map(({ slot, gen }) => [slot, gen] as const));
	}

	/** Takes an advertisement from anywhere, such as the DHT. Throws when it proves nothing, or is another owner's. */
	learn(bytes: Uint8Array): void {
		const advertisement = this.#read(bytes, Date.now());
		if (advertisement.record.replicaId === this.#record.replicaId) return;
		// Only of workloads that we belong to or call: anybody's else would be memory for nothing.
		this.#views.get(advertisement.record.wid)?.learn(advertisement);
	}

	/** Signs a new record and tells everybody connected. */
	publish(change: RecordChange): void {
		this.#advertisement = this.#sign(change);
		if (this.#node === undefined) return;
		this.own.learn(this.#advertisement);
		// Whoever has a session with us has our credential from its hello.
		const payload = encodeRecord([this.#advertisement.news]);
		for (const session of this.#node.sessions()) session.notify(ADVERTISEMENTS, payload);
		this.#emit((l) => l.onPublish?.(this.#advertisement));
	}

	/** Calls a member of our own workload. */
	member(peer: PeerId): Caller<(typeof PeerApi)['methods']> | undefined {
		const session = this.#node?.get(peer);
		return session?.principal.isMember ? session.caller(PeerApi) : undefined;
	}

	close(): void {
		clearInterval(this.#refresh);
		for (const view of this.#views.values()) view.close();
		for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
	}

	#sign(change: RecordChange): Advertisement {
		const { cert, signer, addresses } = this.#options;
		const nowMs = Date.now();
		this.#record = {
			...this.#record,
			addresses: [...(change.addresses ?? addresses())],
			services: [...(change.services ?? this.#record.services)],
			ready: change.ready ?? this.#record.ready,
			leaving: change.leaving ?? this.#record.leaving,
			left: change.left ?? this.#record.left,
			// Time starts the count: after a restart in place we are the same replica, and newer than we were.
			seq: Math.max(this.#record.seq + 1, nowMs),
			ts: nowMs,
			exp: nowMs + RECORD_TTL_MS,
		};
		const record = signRecord('service-record', this.#record, signer);
		const [bytes, news] = [encodeAdvertisement(record, cert.envelope), encodeAdvertisement(record)];
		return { cert: cert.body, certCid: cert.cid, record: this.#record, bytes, news };
	}

	async #admit(remote: PeerId | 'local', hello: Uint8Array): Promise<PeerPrincipal> {
		const parsed = v.safeParse(helloSchema, decodeRecord(hello));
		if (!parsed.success)
			throw new MeshError('invalid_input', 'the hello is not one of a replica, or of a version this one does not know');
		const { ad, head, epoch } = parsed.output;
		const { cert: envelope } = peekAdvertisement(ad);
		if (envelope === undefined) throw new MeshError('invalid_input', 'the hello came without a certificate');
		await this.#options.trust.require(envelope, epoch === undefined ? [] : [{ epoch, certs: [] }]);
		const advertisement = this.#read(ad, Date.now());
		const { cert, record } = advertisement;
		if (cert.replicaId !== remote)
			throw new MeshError('unauthorized', 'the certificate is of another replica than the one connected');
		const isMember = cert.wid === this.#cert.wid;
		if (!isMember && cert.namespace !== this.#cert.namespace) {
			throw new MeshError('unauthorized', `namespace ${cert.namespace} may not call into ${this.#cert.namespace}`);
		}
		const newestGen = this.#views.get(cert.wid)?.generations().get(cert.slot) ?? 0;
		const isDisplaced = isMember && this.#options.displace === 'at-once' && cert.gen < newestGen;
		if (isDisplaced && !this.mayStillVote(cert)) {
			// Told by whom, it has nothing more to say here.
			this.onDismissed?.(cert.replicaId);
			throw new MeshError(
				'conflict',
				`slot ${cert.slot} has been given to generation ${newestGen}; this is ${cert.gen}`,
				{
					details: { slot: cert.slot, gen: newestGen },
				},
			);
		}
		if (record.left) throw new MeshError('conflict', 'this replica has left its workload');
		return { cert, isMember, advertisement, head };
	}

	#onSession(session: Session<PeerPrincipal>): void {
		const { principal } = session;
		const peer = session.remote as PeerId;
		const view = this.view(principal.cert.wid);
		session.onClose(() => {
			// After a restart in place the peer has a new session before the old one is seen to be dead.
			if (this.#node?.get(peer) === undefined) view.sessionClosed(peer);
		});
		view.sessionOpened(principal.advertisement);
		this.#sendEpochs(session);
		// Whoever connects learns of all replicas of our workload; the newest record of ours may postdate its hello.
		session.notify(ADVERTISEMENTS, encodeRecord(this.own.advertisements().map(({ bytes }) => bytes)));
		if (principal.isMember) this.#emit((l) => l.onMemberSession?.(session));
	}

	#onAdvertisements(payload: Uint8Array): void {
		const list = decodeRecord(payload, ADVERTISEMENTS_BYTES_MAX);
		if (!Array.isArray(list)) return;
		for (const bytes of list) {
			if (!(bytes instanceof Uint8Array)) continue;
			try {
				this.learn(bytes);
			} catch (error) {
				void this.#learnLater(bytes, error);
			}
		}
	}

	/** A replica that was admitted in an epoch that we have not heard of. */
	async #learnLater(bytes: Uint8Array, refusal: unknown): Promise<void> {
		try {
			const { cert, wid } = peekAdvertisement(bytes);
			if (cert === undefined || !this.#views.has(wid)) throw refusal;
			await this.#options.trust.require(cert);
			this.learn(bytes);
		} catch (error) {
			this.#log.debug('advertisement refused', { error });
		}
	}

	async #onEpochs(payload: Uint8Array): Promise<void> {
		const { trust } = this.#options;
		try {
			const { wid, links } = v.parse(epochNewsSchema, decodeRecord(payload, EPOCHS_BYTES_MAX));
			if (trust.chain(wid) !== undefined && trust.offer(wid, links).type === 'gap') await trust.refresh(wid);
		} catch (error) {
			this.#log.debug('epochs refused', { error });
		}
	}

	/** Links after what the peer is known to have; it may have had them since from somebody else. */
	#sendEpochs(session: Session<PeerPrincipal>): void {
		const chain = this.#options.trust.chain(this.#cert.wid);
		if (chain === undefined) return;
		const theirs = session.principal.isMember ? session.principal.head : undefined;
		const sent = this.#sent.get(session) ?? theirs;
		const links = chain.linksFor(sent);
		this.#sent.set(session, chain.head);
		if (links.length > 0) session.notify(EPOCHS, encodeRecord({ wid: this.#cert.wid, links }));
	}

	#onMember(wid: WorkloadId, event: MemberEvent): void {
		if (wid === this.#cert.wid) {
			if (event.type === 'added') this.#tellCallers(event.record);
			if (event.type === 'removed' && event.cause === 'superseded') this.#tellDisplaced(event.record);
		}
		this.#emit((l) => l.onMember?.(wid, event));
	}

	/** Callers of our workload hear of a new replica from us; its own sessions reach only those it dials. */
	#tellCallers(record: ServiceRecord): void {
		const found = this.own.advertisements().find((a) => a.record.replicaId === record.replicaId);
		if (found === undefined) return;
		const payload = encodeRecord([found.bytes]);
		for (const session of this.node.sessions()) {
			if (!session.principal.isMember) session.notify(ADVERTISEMENTS, payload);
		}
	}

	/** A displaced replica may never have met the one that displaced it: both knew only us. */
	#tellDisplaced({ replicaId }: ServiceRecord): void {
		this.#node
			?.get(replicaId)
			?.notify(ADVERTISEMENTS, encodeRecord(this.own.advertisements().map(({ bytes }) => bytes)));
	}

	async #reaches(peer: PeerId): Promise<boolean> {
		try {
			const session = this.#node?.get(peer);
			if (session === undefined) return false;
			await session.ping(INDIRECT_PING_MS);
			return true;
		} catch {
			return false;
		}
	}

	/** Ourselves, whoever has a session with us, and whoever is alive as far as we know. */
	#isHere(wid: WorkloadId, { slot, gen }: SlotGen): boolean {
		const is = (one: SlotGen & { readonly wid: WorkloadId }): boolean =>
			one.wid === wid && one.slot === slot && one.gen === gen;
		// A stateful one may be needed to vote wherever it has been; whether it is, decides about its hello.
		if (wid === this.#cert.wid && this.#options.displace === 'at-once') return true;
		if (is(this.#cert) || this.node.sessions().some(({ principal }) => is(principal.cert))) return true;
		return (
			this.#views
				.get(wid)
				?.live()
				.some(({ record }) => is(record)) === true
		);
	}

	/** Somebody does not believe us. Where the epochs say why, we are displaced, and nobody has told us. */
	async #askAfterRefusal(): Promise<void> {
		const { trust, displace } = this.#options;
		const { wid, slot, gen, replicaId } = this.#cert;
		await trust.refresh(wid).catch(() => undefined);
		const chain = trust.chain(wid);
		if (displace === 'at-once' || chain === undefined || chain.member(replicaId) !== undefined) return;
		// As long as a member speaks with us we hand over, and hear from it when that is done.
		const isHeard = this.node.sessions().some(({ principal }) => {
			return principal.isMember && chain.member(principal.cert.replicaId) !== undefined;
		});
		if (isHeard) return;
		const successor = chain.head.members.find((member) => member.slot === slot && member.gen > gen);
		if (successor !== undefined) this.#emit((l) => l.onSuperseded?.(slot, successor.gen));
	}

	/** Throws `unauthorized` for a caller of another workload, and for a member on its way out. */
	#requireCurrent(principal: PeerPrincipal): void {
		requireMember(principal);
		if (this.#options.trust.chain(this.#cert.wid)?.member(principal.cert.replicaId) === undefined)
			throw new MeshError('unauthorized', 'a replica that was displaced may not ask that any more');
	}

	#emit(tell: (listener: DirectoryListener) => void): void {
		for (const listener of [...this.#listeners]) tell(listener);
	}
}

function requireMember(principal: PeerPrincipal): void {
	if (!principal.isMember) throw new MeshError('unauthorized', 'only replicas of this workload may ask that');
}
