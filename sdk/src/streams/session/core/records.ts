/**
 * The layout of records: `phase u8 | type u8 | length u16 | ciphertext and tag`, at most 64 KiB in all. Splits a byte
 * stream into them; anything that cannot be a record throws, before its bytes are waited for.
 */
import { MeshError } from '../../../errors.ts';
import { TAG_BYTES } from './crypto.ts';

export const RECORD = { data: 0, end: 1, control: 2 } as const;
export type RecordType = (typeof RECORD)[keyof typeof RECORD];

export const RECORD_BYTES_MAX = 64 * 1024;
export const HEADER_BYTES = 4;
export const OVERHEAD_BYTES = HEADER_BYTES + TAG_BYTES;
export const PLAINTEXT_BYTES_MAX = RECORD_BYTES_MAX - OVERHEAD_BYTES;

export interface SealedRecord {
	/** The low byte of the phase's number. */
	readonly phase: number;
	readonly type: RecordType;
	readonly header: Uint8Array;
	readonly sealed: Uint8Array;
}

/** The one error of a session that was tampered with: which check failed is nobody's business. */
export function broken(): MeshError {
	return new MeshError('unauthorized', 'BMS/1: a record does not verify; the session is ended', { applied: 'maybe' });
}

export function writeHeader(target: Uint8Array, at: number, phase: number, type: RecordType, length: number): void {
	target[at] = phase;
	target[at + 1] = type;
	target[at + 2] = length >>> 8;
	target[at + 3] = length;
}

/**
 * Bytes in, whole records out. A record is a view that is good until the next one is asked for: those that came in
 * pieces are put together in one buffer over and over.
 */
export class RecordSplitter {
	/** Grows to one record. */
	#buffer: Uint8Array = new Uint8Array(256);
	#have = 0;
	#need = HEADER_BYTES;

	/** True when the stream may end here. */
	get isAtBoundary(): boolean {
		return this.#have === 0;
	}

	*split(chunk: Uint8Array): Generator<SealedRecord> {
		let rest = chunk;
		while (rest.byteLength > 0) {
			if (this.#have === 0 && rest.byteLength >= HEADER_BYTES) {
				const total = HEADER_BYTES + lengthOf(rest);
				if (rest.byteLength >= total) {
					yield recordOf(rest.subarray(0, total));
					rest = rest.subarray(total);
					continue;
				}
				this.#need = total;
			}
			rest = this.#keep(rest);
			if (this.#have < this.#need) return;
			const total = HEADER_BYTES + lengthOf(this.#buffer);
			if (this.#have < total) {
				this.#need = total;
				continue;
			}
			this.#have = 0;
			this.#need = HEADER_BYTES;
			yield recordOf(this.#buffer.subarray(0, total));
		}
	}

	/** Takes what is needed; returns what is left over. */
	#keep(rest: Uint8Array): Uint8Array {
		const take = Math.min(this.#need - this.#have, rest.byteLength);
		if (this.#need > this.#buffer.byteLength) {
			const larger = new Uint8Array(this.#need > 16 * 1024 ? RECORD_BYTES_MAX : this.#need);
			larger.set(this.#buffer.subarray(0, this.#have));
			this.#buffer = larger;
		}
		this.#buffer.set(rest.subarray(0, take), this.#have);
		this.#have += take;
		return rest.subarray(take);
	}
}

function lengthOf(header: Uint8Array): number {
	const type = header[1] as number;
	const length = ((header[2] as number) << 8) | (header[3] as number);
	if (type > RECORD.control) throw broken();
	if (length < TAG_BYTES || length > RECORD_BYTES_MAX - HEADER_BYTES) throw broken();
	return length;
}

function recordOf(bytes: Uint8Array): SealedRecord {
	return {
		phase: bytes[0] as number,
		type: bytes[1] as RecordType,
		header: bytes.subarray(0, HEADER_BYTES),
		sealed: bytes.subarray(HEADER_BYTES),
	};
}
