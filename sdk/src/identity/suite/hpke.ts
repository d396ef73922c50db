/**
 * HPKE (RFC 9180) single-shot in base mode: KEM 0x647A (X-Wing, draft-ietf-hpke-pq), KDF 0x0001 (HKDF-SHA256), AEAD
 * 0x0003 (ChaCha20-Poly1305). A sealed message is enc ‖ ciphertext ‖ tag: 1,136 bytes more than the plaintext.
 */
import { MeshError } from '../../errors.ts';
import { concat } from '../../wire/bytes.ts';
import type { PqBackend } from './backend.ts';
import { AEAD_TAG_BYTES, chachaOpen, chachaSeal, hkdfExpand, hkdfExtract } from './classical.ts';
import { encapsulate, type KemKey, X_WING_CIPHERTEXT_BYTES } from './x-wing.ts';

export const SEAL_OVERHEAD_BYTES = X_WING_CIPHERTEXT_BYTES + AEAD_TAG_BYTES;

const ascii = (text: string): Uint8Array => Buffer.from(text, 'ascii');
const EMPTY = new Uint8Array(0);
const VERSION = ascii('HPKE-v1');
// "HPKE" ‖ kem_id ‖ kdf_id ‖ aead_id, RFC 9180 §5.1.
const SUITE_ID = concat(ascii('HPKE'), Uint8Array.of(0x64, 0x7a, 0x00, 0x01, 0x00, 0x03));
const MODE_BASE = Uint8Array.of(0);
const PSK_ID_HASH = labeledExtract(EMPTY, 'psk_id_hash', EMPTY);

function labeledExtract(salt: Uint8Array, label: string, ikm: Uint8Array): Uint8Array {
	return hkdfExtract(salt, concat(VERSION, SUITE_ID, ascii(label), ikm));
}

function labeledExpand(prk: Uint8Array, label: string, info: Uint8Array, length: number): Uint8Array {
	const lengthBytes = Uint8Array.of(length >> 8, length & 0xff);
	return hkdfExpand(prk, concat(lengthBytes, VERSION, SUITE_ID, ascii(label), info), length);
}

/** RFC 9180 §5.1 with mode_base; a single message uses base_nonce as it is (sequence 0). */
export function keySchedule(sharedSecret: Uint8Array, info: Uint8Array): { key: Uint8Array; baseNonce: Uint8Array } {
	const context = concat(MODE_BASE, PSK_ID_HASH, labeledExtract(EMPTY, 'info_hash', info));
	const secret = labeledExtract(sharedSecret, 'secret', EMPTY);
	return {
		key: labeledExpand(secret, 'key', context, 32),
		baseNonce: labeledExpand(secret, 'base_nonce', context, 12),
	};
}

/** RFC 9180 §6.1. Errors are those of `encapsulate`. */
export function seal(
	backend: PqBackend,
	recipient: Uint8Array,
	info: Uint8Array,
	aad: Uint8Array,
	plaintext: Uint8Array,
): Uint8Array {
	const { ciphertext, sharedSecret } = encapsulate(backend, recipient);
	const { key, baseNonce } = keySchedule(sharedSecret, info);
	return concat(ciphertext, chachaSeal(key, baseNonce, aad, plaintext));
}

/** RFC 9180 §6.1. One `unauthorized` for every failure, so that a sender learns nothing from which one it was. */
export function open(recipient: KemKey, info: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Uint8Array {
	const plaintext = tryOpen(recipient, info, aad, sealed);
	if (plaintext === undefined) throw new MeshError('unauthorized', 'a sealed message cannot be opened with this key');
	return plaintext;
}

function tryOpen(recipient: KemKey, info: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
	if (!(sealed instanceof Uint8Array) || sealed.byteLength < SEAL_OVERHEAD_BYTES) return undefined;
	let sharedSecret: Uint8Array;
	try {
		sharedSecret = recipient.decapsulate(sealed.subarray(0, X_WING_CIPHERTEXT_BYTES));
	} catch {
		return undefined;
	}
	const { key, baseNonce } = keySchedule(sharedSecret, info);
	return chachaOpen(key, baseNonce, aad, sealed.subarray(X_WING_CIPHERTEXT_BYTES));
}
