/**
 * Key pairs and the IDs made from them. Suite 1 is Ed25519 (RFC 8032); a key's first byte names its suite, so that
 * the composite post-quantum suite replaces what is inside and not the callers.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, randomBytes, sign, verify } from 'node:crypto';
import { base58btc } from 'multiformats/bases/base58';
import { MeshError } from '../errors.ts';
import { cidFromDigest, type OwnerId, type PeerId, type RecordCid } from '../wire/index.ts';

const SUITE_ED25519 = 1;
const RAW_CODEC = 0x55;
// DER prefixes of an Ed25519 key (RFC 8410).
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

/** Signs. The private half stays inside. */
export interface Signer {
	/** Suite-tagged: 1 byte suite, then the key. */
	readonly publicKey: Uint8Array;
	sign(message: Uint8Array): Uint8Array;
}

/** A signer whose seed can be kept: the owner's file, a machine's state folder, a workload's tender key. */
export interface KeyPair extends Signer {
	/** 32 bytes. Secret. */
	readonly seed: Uint8Array;
}

/** A new key pair, or the one of a 32-byte seed. */
export function createKeyPair(seed: Uint8Array = randomBytes(32)): KeyPair {
	if (seed.byteLength !== 32) throw new MeshError('invalid_input', `a key seed has 32 bytes, not ${seed.byteLength}`);
	const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
	const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
	const publicKey = new Uint8Array(33);
	publicKey[0] = SUITE_ED25519;
	publicKey.set(spki.subarray(SPKI_PREFIX.length), 1);
	return { seed: new Uint8Array(seed), publicKey, sign: (message) => new Uint8Array(sign(null, message, privateKey)) };
}

const parsedKeys = new Map<string, KeyObject>();
const PARSED_KEYS_MAX = 1024;

/** True when `signature` over `message` is this key's. False for a key of an unknown suite or shape. */
export function verifySignature(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
	if (publicKey.byteLength !== 33 || publicKey[0] !== SUITE_ED25519 || signature.byteLength !== 64) return false;
	const name = Buffer.from(publicKey).toString('base64');
	let key = parsedKeys.get(name);
	if (key === undefined) {
		key = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey.subarray(1)]), format: 'der', type: 'spki' });
		if (parsedKeys.size >= PARSED_KEYS_MAX) parsedKeys.clear();
		parsedKeys.set(name, key);
	}
	return verify(null, message, key, signature);
}

/** libp2p peer ID of an Ed25519 key: identity multihash of its protobuf form, base58btc (libp2p peer-ids spec). */
export function peerIdOf(publicKey: Uint8Array): PeerId {
	if (publicKey.byteLength !== 33 || publicKey[0] !== SUITE_ED25519) {
		throw new MeshError('invalid_input', 'a peer ID needs an Ed25519 public key');
	}
	const multihash = new Uint8Array(38);
	multihash.set([0x00, 0x24, 0x08, 0x01, 0x12, 0x20]);
	multihash.set(publicKey.subarray(1), 6);
	return base58btc.baseEncode(multihash) as PeerId;
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
