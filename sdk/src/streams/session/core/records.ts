/**
 * The layout of records: `phase u8 | type u8 | length u16 | ciphertext and tag`, at most 64 KiB in all. Splits a byte
 * stream into them; anything that cannot be a record throws, before its bytes are waited for.
 */
import { MeshError } from '../../../errors.ts';
import { EMPTY } from './bytes.ts';
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

/** Bytes in, whole records out. Keeps less than one record between calls. */
export class RecordSplitter {
	#buffer: Uint8Array = EMPTY;
	/** Pieces of a record that has not come whole. */
	#pieces: Uint8Array[] = [];
	#have = 0;
	#need = HEADER_BYTES;

	/** True when the stream may end here. */
	get isAtBoundary(): boolean {
		return this.#have === 0;
	}

	*split(chunk: Uint8Array): Generator<SealedRecord> {
		let rest = chunk;
		while (rest.byteLength > 0) {
			if (this.#have > 0) rest = this.#fill(rest);
			const whole = this.#have > 0 ? this.#takeBuffered() : undefined;
			if (whole !== undefined) {
				yield whole;
				continue;
			}
			if (this.#have > 0) continue;
			if (rest.byteLength < HEADER_BYTES) {
				this.#keep(rest, HEADER_BYTES);
				return;
			}
			const total = HEADER_BYTES + lengthOf(rest);
			if (rest.byteLength < total) {
				this.#keep(rest, total);
				return;
			}
			yield recordOf(rest.subarray(0, total));
			rest = rest.subarray(total);
		}
	}

	#keep(rest: Uint8Array, need: number): void {
		this.#pieces.push(rest);
		this.#have = rest.byteLength;
		this.#need = need;
	}

	/** Adds to the kept pieces up to what is needed; returns what is left over. */
	#fill(rest: Uint8Array): Uint8Array {
		const take = Math.min(this.#need - this.#have, rest.byteLength);
		this.#pieces.push(rest.subarray(0, take));
		this.#have += take;
		return rest.subarray(take);
	}

	#takeBuffered(): SealedRecord | undefined {
		if (this.#have < this.#need) return undefined;
		this.#buffer = join(this.#pieces, this.#have);
		const total = HEADER_BYTES + lengthOf(this.#buffer);
		if (this.#have < total) {
			this.#pieces = [this.#buffer];
			this.#need = total;
			return undefined;
		}
		this.#pieces = [];
		this.#have = 0;
		return recordOf(this.#buffer);
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

function join(pieces: readonly Uint8Array[], length: number): Uint8Array {
	const [only] = pieces;
	if (pieces.length === 1 && only !== undefined) return only;
	const whole = new Uint8Array(length);
	let at = 0;
	for (const piece of pieces) {
		whole.set(piece, at);
		at += piece.byteLength;
	}
	return whole;
}
