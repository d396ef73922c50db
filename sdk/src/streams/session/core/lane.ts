/**
 * One direction of one stream: its keys, its sequence numbers, its phase.
 *
 * Invariant: a (key, nonce) pair seals once. A key belongs to one phase, stream and direction; within it the sequence
 * number only grows, and a lane never goes back to an earlier phase.
 */
import { MeshError } from '../../../errors.ts';
import { type Aead, IV_BYTES, type SessionCrypto, type SuiteId } from './crypto.ts';
import { type Lane, laneKey, roleNumber } from './key-schedule.ts';
import { broken, HEADER_BYTES, OVERHEAD_BYTES, type RecordType, type SealedRecord, writeHeader } from './records.ts';

/** Far beyond what a phase can carry; a wrapped sequence number would be a reused nonce. */
const SEQUENCE_MAX = 2 ** 48;

class PhaseKey {
	readonly #aead: Aead;
	readonly #iv: Uint8Array;
	readonly #nonce = new Uint8Array(IV_BYTES);
	#sequence = 0;

	constructor(crypto: SessionCrypto, suite: SuiteId, phaseSecret: Uint8Array, lane: Lane) {
		const { aead, iv } = laneKey(crypto, suite, phaseSecret, lane);
		this.#aead = aead;
		this.#iv = iv;
	}

	seal(aad: Uint8Array, plaintext: Uint8Array, target: Uint8Array, at: number): void {
		this.#aead.seal(this.#next(), aad, plaintext, target, at);
	}

	open(aad: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
		return this.#aead.open(this.#next(), aad, sealed);
	}

	/** iv XOR the sequence number as 64 bits. */
	#next(): Uint8Array {
		const sequence = this.#sequence++;
		if (sequence >= SEQUENCE_MAX) throw new MeshError('internal', 'BMS/1: sequence numbers used up');
		const nonce = this.#nonce;
		nonce.set(this.#iv);
		let rest = sequence;
		for (let i = IV_BYTES - 1; rest > 0; i--) {
			nonce[i] = (nonce[i] as number) ^ (rest & 0xff);
			rest = Math.floor(rest / 256);
		}
		return nonce;
	}
}

/**
 * header ‖ direction: a record of one direction is none of the other. Made once for a lane; the header of each record is
 * written to its beginning.
 */
function additionalData({ writer }: Lane): Uint8Array {
	const aad = new Uint8Array(HEADER_BYTES + 1);
	aad[HEADER_BYTES] = roleNumber(writer);
	return aad;
}

export class SendLane {
	readonly #crypto: SessionCrypto;
	readonly #suite: SuiteId;
	readonly #lane: Lane;
	readonly #aad: Uint8Array;
	#phase = -1;
	#key: PhaseKey | undefined;

	constructor(crypto: SessionCrypto, suite: SuiteId, lane: Lane) {
		this.#crypto = crypto;
		this.#suite = suite;
		this.#lane = lane;
		this.#aad = additionalData(lane);
	}

	/** The record, in the session's present phase. */
	seal(phase: number, phaseSecret: Uint8Array, type: RecordType, plaintext: Uint8Array): Uint8Array {
		const record = new Uint8Array(plaintext.byteLength + OVERHEAD_BYTES);
		this.sealInto(record, 0, phase, phaseSecret, type, plaintext);
		return record;
	}

	/** The same, into a larger array; takes {@link OVERHEAD_BYTES} more than the plaintext. */
	sealInto(
		target: Uint8Array,
		at: number,
		phase: number,
		phaseSecret: Uint8Array,
		type: RecordType,
		plaintext: Uint8Array,
	): void {
		if (phase < this.#phase) throw new MeshError('internal', 'BMS/1: a lane cannot go back a phase');
		if (this.#key === undefined || phase > this.#phase) {
			this.#key = new PhaseKey(this.#crypto, this.#suite, phaseSecret, this.#lane);
			this.#phase = phase;
		}
		const length = plaintext.byteLength + OVERHEAD_BYTES - HEADER_BYTES;
		writeHeader(target, at, phase & 0xff, type, length);
		writeHeader(this.#aad, 0, phase & 0xff, type, length);
		this.#key.seal(this.#aad, plaintext, target, at + HEADER_BYTES);
	}
}

export class ReceiveLane {
	readonly #crypto: SessionCrypto;
	readonly #suite: SuiteId;
	readonly #lane: Lane;
	readonly #secrets: ReadonlyMap<number, Uint8Array>;
	readonly #aad: Uint8Array;
	/** Of the phase that the lane is in and of those it will come to. None before the first record. */
	readonly #keys = new Map<number, PhaseKey>();
	#phase: number | undefined;

	/** `secrets`: the phases that the session can read, oldest first, as they are at any time. */
	constructor(crypto: SessionCrypto, suite: SuiteId, lane: Lane, secrets: ReadonlyMap<number, Uint8Array>) {
		this.#crypto = crypto;
		this.#suite = suite;
		this.#lane = lane;
		this.#secrets = secrets;
		this.#aad = additionalData(lane);
	}

	/** The session can read one phase more. The key is made at once, so that the session may forget its secret. */
	install(phase: number, phaseSecret: Uint8Array): void {
		if (this.#phase !== undefined) this.#keys.set(phase, this.#keyOf(phaseSecret));
	}

	/** The plaintext, or one generic error. */
	open({ phase: low, header, sealed }: SealedRecord): { readonly phase: number; readonly plaintext: Uint8Array } {
		const phase = this.#phase === undefined ? this.#begin(low) : this.#phaseOf(low, this.#phase);
		const key = phase === undefined ? undefined : this.#keys.get(phase);
		this.#aad.set(header);
		const plaintext = key?.open(this.#aad, sealed);
		if (phase === undefined || plaintext === undefined) throw broken();
		if (phase !== this.#phase) {
			this.#phase = phase;
			// What came before is over: the first record of a phase closes all earlier ones.
			for (const earlier of this.#keys.keys()) if (earlier < phase) this.#keys.delete(earlier);
		}
		return { phase, plaintext };
	}

	/** A lane may begin in any phase that can be read: a stream can be long on its way. */
	#begin(low: number): number | undefined {
		let begun: number | undefined;
		for (const phase of this.#secrets.keys()) if ((phase & 0xff) === low) begun = phase;
		if (begun === undefined) return undefined;
		for (const [phase, secret] of this.#secrets) if (phase >= begun) this.#keys.set(phase, this.#keyOf(secret));
		return begun;
	}

	/** A writer announces each phase on each open stream, so a lane goes on by one at most. */
	#phaseOf(low: number, present: number): number | undefined {
		return [present, present + 1].find((phase) => (phase & 0xff) === low && this.#keys.has(phase));
	}

	#keyOf(phaseSecret: Uint8Array): PhaseKey {
		return new PhaseKey(this.#crypto, this.#suite, phaseSecret, this.#lane);
	}
}
