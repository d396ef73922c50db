/**
 * The sessions of one identity: makes them, limits how many handshakes it answers, remembers peers for cheaper ones, and
 * ends those whose peer is not to be believed any more. One per libp2p node.
 */
import { isMeshError, MeshError } from '../../errors.ts';
import type { PeerId } from '../../wire/ids.ts';
import { type Clock, systemClock } from './clock.ts';
import {
	type Address,
	HandshakeGuard,
	type HandshakeLimits,
	Initiator,
	type Pending,
	type RefusalReason,
	type RekeyConfig,
	type RekeyLimits,
	Responder,
	type Role,
	refusalReasonOf,
	resolveLimits,
	resolveRekey,
	type SessionCrypto,
	type SessionIdentity,
	Tickets,
} from './core/index.ts';
import { nodeCrypto } from './crypto.ts';
import { type Pipe, runHandshake } from './handshake.ts';
import { Session } from './session.ts';

export interface SessionsOptions<P> {
	readonly identity: SessionIdentity<P>;
	/** Our libp2p peer ID, where we have one. */
	readonly self?: PeerId | undefined;
	readonly limits?: HandshakeLimits;
	readonly rekey?: RekeyLimits;
	/** Told of every handshake that we answered and that failed, e.g. to log it. */
	readonly onRefused?: (refusal: Refused) => void;
}

export interface Refused {
	readonly remote: PeerId | undefined;
	/** Undefined for loopback and the like. */
	readonly address: Address;
	readonly reason: RefusalReason;
	readonly error: Error;
}

/** Replaced in tests. */
export interface SessionsComponents {
	readonly crypto?: SessionCrypto;
	readonly clock?: Clock;
}

export interface OpenOptions {
	readonly role: Role;
	/** What the session is for; both sides must name the same. */
	readonly protocol: string;
	/** The peer that the connection below proved. */
	readonly remote: PeerId | undefined;
	/** Where it comes from, for the limit per address. Undefined: exempt, as loopback and unix sockets are. */
	readonly address?: Address;
	readonly signal?: AbortSignal | undefined;
}

export interface Opened<P> {
	readonly session: Session<P>;
	/** Bytes that came after the handshake: the first records. */
	readonly rest: Uint8Array;
}

/** What upper layers may know of a session. */
export interface SessionInfo<P> {
	readonly remote: PeerId | undefined;
	readonly principal: P;
	/** CID of the certificate that the peer proved. */
	readonly cid: string;
	readonly role: Role;
	readonly isResumed: boolean;
	/** How often the keys were replaced. */
	readonly phase: number;
	/** Streams that are open, the handshake's included. */
	readonly streams: number;
}

/** What of {@link Sessions} is handed to upper layers. */
export interface SessionRegistry<P> {
	/** Those that are open. */
	sessions(): readonly SessionInfo<P>[];
	/** Whom this peer proved to be, in its newest open session. */
	principalOf(peer: PeerId): P | undefined;
	/**
	 * Asks the identity about every peer again and ends the sessions of those it refuses now, with their connections.
	 * To be called when somebody was revoked; happens every five minutes anyway, for certificates that expire. Returns
	 * how many were ended.
	 */
	recheck(): Promise<number>;
	/** Ends the sessions of this peer. */
	close(peer: PeerId, reason: string): void;
}

const REMEMBERED_MAX = 4096;
const RECHECK_MS = 5 * 60_000;

export class Sessions<P> implements SessionRegistry<P> {
	readonly identity: SessionIdentity<P>;
	readonly #self: PeerId | undefined;
	readonly #crypto: SessionCrypto;
	readonly #clock: Clock;
	readonly #rekey: RekeyConfig;
	readonly #guard: HandshakeGuard;
	#cancelWatch: (() => void) | undefined;
	readonly #onRefused: (refusal: Refused) => void;
	readonly #tickets = new Tickets();
	readonly #open = new Set<Session<P>>();
	/** CIDs of the certificates that peers proved last. */
	readonly #remembered = new Map<PeerId, string>();

	constructor(options: SessionsOptions<P>, { crypto = nodeCrypto, clock = systemClock }: SessionsComponents = {}) {
		const { identity, self, limits, rekey, onRefused = () => undefined } = options;
		this.identity = identity;
		this.#self = self;
		this.#onRefused = onRefused;
		this.#crypto = crypto;
		this.#clock = clock;
		this.#rekey = resolveRekey(rekey);
		this.#guard = new HandshakeGuard(crypto, resolveLimits(limits));
	}

	/** Handshakes that are under way where we answer. */
	get pendingCount(): number {
		return this.#guard.pendingCount;
	}

	/** The handshake. Rejects with `unauthorized`, `exhausted` (too many at once), `unavailable` or `cancelled`. */
	open(pipe: Pipe, options: OpenOptions): Promise<Opened<P>> {
		return options.role === 'initiator' ? this.#initiate(pipe, options) : this.#respond(pipe, options);
	}

