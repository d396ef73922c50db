/**
 * Every key of BMS/1 and what it is made from (docs/session.md, "Keys"). HKDF-SHA256 throughout; each use has a label of
 * its own, and takes in the transcript up to the point where it is made.
 */

import { concat } from '../../../wire/bytes.ts';
import type { PeerId } from '../../../wire/ids.ts';
import { ascii, EMPTY, Writer } from './bytes.ts';
import { type Aead, HASH_BYTES, IV_BYTES, KEY_BYTES, type SessionCrypto, type SuiteId } from './crypto.ts';
import { TICKET_ID_BYTES } from './messages.ts';

export type Role = 'initiator' | 'responder';

/** What both sides know before the first byte, and must agree on: no key is made without it. */
export function contextOf(protocol: string, initiator: PeerId | undefined, responder: PeerId | undefined): Uint8Array {
	return new Writer()
		.text('beemesh BMS/1')
		.text(protocol)
		.text(initiator ?? '')
		.text(responder ?? '')
		.done();
}

/** HKDF-Expand with info = label ‖ 0 ‖ context. */
export function expand(
	crypto: SessionCrypto,
	secret: Uint8Array,
	label: string,
	context: Uint8Array,
	length: number,
): Uint8Array {
	const info = concat(ascii(`BMS/1 ${label}`), Uint8Array.of(0), context);
	const okm = new Uint8Array(Math.ceil(length / HASH_BYTES) * HASH_BYTES);
	let previous: Uint8Array = EMPTY;
	for (let block = 1; (block - 1) * HASH_BYTES < length; block++) {
		previous = crypto.hmac(secret, previous, info, Uint8Array.of(block));
		okm.set(previous, (block - 1) * HASH_BYTES);
	}
	return okm.subarray(0, length);
}

/** A gate of M1: proves the pre-shared key before anything costly is done. */
export function gateOf(crypto: SessionCrypto, psk: Uint8Array, context: Uint8Array, gated: Uint8Array): Uint8Array {
	return crypto.hmac(expand(crypto, psk, 'gate', crypto.sha256(context), KEY_BYTES), gated);
}

/** HKDF-Extract(salt = SHA-256(PSK ‖ domain), X-Wing's secret ‖ the earlier session's, when resumed). */
export function handshakeSecret(
	crypto: SessionCrypto,
	psk: Uint8Array,
	domain: Uint8Array,
	kemSecret: Uint8Array,
	resumption: Uint8Array,
): Uint8Array {
	return crypto.hmac(crypto.sha256(psk, domain), kemSecret, resumption);
}

/** The AEAD and the MAC of one side's sealed messages. */
export interface HandshakeKeys {
	seal(plaintext: Uint8Array, aad: Uint8Array): Uint8Array;
	open(sealed: Uint8Array, aad: Uint8Array): Uint8Array | undefined;
	finished(transcript: Uint8Array, proved: Uint8Array): Uint8Array;
}

export function handshakeKeys(
	crypto: SessionCrypto,
	suite: SuiteId,
	secret: Uint8Array,
	label: 'M2' | 'M3' | 'M4',
	transcript: Uint8Array,
): HandshakeKeys {
	// One key seals one message, so the nonce can be part of it.
	const material = expand(crypto, secret, `${label} key`, transcript, KEY_BYTES + IV_BYTES);
	const aead = crypto.aead(suite, material.subarray(0, KEY_BYTES));
	const iv = material.subarray(KEY_BYTES);
	const finishedKey = expand(crypto, secret, `${label} finished`, transcript, KEY_BYTES);
	return {
		seal: (plaintext, aad) => {
			const sealed = new Uint8Array(plaintext.byteLength + 16);
			aead.seal(iv, aad, plaintext, sealed, 0);
			return sealed;
		},
		open: (sealed, aad) => aead.open(iv, aad, sealed),
		finished: (hash, proved) => crypto.hmac(finishedKey, hash, crypto.sha256(proved)),
	};
}

/** What a finished handshake leaves behind. */
export function sessionSecrets(crypto: SessionCrypto, secret: Uint8Array, transcript: Uint8Array) {
	return {
		phase: expand(crypto, secret, 'phase', transcript, KEY_BYTES),
		resumption: expand(crypto, secret, 'resumption', transcript, KEY_BYTES),
		ticket: expand(crypto, secret, 'ticket', transcript, TICKET_ID_BYTES),
	};
}

/** The secret of the next phase, from the present one and a fresh X-Wing; `exchange` is the two rekey messages. */
export function nextPhaseSecret(
	crypto: SessionCrypto,
	phaseSecret: Uint8Array,
	phase: number,
	kemSecret: Uint8Array,
	exchange: readonly Uint8Array[],
): Uint8Array {
	const fresh = crypto.hmac(phaseSecret, kemSecret);
	const context = new Writer()
		.u32(phase)
		.bytes(crypto.sha256(...exchange))
		.done();
	const next = expand(crypto, fresh, 'next phase', context, KEY_BYTES);
	fresh.fill(0);
	return next;
}

/** Names one direction of one stream. */
export interface Lane {
	/** Who opened the stream. */
	readonly opener: Role;
	/** The opener's number for it; 0 is the stream of the handshake. */
	readonly number: number;
	/** Who writes. */
	readonly writer: Role;
}

export function laneKey(
	crypto: SessionCrypto,
	suite: SuiteId,
	phaseSecret: Uint8Array,
	{ opener, number, writer }: Lane,
): { readonly aead: Aead; readonly iv: Uint8Array } {
	const context = new Writer().u8(roleNumber(opener)).u64(number).u8(roleNumber(writer)).done();
	const material = expand(crypto, phaseSecret, 'stream', context, KEY_BYTES + IV_BYTES);
	const aead = crypto.aead(suite, material.subarray(0, KEY_BYTES));
	const iv = material.slice(KEY_BYTES);
	material.fill(0);
	return { aead, iv };
}

export function roleNumber(role: Role): number {
	return role === 'initiator' ? 0 : 1;
}

/** What a signature of the handshake says. */
export interface Statement {
	readonly role: Role;
	readonly plane: number;
	readonly protocol: string;
	readonly initiator: PeerId | undefined;
	readonly responder: PeerId | undefined;
	readonly initiatorEpoch: number;
	readonly responderEpoch: number;
	/** CID of the signer's certificate. */
	readonly cid: string;
	readonly transcript: Uint8Array;
}

export function encodeStatement(statement: Statement): Uint8Array {
	return new Writer()
		.text('beemesh/session/1')
		.u8(roleNumber(statement.role))
		.u8(statement.plane)
		.text(statement.protocol)
		.text(statement.initiator ?? '')
		.text(statement.responder ?? '')
		.u64(statement.initiatorEpoch)
		.u64(statement.responderEpoch)
		.text(statement.cid)
		.bytes(statement.transcript)
		.done();
}
