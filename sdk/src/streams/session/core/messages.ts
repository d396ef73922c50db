/**
 * The messages of the handshake, byte by byte (docs/session.md). Every one starts with `BMS`, the version and its type,
 * so that another version is told apart before anything else is read.
 */
import { MeshError } from '../../../errors.ts';
import { EMPTY, malformed, Reader, Writer } from './bytes.ts';
import { HASH_BYTES, KEM_CIPHERTEXT_BYTES, KEM_PUBLIC_KEY_BYTES, NONCE_BYTES, TAG_BYTES } from './crypto.ts';
import { CERTIFICATE_BYTES_MAX, CID_BYTES_MAX, SIGNATURE_BYTES_MAX } from './identity.ts';

export const VERSION = 1;
export const TICKET_ID_BYTES = 16;
export const M1_BYTES_MAX = 4 * 1024;
export const MESSAGE_BYTES_MAX = 32 * 1024;
/** The valid one, and the one it replaces or is replaced by. */
export const PSKS_MAX = 2;
const SUITES_MAX = 8;
const MAGIC = Uint8Array.of(0x42, 0x4d, 0x53, VERSION);

export const MESSAGE = { alert: 0, m1: 1, m2: 2, m3: 3, m4: 4, retry: 5 } as const;
export type MessageType = (typeof MESSAGE)[keyof typeof MESSAGE];

/** Why a side gave up, told in the clear: it helps an operator, and decides nothing but that the attempt is over. */
export const ALERT = { version: 1, gate: 2, suite: 3, busy: 4, certificate: 5, failed: 6, unready: 7 } as const;
export type Alert = keyof typeof ALERT;

/** How M2 goes on: with certificates, or from the secret of an earlier session. */
export const MODE = { full: 0, resumed: 1 } as const;

export interface M1 {
	readonly suites: readonly number[];
	readonly plane: number;
	readonly domain: Uint8Array;
	readonly epoch: number;
	readonly nonce: Uint8Array;
	readonly kemPublicKey: Uint8Array;
	/** CID of the responder's certificate, if the initiator has it; else empty. */
	readonly knows: string;
	/** Of an earlier session; else empty. */
	readonly ticket: Uint8Array;
	/** From a RETRY; else empty. */
	readonly cookie: Uint8Array;
	/** One for each pre-shared key that the initiator takes for valid. */
	readonly gateCount: number;
}

export interface DecodedM1 extends M1 {
	readonly gates: readonly Uint8Array[];
	/** What the gates cover. */
	readonly gated: Uint8Array;
	/** What a cookie is made for: all before the cookie. */
	readonly cookieless: Uint8Array;
}

/** M1 without its gates, which are over these bytes. */
export function encodeM1(m1: M1): Uint8Array {
	const { suites, domain, nonce, kemPublicKey, ticket, cookie } = m1;
	return head(MESSAGE.m1)
		.short(Uint8Array.from(suites))
		.u8(m1.plane)
		.bytes(domain)
		.u64(m1.epoch)
		.bytes(nonce)
		.bytes(kemPublicKey)
		.text(m1.knows)
		.short(ticket)
		.short(cookie)
		.u8(m1.gateCount)
		.done();
}

export function decodeM1(bytes: Uint8Array): DecodedM1 {
	if (bytes.byteLength > M1_BYTES_MAX) throw malformed('M1');
	const reader = body(bytes, 'M1');
	const suites = [...reader.short(SUITES_MAX)];
	if (suites.length === 0 || new Set(suites).size !== suites.length) throw malformed('M1');
	const plane = reader.u8();
	const domain = reader.bytes(HASH_BYTES);
	const epoch = reader.u64();
	const nonce = reader.bytes(NONCE_BYTES);
	const kemPublicKey = reader.bytes(KEM_PUBLIC_KEY_BYTES);
	const knows = reader.text(CID_BYTES_MAX);
	const ticket = optional(reader, TICKET_ID_BYTES);
	const cookieless = bytes.subarray(0, reader.at);
	const cookie = optional(reader, HASH_BYTES);
	const gateCount = reader.u8();
	if (gateCount < 1 || gateCount > PSKS_MAX) throw malformed('M1');
	const gated = bytes.subarray(0, reader.at);
	const gates = Array.from({ length: gateCount }, () => reader.bytes(HASH_BYTES));
	reader.end();
	return {
		suites,
		plane,
		domain,
		epoch,
		nonce,
		kemPublicKey,
		knows,
		ticket,
		cookie,
		gateCount,
		gates,
		gated,
		cookieless,
	};
}

export interface M2 {
	readonly suite: number;
	readonly mode: number;
	/** Which of M1's gates, and so which pre-shared key, was taken. */
	readonly gate: number;
	readonly epoch: number;
	readonly nonce: Uint8Array;
	readonly kemCiphertext: Uint8Array;
}

