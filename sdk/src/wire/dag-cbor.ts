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

/** Decodes canonical DAG-CBOR; anything else, or anything too large or deep, is `invalid_input`. */
export function decodeRecord(bytes: Uint8Array, bytesMax: number = LIMITS.recordBytesMax): unknown {
	if (bytes.byteLength > bytesMax) {
		throw new MeshError('invalid_input', `record of ${bytes.byteLength} bytes is larger than ${bytesMax}`);
	}
	let value: unknown;
	try {
		value = cbor.decode(bytes);
	} catch (cause) {
		throw new MeshError('invalid_input', 'record is not DAG-CBOR', { cause });
	}
	if (depthOf(value) > LIMITS.depthMax)
		throw new MeshError('invalid_input', `record is nested deeper than ${LIMITS.depthMax}`);
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

function depthOf(value: unknown, depth = 0): number {
	if (typeof value !== 'object' || value === null || value instanceof Uint8Array || depth > LIMITS.depthMax)
		return depth;
	let deepest = depth + 1;
	for (const child of Object.values(value)) deepest = Math.max(deepest, depthOf(child, depth + 1));
	return deepest;
}
