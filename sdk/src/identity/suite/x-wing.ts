/**
 * X-Wing (draft-connolly-cfrg-xwing-kem): X25519 and ML-KEM-768 as one key encapsulation, secure while either is. Keys
 * and ciphertexts are ML-KEM half first. Beyond the draft, X25519 points of low order are refused on both sides.
 */
import { createHash, type KeyObject } from 'node:crypto';
import { concat } from '../../wire/bytes.ts';
import { type Encapsulation, ML_KEM_768, type MlKemKey, type PqBackend } from './backend.ts';
import { requireLength } from './bytes.ts';
import { KEY_BYTES, newX25519Key, rawPublicKey, x25519, x25519PrivateKey } from './classical.ts';

export const X_WING_SEED_BYTES = 32;
export const X_WING_PUBLIC_KEY_BYTES = ML_KEM_768.publicKey + KEY_BYTES;
export const X_WING_CIPHERTEXT_BYTES = ML_KEM_768.ciphertext + KEY_BYTES;

// \./ over /^\ : the wing of an X-wing, the draft's label.
const LABEL = Buffer.from('5c2e2f2f5e5c', 'hex');

/** An X-Wing key pair; the private half stays inside. */
export interface KemKey {
	/** 1,216 bytes. */
	readonly publicKey: Uint8Array;
	/**
	 * 32 bytes. A ciphertext not made for this key gives an unrelated secret, as ML-KEM does; `invalid_input` only for
	 * a wrong length or an X25519 point of low order, both of which an attacker knows beforehand.
	 */
	decapsulate(ciphertext: Uint8Array): Uint8Array;
}

/** GenerateKeyPairDerand of the draft: the 32-byte seed is the decapsulation key. */
export function createKemKey(backend: PqBackend, seed: Uint8Array): KemKey {
	requireLength(seed, X_WING_SEED_BYTES, 'the seed of a KEM key');
	const expanded = createHash('shake256', { outputLength: ML_KEM_768.seed + KEY_BYTES })
		.update(seed)
		.digest();
	const mlKem = backend.mlKemKey(expanded.subarray(0, ML_KEM_768.seed));
	const ownKey = x25519PrivateKey(expanded.subarray(ML_KEM_768.seed));
	expanded.fill(0);
	return kemKeyOf(mlKem, ownKey);
}

/** GenerateKeyPair of the draft, but the halves are random of their own: there is no seed to keep, nor to lose. */
export function newKemKey(backend: PqBackend): KemKey {
	return kemKeyOf(backend.newMlKemKey(), newX25519Key());
}

function kemKeyOf(mlKem: MlKemKey, ownKey: KeyObject): KemKey {
	const ownPoint = rawPublicKey(ownKey);
	return {
		publicKey: concat(mlKem.publicKey, ownPoint),
		decapsulate(ciphertext) {
			requireLength(ciphertext, X_WING_CIPHERTEXT_BYTES, 'a KEM ciphertext');
			const peerPoint = ciphertext.subarray(ML_KEM_768.ciphertext);
			const classical = x25519(ownKey, peerPoint);
			const quantum = mlKem.decapsulate(ciphertext.subarray(0, ML_KEM_768.ciphertext));
			return combine(quantum, classical, peerPoint, ownPoint);
		},
	};
}

/** `invalid_input` for a public key of wrong length, not reduced (FIPS 203 §7.2), or of low order (RFC 7748 §6.1). */
export function encapsulate(backend: PqBackend, publicKey: Uint8Array): Encapsulation {
	return encapsulateWith((key) => backend.mlKemEncapsulate(key), newX25519Key(), publicKey);
}

/** EncapsulateDerand of the draft: the caller brings what is random. */
export function encapsulateWith(
	mlKemEncapsulate: (publicKey: Uint8Array) => Encapsulation,
	ephemeralKey: KeyObject,
	publicKey: Uint8Array,
): Encapsulation {
	requireLength(publicKey, X_WING_PUBLIC_KEY_BYTES, 'a KEM public key');
	const peerPoint = publicKey.subarray(ML_KEM_768.publicKey);
	const classical = x25519(ephemeralKey, peerPoint);
	const quantum = mlKemEncapsulate(publicKey.subarray(0, ML_KEM_768.publicKey));
	const ownPoint = rawPublicKey(ephemeralKey);
	return {
		ciphertext: concat(quantum.ciphertext, ownPoint),
		sharedSecret: combine(quantum.sharedSecret, classical, ownPoint, peerPoint),
	};
}

/** SHA3-256(ss_M ‖ ss_X ‖ ct_X ‖ pk_X ‖ label); ML-KEM's own hashing binds ct_M, which is why it is not in here. */
function combine(quantum: Uint8Array, classical: Uint8Array, ctPoint: Uint8Array, pkPoint: Uint8Array): Uint8Array {
	const hash = createHash('sha3-256').update(quantum).update(classical).update(ctPoint).update(pkPoint).update(LABEL);
	quantum.fill(0);
	classical.fill(0);
	return new Uint8Array(hash.digest());
}