/** M2 without its sealed part. */
export function encodeM2Head({ suite, mode, gate, epoch, nonce, kemCiphertext }: M2): Uint8Array {
	return head(MESSAGE.m2).u8(suite).u8(mode).u8(gate).u64(epoch).bytes(nonce).bytes(kemCiphertext).done();
}

export function decodeM2(bytes: Uint8Array): M2 & { readonly head: Uint8Array; readonly sealed: Uint8Array } {
	const reader = body(bytes, 'M2');
	const suite = reader.u8();
	const mode = reader.u8();
	if (mode !== MODE.full && mode !== MODE.resumed) throw malformed('M2');
	const gate = reader.u8();
	const epoch = reader.u64();
	const nonce = reader.bytes(NONCE_BYTES);
	const kemCiphertext = reader.bytes(KEM_CIPHERTEXT_BYTES);
	const headBytes = bytes.subarray(0, reader.at);
	return { suite, mode, gate, epoch, nonce, kemCiphertext, head: headBytes, sealed: rest(bytes, reader) };
}

/** M3 and M4 are their type and a sealed part. */
export function encodeSealedHead(type: typeof MESSAGE.m3 | typeof MESSAGE.m4): Uint8Array {
	return head(type).done();
}

export function decodeSealed(bytes: Uint8Array, what: 'M3' | 'M4'): Uint8Array {
	return rest(bytes, body(bytes, what));
}

export const CREDENTIAL = { bytes: 0, cid: 1 } as const;

/** What M2 and M3 carry sealed when the session is not resumed. */
export interface Proof {
	/** The certificate, or its CID where the other side said that it has it. */
	readonly credential: { readonly kind: number; readonly value: Uint8Array };
	/** M2: CID of the initiator's certificate, if the responder has it. M3: empty. */
	readonly knows: string;
	readonly signature: Uint8Array;
	readonly finished: Uint8Array;
}

/** Without `finished`, which is over these bytes. */
export function encodeProof({ credential, knows, signature }: Omit<Proof, 'finished'>): Uint8Array {
	return new Writer().u8(credential.kind).long(credential.value).text(knows).long(signature).done();
}

export function decodeProof(bytes: Uint8Array): Proof & { readonly proved: Uint8Array } {
	const reader = new Reader(bytes, 'proof');
	const kind = reader.u8();
	if (kind !== CREDENTIAL.bytes && kind !== CREDENTIAL.cid) throw malformed('proof');
	const value = reader.long(kind === CREDENTIAL.bytes ? CERTIFICATE_BYTES_MAX : CID_BYTES_MAX);
	const knows = reader.text(CID_BYTES_MAX);
	const signature = reader.long(SIGNATURE_BYTES_MAX);
	const proved = bytes.subarray(0, reader.at);
	const finished = reader.bytes(HASH_BYTES);
	reader.end();
	return { credential: { kind, value }, knows, signature, finished, proved };
}

export function encodeRetry(cookie: Uint8Array): Uint8Array {
	return head(MESSAGE.retry).bytes(cookie).done();
}

export function decodeRetry(bytes: Uint8Array): Uint8Array {
	const reader = body(bytes, 'RETRY');
	const cookie = reader.bytes(HASH_BYTES);
	reader.end();
	return cookie;
}

export function encodeAlert(alert: Alert): Uint8Array {
	return head(MESSAGE.alert).u8(ALERT[alert]).done();
}

export function decodeAlert(bytes: Uint8Array): Alert {
	const reader = body(bytes, 'alert');
	const code = reader.u8();
	reader.end();
	const found = Object.entries(ALERT).find(([, value]) => value === code);
	if (found === undefined) throw malformed('alert');
	return found[0] as Alert;
}

/** The message's type; `conflict` for another version. */
export function typeOf(bytes: Uint8Array): MessageType {
	const reader = new Reader(bytes, 'message');
	const magic = reader.bytes(4);
	if (magic[0] !== MAGIC[0] || magic[1] !== MAGIC[1] || magic[2] !== MAGIC[2]) throw malformed('message');
	if (magic[3] !== VERSION) {
		throw new MeshError('conflict', `BMS/${magic[3]} is spoken, BMS/${VERSION} is needed: update the older side`);
	}
	const type = reader.u8();
	if (type > MESSAGE.retry) throw malformed('message');
	return type as MessageType;
}

function head(type: MessageType): Writer {
	return new Writer().bytes(MAGIC).u8(type);
}

function body(bytes: Uint8Array, what: string): Reader {
	const reader = new Reader(bytes, what);
	reader.bytes(MAGIC.byteLength + 1);
	return reader;
}

function rest(bytes: Uint8Array, reader: Reader): Uint8Array {
	const sealed = reader.bytes(bytes.byteLength - reader.at);
	if (sealed.byteLength < TAG_BYTES) throw malformed('sealed part');
	return sealed;
}

function optional(reader: Reader, length: number): Uint8Array {
	const value = reader.short(length);
	if (value.byteLength !== 0 && value.byteLength !== length) throw malformed('M1');
	return value.byteLength === 0 ? EMPTY : value;
}
