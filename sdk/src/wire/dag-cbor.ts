import * as cbor from '@ipld/dag-cbor';
import { CID } from 'multiformats/cid';
import { create as createDigest } from 'multiformats/hashes/digest';
import { MeshError } from '../errors.ts';
import type { RecordCid } from './ids.ts';
import { LIMITS } from './limits.ts';

/** Canonical (strict) DAG-CBOR: sorted keys, shortest forms, no duplicates. */
export function encodeRecord(value: unknown): Uint8Array {
	return cbor.encode(value);
}

/** Values cost many times their bytes: in small records this many, in larger ones one per so many bytes of their limit. */
const VALUES_MIN = 4_096;
const BYTES_PER_VALUE = 16;
/** A name that objects have other uses for. */
const PROTO = Array.from('__proto__', (letter) => letter.charCodeAt(0));

/** Decodes canonical DAG-CBOR; anything else, or anything too large or deep, is `invalid_input`. */
export function decodeRecord(bytes: Uint8Array, bytesMax: number = LIMITS.recordBytesMax): unknown {
	if (bytes.byteLength > bytesMax) {
		throw new MeshError('invalid_input', `record of ${bytes.byteLength} bytes is larger than ${bytesMax}`);
	}
	checkShape(bytes, Math.max(VALUES_MIN, bytesMax / BYTES_PER_VALUE));
	let value: unknown;
	try {
		value = cbor.decode(bytes);
	} catch (cause) {
		throw new MeshError('invalid_input', 'record is not DAG-CBOR', { cause });
	}
	const again = cbor.encode(value);
	if (!isSame(again, bytes)) {
		throw new MeshError('invalid_input', 'record is not canonical DAG-CBOR');
	}
	return value;
}

/** A plain loop: this runs over every byte that anybody sends. */
function isSame(a: Uint8Array, b: Uint8Array): boolean {
	if (a.byteLength !== b.byteLength) return false;
	for (let i = 0; i < a.byteLength; i++) if (a[i] !== b[i]) return false;
	return true;
}

const SHA2_256 = 0x12;

/** CID of a record whose SHA-256 is already known (hashing is I/O-free but platform code, so it is handed in). */
export function cidFromDigest(sha256: Uint8Array, codec: number = cbor.code): RecordCid {
	return CID.createV1(codec, createDigest(SHA2_256, sha256)).toString() as RecordCid;
}

/**
 * Walks the structure before anything is built of it, for a decoder follows any nesting and believes lengths: depth, number
 * of values, and that every length fits what is left. Forms that DAG-CBOR does not have are the decoder's to refuse.
 */
function checkShape(bytes: Uint8Array, valuesMax: number): void {
	const end = bytes.byteLength;
	/** Values still to come at each open level. */
	const open: number[] = [1];
	/** Which of these levels are maps: every second value in them is a key. */
	const maps: boolean[] = [false];
	let at = 0;
	let values = 1;
	while (open.length > 0) {
		const left = open[open.length - 1] as number;
		if (left === 0) {
			open.pop();
			maps.pop();
			continue;
		}
		open[open.length - 1] = left - 1;
		if (at >= end) throw new MeshError('invalid_input', 'record is cut short');
		const head = bytes[at++] as number;
		const [major, info] = [head >>> 5, head & 31];
		let argument = info;
		if (info >= 24) {
			const size = info <= 27 ? 2 ** (info - 24) : 0;
			if (size === 0 || at + size > end) throw new MeshError('invalid_input', 'record is not DAG-CBOR');
			argument = 0;
			for (let i = 0; i < size; i++) argument = argument * 256 + (bytes[at++] as number);
		}
		let inside = 0;
		if (major === 2 || major === 3) {
			const isKey = maps[maps.length - 1] === true && left % 2 === 0;
			if (isKey && argument === PROTO.length && PROTO.every((byte, i) => bytes[at + i] === byte))
				throw new MeshError('invalid_input', 'record has a field __proto__');
			at += argument;
		} else if (major === 4) inside = argument;
		else if (major === 5) inside = argument * 2;
		// A tag is no level: what it is about comes at its own.
		else if (major === 6) open[open.length - 1] = left;
		// Each value takes at least one byte.
		if (at > end || inside > end - at) throw new MeshError('invalid_input', 'record is cut short');
		values += inside;
		if (values > valuesMax) throw new MeshError('invalid_input', `record has more than ${valuesMax} values`);
		if ((major === 4 || major === 5) && open.length > LIMITS.depthMax)
			throw new MeshError('invalid_input', `record is nested deeper than ${LIMITS.depthMax}`);
		if (inside === 0) continue;
		open.push(inside);
		maps.push(major === 5);
	}
	if (at !== end) throw new MeshError('invalid_input', 'record has bytes after its value');
}
