/**
 * Messages for everybody who shares a group key, relayed by whoever. Every message has a key of its own, derived from the
 * group key, what it is for, and a random message ID, so that many senders under one key need no common counter. It hides
 * from those outside; who inside wrote it is the signature's business.
 *
 * `version (1) ‖ key ID (8) ‖ message ID (16) ‖ ChaCha20-Poly1305 ciphertext and tag`
 */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { MeshError } from '../errors.ts';
import { hkdf } from './keys.ts';

const VERSION = 1;
const KEY_ID_BYTES = 8;
const MESSAGE_ID_BYTES = 16;
const TAG_BYTES = 16;
const HEAD_BYTES = 1 + KEY_ID_BYTES + MESSAGE_ID_BYTES;
const CIPHER = 'chacha20-poly1305';
/** A key is used for one message, so its nonce need not change. */
const NONCE = new Uint8Array(12);

/** What a sealed message is longer than what is in it. */
export const GROUP_SEAL_BYTES = HEAD_BYTES + TAG_BYTES;

/** `context`: what the message is for, such as its topic; whoever opens it must name the same. */
export function sealForGroup(groupKey: Uint8Array, context: string, plaintext: Uint8Array): Uint8Array {
	const sealed = new Uint8Array(GROUP_SEAL_BYTES + plaintext.byteLength);
	sealed[0] = VERSION;
	sealed.set(keyIdOfGroup(groupKey), 1);
	sealed.set(randomBytes(MESSAGE_ID_BYTES), 1 + KEY_ID_BYTES);
	const head = sealed.subarray(0, HEAD_BYTES);
	const cipher = createCipheriv(CIPHER, keyOf(groupKey, context, head), NONCE, { authTagLength: TAG_BYTES });
	cipher.setAAD(head, { plaintextLength: plaintext.byteLength });
	sealed.set(cipher.update(plaintext), HEAD_BYTES);
	cipher.final();
	sealed.set(cipher.getAuthTag(), sealed.byteLength - TAG_BYTES);
	return sealed;
}

/**
 * Throws `invalid_input` (no sealed message), `not_found` (under none of these keys: perhaps a newer one) or
 * `unauthorized` (altered, or sealed for something else).
 */
export function openForGroup(groupKeys: readonly Uint8Array[], context: string, sealed: Uint8Array): Uint8Array {
	if (sealed.byteLength < GROUP_SEAL_BYTES || sealed[0] !== VERSION) {
		throw new MeshError('invalid_input', 'not a message that is sealed for a group');
	}
	const keyId = Buffer.from(sealed.buffer, sealed.byteOffset + 1, KEY_ID_BYTES);
	const groupKey = groupKeys.find((key) => keyId.equals(keyIdOfGroup(key)));
	if (groupKey === undefined)
		throw new MeshError('not_found', 'the message is sealed under a key that is not known here');
	const head = sealed.subarray(0, HEAD_BYTES);
	const ciphertext = sealed.subarray(HEAD_BYTES, sealed.byteLength - TAG_BYTES);
	const decipher = createDecipheriv(CIPHER, keyOf(groupKey, context, head), NONCE, { authTagLength: TAG_BYTES });
	decipher.setAAD(head, { plaintextLength: ciphertext.byteLength });
	decipher.setAuthTag(sealed.subarray(sealed.byteLength - TAG_BYTES));
	try {
		const plaintext = new Uint8Array(decipher.update(ciphertext));
		decipher.final();
		return plaintext;
	} catch {
		throw new MeshError('unauthorized', 'the sealed message was altered, or is for something else');
	}
}

function keyOf(groupKey: Uint8Array, context: string, head: Uint8Array): KeyObject {
	const messageId = Buffer.from(head.subarray(1 + KEY_ID_BYTES)).toString('hex');
	return createSecretKey(hkdf(groupKey, `group-seal\0${context}\0${messageId}`, 32));
}

const keyIds = new WeakMap<Uint8Array, Buffer>();

/** Which key it was, for those who have it; says nothing to others. */
function keyIdOfGroup(groupKey: Uint8Array): Buffer {
	let id = keyIds.get(groupKey);
	if (id === undefined) {
		id = Buffer.from(hkdf(groupKey, 'group-key-id', KEY_ID_BYTES));
		keyIds.set(groupKey, id);
	}
	return id;
}
