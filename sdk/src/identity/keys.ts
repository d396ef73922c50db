/**
 * Signing keys, key-encapsulation keys, and the IDs made from them. A public key's first byte names its suite, so that
 * a key of a suite that this build does not know is refused, and never mistaken for another.
 */
import { createHash, randomBytes } from 'node:crypto';
import { MeshError } from '../errors.ts';
import { cidFromDigest, KEY_BYTES, type OwnerId, type RecordCid } from '../wire/index.ts';
import { hkdfExpand, hkdfExtract, suite } from './suite/index.ts';

/** id-MLDSA65-Ed25519-SHA512. The byte 1 was plain Ed25519's, before the first release. */
const SUITE_COMPOSITE = 2;
const RAW_CODEC = 0x55;

/** Signs. The private half stays inside. */
export interface Signer {
	/** Suite-tagged: 1 byte suite, then the key. */
	readonly publicKey: Uint8Array;
	sign(message: Uint8Array): Uint8Array;
}

/** A signer whose seed can be kept: the owner's file, a machine's state folder, a workload's tender key. */
export interface KeyPair extends Signer {
	/** 64 bytes. Secret. */
	readonly seed: Uint8Array;
}

/** A new key pair, or the one of a 64-byte seed. */
export function createKeyPair(seed: Uint8Array = randomBytes(KEY_BYTES.seed)): KeyPair {
	requireLength('a signing key seed', seed, KEY_BYTES.seed);
	const key = suite.createSigningKey(seed);
	const publicKey = new Uint8Array(KEY_BYTES.publicKey);
	publicKey[0] = SUITE_COMPOSITE;
	publicKey.set(key.publicKey, 1);
	return { seed: new Uint8Array(seed), publicKey, sign: (message) => key.sign(message) };
}

/** True when `signature` over `message` is this key's. False for a key of an unknown suite or shape. */
export function verifySignature(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
	if (publicKey.byteLength !== KEY_BYTES.publicKey || publicKey[0] !== SUITE_COMPOSITE) return false;
	return suite.verify(publicKey.subarray(1), message, signature);
}

/** Opens what others seal to its public half. */
export interface KemKeyPair {
	/** 1,216 bytes, X-Wing. */
	readonly publicKey: Uint8Array;
	/** 32 bytes. Secret. */
	readonly seed: Uint8Array;
	/** `what`: the purpose that it was sealed for. Throws `unauthorized`, with one message for every reason. */
	open(what: string, sealed: Uint8Array): Uint8Array;
}

/** A new key-encapsulation key, or the one of a 32-byte seed. */
export function createKemKey(seed: Uint8Array = randomBytes(KEY_BYTES.kemSeed)): KemKeyPair {
	requireLength('a key-encapsulation seed', seed, KEY_BYTES.kemSeed);
	const key = suite.createKemKey(seed);
	return {
		publicKey: key.publicKey,
		seed: new Uint8Array(seed),
		open: (what, sealed) => suite.open(key, purpose(what), new Uint8Array(0), sealed),
	};
}

/** Seals for the holder of this key alone (HPKE). What is sealed for one purpose cannot be opened for another. */
export function sealTo(kemKey: Uint8Array, what: string, plaintext: Uint8Array): Uint8Array {
	return suite.seal(kemKey, purpose(what), new Uint8Array(0), plaintext);
}

/** SHA-256 of a public key: names it where it is known. */
export function keyIdOf(publicKey: Uint8Array): Uint8Array {
	return sha256(publicKey);
}

/** CID (raw codec) of a public key. */
export function ownerIdOf(publicKey: Uint8Array): OwnerId {
	return cidFromDigest(sha256(publicKey), RAW_CODEC) as string as OwnerId;
}

/** CID of a record's canonical body bytes. */
export function cidOf(body: Uint8Array): RecordCid {
	return cidFromDigest(sha256(body));
}

export function sha256(bytes: Uint8Array): Uint8Array {
	return new Uint8Array(createHash('sha256').update(bytes).digest());
}

/** A key derived from a secret for one purpose (HKDF-SHA256, RFC 5869). */
export function hkdf(secret: Uint8Array, what: string, bytes: number): Uint8Array {
	return hkdfExpand(hkdfExtract(new TextEncoder().encode('beemesh'), secret), purpose(what), bytes);
}

function purpose(what: string): Uint8Array {
	return new TextEncoder().encode(`beemesh/${what}/1`);
}

function requireLength(what: string, bytes: Uint8Array, length: number): void {
	if (bytes.byteLength !== length)
		throw new MeshError('invalid_input', `${what} has ${length} bytes, not ${bytes.byteLength}`);
}
