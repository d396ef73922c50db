/**
 * How many handshakes a responder takes: so many a second from one address and in all, so many at a time, each for so
 * long. Under load it asks for a cookie first, which costs it one HMAC and no memory.
 */
import { equalBytes, Writer } from './bytes.ts';
import type { SessionCrypto } from './crypto.ts';
import type { DecodedM1 } from './messages.ts';

export interface HandshakeLimits {
	/** From one address; loopback and unix sockets are exempt, for there all hosts of a mesh share one. Default 5. */
	readonly perAddressPerSecond?: number;
	/** Default 50. */
	readonly totalPerSecond?: number;
	/** At a time; a newcomer displaces the oldest that has not passed the gate. Default 64. */
	readonly pendingMax?: number;
	/** From this many pending on, or when half the rate is used up, cookies are asked for. Default 16. */
	readonly cookiePending?: number;
	/** For one handshake. Default 10 s. */
	readonly timeoutMs?: number;
}

export type LimitsConfig = Required<HandshakeLimits>;

export function resolveLimits(limits: HandshakeLimits = {}): LimitsConfig {
	return Object.freeze({
		perAddressPerSecond: 5,
		totalPerSecond: 50,
		pendingMax: 64,
		cookiePending: 16,
		timeoutMs: 10_000,
		...limits,
	});
}

/** Who asks. Undefined: exempt from the limit per address. */
export type Address = string | undefined;

/** What one responder may ask about its own handshake. */
export interface Admission {
	/** Called once the gate has been passed, before anything costly. */
	admit(m1: DecodedM1, nowMs: number): 'go' | 'retry' | 'busy' | 'replay';
	cookie(m1: DecodedM1, nowMs: number): Uint8Array;
}

/** A handshake that is not finished. */
export interface Pending {
	readonly address: Address;
	/** Ends it for the sake of a newcomer. */
	readonly evict: () => void;
	hasPassedGate: boolean;
}

const COOKIE_MS = 60_000;
const ADDRESSES_MAX = 4096;
const NONCES_MAX = 4096;
const NONCE_MS = 10 * 60_000;

export class HandshakeGuard {
	readonly config: LimitsConfig;
	readonly #crypto: SessionCrypto;
	readonly #secret: Uint8Array;
	readonly #pending = new Set<Pending>();
	readonly #total: Bucket;
	readonly #perAddress = new Map<string, Bucket>();
	/** Nonces of M1s that were answered, with the time at which they are forgotten. */
	readonly #nonces = new Map<string, number>();

	constructor(crypto: SessionCrypto, config: LimitsConfig) {
		this.config = config;
		this.#crypto = crypto;
		this.#secret = crypto.randomBytes(32);
		this.#total = new Bucket(config.totalPerSecond);
	}

	get pendingCount(): number {
		return this.#pending.size;
	}

	/** Takes a place. False: all are held by peers that know the pre-shared key. */
	begin(pending: Pending): boolean {
		if (this.#pending.size >= this.config.pendingMax) {
			const stranger = [...this.#pending].find(({ hasPassedGate }) => !hasPassedGate);
			if (stranger === undefined) return false;
			this.#pending.delete(stranger);
			stranger.evict();
		}
		this.#pending.add(pending);
		return true;
	}

	end(pending: Pending): void {
		this.#pending.delete(pending);
	}

	admissionOf(pending: Pending, who: string): Admission {
		return {
			admit: (m1, nowMs) => {
				pending.hasPassedGate = true;
				return this.#admit(m1, pending.address, who, nowMs);
			},
			cookie: (m1, nowMs) => this.#cookie(m1, who, minuteOf(nowMs)),
		};
	}

	#admit(m1: DecodedM1, address: Address, who: string, nowMs: number): 'go' | 'retry' | 'busy' | 'replay' {
		const isLoaded = this.#pending.size > this.config.cookiePending || this.#total.level(nowMs) < 0.5;
		if (isLoaded && !this.#hasCookie(m1, who, nowMs)) return 'retry';
		const nonce = String.fromCharCode(...m1.nonce);
		if ((this.#nonces.get(nonce) ?? 0) > nowMs) return 'replay';
		if (address !== undefined && !this.#bucketOf(address).take(nowMs)) return 'busy';
		if (!this.#total.take(nowMs)) return 'busy';
		this.#remember(nonce, nowMs);
		return 'go';
	}

	#hasCookie(m1: DecodedM1, who: string, nowMs: number): boolean {
		const minute = minuteOf(nowMs);
		// One from the end of the last minute is still good.
		return [minute, minute - 1].some((m) => equalBytes(m1.cookie, this.#cookie(m1, who, m)));
	}

	#cookie(m1: DecodedM1, who: string, minute: number): Uint8Array {
		const text = new Writer();
		for (const char of who.slice(0, 255)) text.u16(char.charCodeAt(0));
		return this.#crypto.hmac(this.#secret, new Writer().u64(minute).long(text.done()).done(), m1.cookieless);
	}

	#bucketOf(address: string): Bucket {
		const bucket = this.#perAddress.get(address) ?? new Bucket(this.config.perAddressPerSecond);
		// Last used, last in the map: the first is the one to forget.
		this.#perAddress.delete(address);
		this.#perAddress.set(address, bucket);
		for (const oldest of this.#perAddress.keys()) {
			if (this.#perAddress.size <= ADDRESSES_MAX) break;
			this.#perAddress.delete(oldest);
		}
		return bucket;
	}

	/** Forgetting one early costs a signature, no authority: M3 cannot be replayed. */
	#remember(nonce: string, nowMs: number): void {
		this.#nonces.set(nonce, nowMs + NONCE_MS);
		for (const [oldest, expiresMs] of this.#nonces) {
			if (this.#nonces.size <= NONCES_MAX && expiresMs > nowMs) break;
			this.#nonces.delete(oldest);
		}
	}
}

function minuteOf(nowMs: number): number {
	return Math.floor(nowMs / COOKIE_MS);
}

/** So many a second, a second's worth at once. */
export class Bucket {
	readonly #perSecond: number;
	#tokens: number;
	#atMs = Number.NEGATIVE_INFINITY;

	constructor(perSecond: number) {
		this.#perSecond = perSecond;
		this.#tokens = perSecond;
	}

	take(nowMs: number): boolean {
		this.#refill(nowMs);
		if (this.#tokens < 1) return false;
		this.#tokens -= 1;
		return true;
	}

	/** From 0, empty, to 1, full. */
	level(nowMs: number): number {
		this.#refill(nowMs);
		return this.#tokens / this.#perSecond;
	}

	#refill(nowMs: number): void {
		const elapsedMs = Math.max(0, nowMs - this.#atMs);
		this.#atMs = Math.max(this.#atMs, nowMs);
		this.#tokens = Math.min(this.#perSecond, this.#tokens + (elapsedMs / 1000) * this.#perSecond);
	}
}