	sessions(): readonly SessionInfo<P>[] {
		return [...this.#open].map(({ remote, principal, cid, role, isResumed, phase, streams }) => ({
			remote,
			principal,
			cid,
			role,
			isResumed,
			phase,
			streams,
		}));
	}

	principalOf(peer: PeerId): P | undefined {
		let newest: Session<P> | undefined;
		for (const session of this.#open) if (session.remote === peer) newest = session;
		return newest?.principal;
	}

	async recheck(): Promise<number> {
		const checks = [...this.#open].map(async (session) => {
			try {
				await this.identity.verify(session.certificate, session.remote);
				return 0;
			} catch (cause) {
				// One that cannot tell does not refuse: it would cut a whole mesh off.
				if (isMeshError(cause) && cause.code !== 'unauthorized') return 0;
				session.end(ended(session.remote, 'certificate refused', cause));
				return 1;
			}
		});
		const counts: readonly number[] = await Promise.all(checks);
		return counts.reduce((sum, count) => sum + count, 0);
	}

	close(peer: PeerId, reason: string): void {
		for (const session of this.#open) if (session.remote === peer) session.end(ended(peer, reason));
	}

	/** Ends all, and forgets what was kept for resumption. */
	end(): void {
		this.#tickets.clear();
		this.#cancelWatch?.();
		this.#cancelWatch = undefined;
		for (const session of this.#open) session.end(new MeshError('unavailable', 'BMS/1: we are stopping'));
	}

	async #initiate(pipe: Pipe, options: OpenOptions): Promise<Opened<P>> {
		const machine = new Initiator<P>(this.#handshakeConfig(options));
		return this.#run(pipe, machine, options);
	}

	async #respond(pipe: Pipe, options: OpenOptions): Promise<Opened<P>> {
		const { remote, address, signal } = options;
		const eviction = new AbortController();
		const pending: Pending = { address, hasPassedGate: false, evict: () => eviction.abort() };
		if (!this.#guard.begin(pending)) {
			const why = `BMS/1: ${remote ?? 'a peer'} was turned away: too many handshakes at once`;
			const error = new MeshError('exhausted', why);
			this.#onRefused({ remote, address, reason: 'busy', error });
			throw error;
		}
		const who = `${remote ?? ''} ${address ?? ''}`;
		const machine = new Responder<P>(this.#handshakeConfig(options), this.#guard.admissionOf(pending, who));
		const signals = signal === undefined ? eviction.signal : AbortSignal.any([signal, eviction.signal]);
		try {
			return await this.#run(pipe, machine, { ...options, signal: signals });
		} catch (error) {
			if (signal?.aborted !== true)
				this.#onRefused({ remote, address, reason: refusalReasonOf(error), error: error as Error });
			throw error;
		} finally {
			this.#guard.end(pending);
		}
	}

	#handshakeConfig({ protocol, remote }: OpenOptions) {
		return {
			crypto: this.#crypto,
			identity: this.identity,
			protocol,
			self: this.#self,
			remote,
			remembered: remote === undefined ? undefined : this.#remembered.get(remote),
			tickets: this.#tickets,
		};
	}

	async #run(pipe: Pipe, machine: Initiator<P> | Responder<P>, { remote, signal }: OpenOptions): Promise<Opened<P>> {
		const { timeoutMs } = this.#guard.config;
		const clock = this.#clock;
		const run = { machine, identity: this.identity, remote, clock, timeoutMs, signal };
		const result = await runHandshake<P>(pipe, run);
		const components = { crypto: this.#crypto, clock, rekey: this.#rekey };
		const session = new Session<P>(components, remote, result.certificate, result.session);
		this.#open.add(session);
		session.onEnd(() => this.#open.delete(session));
		this.#watch();
		if (remote !== undefined) this.#remember(remote, session.cid);
		return { session, rest: result.rest };
	}

	/** Certificates expire while their sessions live; nobody needs to think of that. */
	#watch(): void {
		this.#cancelWatch ??= this.#clock.after(RECHECK_MS, () => {
			this.#cancelWatch = undefined;
			if (this.#open.size === 0) return;
			this.#watch();
			void this.recheck();
		});
	}

	#remember(remote: PeerId, cid: string): void {
		this.#remembered.delete(remote);
		this.#remembered.set(remote, cid);
		for (const oldest of this.#remembered.keys()) {
			if (this.#remembered.size <= REMEMBERED_MAX) break;
			this.#remembered.delete(oldest);
		}
	}
}

function ended(remote: PeerId | undefined, reason: string, cause?: unknown): MeshError {
	const why = cause instanceof Error ? `${reason}: ${cause.message}` : reason;
	return new MeshError('unauthorized', `BMS/1: session with ${remote ?? 'a peer'} ended: ${why}`, {
		applied: 'maybe',
		...(remote === undefined ? {} : { peer: remote }),
		...(cause === undefined ? {} : { cause }),
	});
}
