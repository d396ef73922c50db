/**
 * Lets a message in that somebody may have relayed, or not: size → form → time → rate → known certificate → replay →
 * signature, cheap checks first, and only a message that passed them all spends its author's rate and nonce. A refusal
 * changes nothing but the account of whoever passed the message on.
 *
 * What is held against the one who passed it on is what anyone could have checked; clocks, rates and what one machine
 * knows and another does not are nobody's fault.
 */
import { isMeshError, MeshError } from '@beemesh/sdk/errors';
import { requireFresh } from '@beemesh/sdk/identity';
import type { MachineId } from '@beemesh/sdk/wire';
import { createRateLimit, type RateConfig, type RateLimit } from './core/rate.ts';
import { createReplayCache, type ReplayCache, type ReplayVerdict } from './core/replay.ts';
import type { Verdict } from './ports.ts';

/** What a message says of itself, none of it proved. */
export interface Claim {
	/** Whose nonces these are: a key, or a machine. */
	readonly sender: string;
	/** Whose rate it counts against. */
	readonly account: string;
	/** Absent where a number that grows tells news from replays, see {@link Kind.isNews}. */
	readonly nonce?: string;
	/** Absent for what holds until it is replaced. */
	readonly ts?: number;
	readonly exp?: number;
}

/** One kind of message, `C` as decoded and `T` as verified. */
export interface Kind<C, T> {
	/** For people: "the tender". */
	readonly what: string;
	readonly bytesMax: number;
	/** Verified messages per author. */
	readonly rate: RateConfig;
	/** Signatures checked per machine that passes such messages on. */
	readonly checks: RateConfig;
	/** Canonical form, schema, and that it is of this mesh. Throws `invalid_input` or `unauthorized`. */
	decode(bytes: Uint8Array): C;
	claim(message: C): Claim;
	/** Whether it is newer than what is known. */
	isNews?(message: C): boolean;
	/** Whether the certificate is known that the signature needs. */
	isKnown?(message: C, nowMs: number): boolean;
	/** Throws `unauthorized` or `invalid_input`. */
	verify(message: C, nowMs: number): T;
}

export type Admitted<T> =
	| { readonly verdict: 'accept'; readonly value: T }
	| { readonly verdict: Exclude<Verdict, 'accept'>; readonly error: MeshError };

/** Messages of any kind, good or bad, from one machine: an honest one relays a whole mesh's presence and tenders. */
const ARRIVALS: RateConfig = { perMinute: 100 * 60, burst: 600 };

export class Intake<C, T> {
	readonly #kind: Kind<C, T>;
	readonly #startedAtMs: number;
	readonly #replays: ReplayCache = createReplayCache();
	readonly #arrivals: RateLimit = createRateLimit(ARRIVALS);
	readonly #checks: RateLimit;
	readonly #rates: RateLimit;

	/** `startedAtMs`: what was said before cannot be told from a replay, for the memory of it is gone. */
	constructor(kind: Kind<C, T>, startedAtMs: number) {
		this.#kind = kind;
		this.#startedAtMs = startedAtMs;
		this.#checks = createRateLimit(kind.checks);
		this.#rates = createRateLimit(kind.rate);
	}

	/** `from`: the machine that passed it on, whoever wrote it. Undefined: this host itself. */
	admit(bytes: Uint8Array, from: MachineId | undefined, nowMs: number): Admitted<T> {
		const kind = this.#kind;
		let verdict: Exclude<Verdict, 'accept'> = 'reject';
		try {
			if (bytes.byteLength > kind.bytesMax) {
				throw new MeshError(
					'invalid_input',
					`${kind.what} has ${bytes.byteLength} bytes, the limit is ${kind.bytesMax}`,
				);
			}
			if (from !== undefined && !this.#arrivals.allows(from, nowMs)) {
				verdict = 'ignore';
				throw new MeshError('exhausted', `too many messages from ${from}`);
			}
			if (from !== undefined) this.#arrivals.spend(from, nowMs);
			const message = kind.decode(bytes);
			verdict = 'ignore';
			const claim = kind.claim(message);
			this.#requireTimely(claim, nowMs);
			if (!this.#rates.allows(claim.account, nowMs) || (from !== undefined && !this.#checks.allows(from, nowMs))) {
				throw new MeshError('exhausted', `${kind.what} is one too many: wait some seconds`);
			}
			if (kind.isKnown?.(message, nowMs) === false) {
				throw new MeshError('not_found', `the certificate that ${kind.what} needs is not known here`);
			}
			if (kind.isNews?.(message) === false) throw new MeshError('conflict', `${kind.what} is old news`);
			const { sender, nonce } = claim;
			if (nonce !== undefined) this.#requireUnused(this.#replays.check(sender, nonce, nowMs));

			if (from !== undefined) this.#checks.spend(from, nowMs);
			verdict = 'reject';
			const value = kind.verify(message, nowMs);
			if (nonce !== undefined) this.#replays.commit(sender, nonce, nowMs);
			this.#rates.spend(claim.account, nowMs);
			return { verdict: 'accept', value };
		} catch (error) {
			if (!isMeshError(error)) throw error;
			return { verdict, error };
		}
	}

	#requireTimely({ ts, exp }: Claim, nowMs: number): void {
		if (ts === undefined) return;
		requireFresh(this.#kind.what, exp === undefined ? { ts } : { ts, exp }, nowMs);
		if (ts < this.#startedAtMs) {
			throw new MeshError('unauthorized', `${this.#kind.what} is older than this host: it may be a replay`);
		}
	}

	#requireUnused(verdict: ReplayVerdict): void {
		if (verdict === 'replayed')
			throw new MeshError('conflict', `${this.#kind.what} has been used already: sign a new one`);
		if (verdict === 'full')
			throw new MeshError('exhausted', `too many of ${this.#kind.what} from one author in minutes`);
	}
}
