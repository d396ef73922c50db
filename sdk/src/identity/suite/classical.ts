/**
 * The classical halves, whatever the backend: Ed25519 (RFC 8032), X25519 (RFC 7748), ChaCha20-Poly1305 (RFC 8439) on
 * node:crypto, HKDF-SHA256 (RFC 5869) on @noble/hashes. Keys are raw byte strings outside and KeyObjects inside.
 */
import {
	createCipheriv,
	createDecipheriv,
	createPrivateKey,
	createPublicKey,
	createSecretKey,
	diffieHellman,
	generateKeyPairSync,
	type KeyObject,
} from 'node:crypto';
import { hmac as nobleHmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { MeshError } from '../../errors.ts';
import { concat } from '../../wire/bytes.ts';
import { requireLength } from './bytes.ts';

/** Bytes of every Ed25519 and X25519 key, private or public. */
export const KEY_BYTES = 32;
export const ED25519_SIGNATURE_BYTES = 64;
export const AEAD_TAG_BYTES = 16;
const AEAD_KEY_BYTES = 32;
const AEAD_NONCE_BYTES = 12;
const HASH_BYTES = 32;

// DER prefixes of RFC 8410.
const ED25519 = {
	pkcs8: Buffer.from('302e020100300506032b657004220420', 'hex'),
	spki: Buffer.from('302a300506032b6570032100', 'hex'),
};
const X25519 = {
	pkcs8: Buffer.from('302e020100300506032b656e04220420', 'hex'),
	spki: Buffer.from('302a300506032b656e032100', 'hex'),
};

type Prefixes = typeof ED25519;

function privateKey(prefixes: Prefixes, raw: Uint8Array): KeyObject {
	requireLength(raw, KEY_BYTES, 'a private key');
	const der = Buffer.from(concat(prefixes.pkcs8, raw).buffer);
	const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
	der.fill(0);
	return key;
}

function publicKey(prefixes: Prefixes, raw: Uint8Array): KeyObject {
	requireLength(raw, KEY_BYTES, 'a public key');
	return publicKeyOfSpki(prefixes.spki, raw);
}

/** As PEM, for Node asks of whatever is no string whether it is a key, and catches what it throws: longer than it parses. */
export function publicKeyOfSpki(prefix: Uint8Array, raw: Uint8Array): KeyObject {
	const spki = Buffer.concat([prefix, raw]).toString('base64');
	return createPublicKey(`-----BEGIN PUBLIC KEY-----\n${spki}\n-----END PUBLIC KEY-----\n`);
}

export const ed25519PrivateKey = (seed: Uint8Array): KeyObject => privateKey(ED25519, seed);
export const ed25519PublicKey = (raw: Uint8Array): KeyObject => publicKey(ED25519, raw);
export const newX25519Key = (): KeyObject => generateKeyPairSync('x25519').privateKey;
export const x25519PrivateKey = (scalar: Uint8Array): KeyObject => privateKey(X25519, scalar);

/** The raw public key of a private or public KeyObject of either curve. */
export function rawPublicKey(key: KeyObject): Uint8Array {
	// A JWK (RFC 8037) is made in a tenth of the time of DER.
	const { x = '' } = (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'jwk' });
	return new Uint8Array(Buffer.from(x, 'base64url'));
}

/** RFC 7748 §5. `invalid_input` for a point of low order, which gives the shared secret of zeros (§6.1). */
export function x25519(ownKey: KeyObject, rawPeerKey: Uint8Array): Uint8Array {
	const peerKey = publicKey(X25519, rawPeerKey);
	try {
		return new Uint8Array(diffieHellman({ privateKey: ownKey, publicKey: peerKey }));
	} catch (cause) {
		throw new MeshError('invalid_input', 'an X25519 public key has low order (RFC 7748 §6.1)', { cause });
	}
}

/** RFC 5869 §2.2. */
export function hkdfExtract(salt: Uint8Array, ikm: Uint8Array): Uint8Array {
	return hmac(salt, ikm);
}

/** RFC 5869 §2.3. `invalid_input` beyond 255 blocks of 32 bytes. */
export function hkdfExpand(prk: Uint8Array, info: Uint8Array, length: number): Uint8Array {
	const blocks = Math.ceil(length / HASH_BYTES);
	if (blocks > 255) throw new MeshError('invalid_input', `HKDF-SHA256 gives at most 8160 bytes, not ${length}`);
	const okm = new Uint8Array(blocks * HASH_BYTES);
	let previous = new Uint8Array(0);
	for (let block = 1; block <= blocks; block++) {
		previous = hmac(prk, previous, info, Uint8Array.of(block));
		okm.set(previous, (block - 1) * HASH_BYTES);
	}
	return okm.slice(0, length);
}

/**
 * HMAC-SHA256 of the parts, one after the other (RFC 2104). In JavaScript: some thirty of a handshake are of a hundred
 * bytes, for which Node's objects for key and MAC cost more than hashing, then and when they are collected.
 */
export function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
	const mac = nobleHmac.create(sha256, key);
	for (const part of parts) mac.update(part);
	return mac.digest();
}

/** ChaCha20-Poly1305: ciphertext ‖ 16-byte tag. A nonce is used once per key. */
export function chachaSeal(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Uint8Array {
	requireAeadInputs(key, nonce);
	const cipher = createCipheriv('chacha20-poly1305', createSecretKey(key), nonce, { authTagLength: AEAD_TAG_BYTES });
	cipher.setAAD(aad, { plaintextLength: plaintext.byteLength });
	const body = cipher.update(plaintext);
	return concat(body, cipher.final(), cipher.getAuthTag());
}

/** The plaintext, or undefined when the ciphertext, tag or associated data are not what was sealed. */
export function chachaOpen(
	key: Uint8Array,
	nonce: Uint8Array,
	aad: Uint8Array,
	sealed: Uint8Array,
): Uint8Array | undefined {
	requireAeadInputs(key, nonce);
	const length = sealed.byteLength - AEAD_TAG_BYTES;
	if (length < 0) return undefined;
	const decipher = createDecipheriv('chacha20-poly1305', createSecretKey(key), nonce, {
		authTagLength: AEAD_TAG_BYTES,
	});
	decipher.setAAD(aad, { plaintextLength: length });
	decipher.setAuthTag(sealed.subarray(length));
	const body = decipher.update(sealed.subarray(0, length));
	try {
		return concat(body, decipher.final());
	} catch {
		return undefined;
	}
}

function requireAeadInputs(key: Uint8Array, nonce: Uint8Array): void {
	requireLength(key, AEAD_KEY_BYTES, 'a ChaCha20-Poly1305 key');
	requireLength(nonce, AEAD_NONCE_BYTES, 'a ChaCha20-Poly1305 nonce');
}
