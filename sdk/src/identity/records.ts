/**
 * Signed records: sign, open, and what every check of freshness says. An envelope is canonical DAG-CBOR
 * `{b: body, s: [{k: key or its ID, s: signature}]}`; a signature covers `beemesh/<type>/1 ‖ 0x00 ‖ b`, so that one type
 * can never be presented as another.
 */
import { createHash } from 'node:crypto';
import * as v from 'valibot';
import { MeshError } from '../errors.ts';
import {
	bytesSchema,
	decodeRecord,
	encodeRecord,
	exactBytesSchema,
	KEY_BYTES,
	LIMITS,
	RECORDS,
	type RecordBody,
	type RecordCid,
	type RecordType,
} from '../wire/index.ts';
import { cidOf, keyIdOf, type Signer, verifySignature } from './keys.ts';

/** A record whose signature has been verified. Whether the signer *may* say this is the caller's question. */
export interface OpenedRecord<T extends RecordType> {
	readonly type: T;
	readonly cid: RecordCid;
	readonly body: RecordBody<T>;
	/** Suite-tagged public key of the signer. */
	readonly signer: Uint8Array;
	/** The envelope as it came. */
	readonly envelope: Uint8Array;
}

/** A record as it came, nothing of it proved yet. */
export interface PeekedRecord<T extends RecordType> {
	readonly type: T;
	readonly cid: RecordCid;
	readonly body: RecordBody<T>;
	/** The signer's key, or its ID, as the envelope claims. */
	readonly claimed: Uint8Array;
	readonly envelope: Uint8Array;
	/**
	 * Checks the signature. `keys`: by which it may be signed, for types that carry only the key's ID; for others a
	 * restriction. Throws `unauthorized` (none of these keys, or not its signature).
	 */
	verify(keys?: readonly Uint8Array[]): OpenedRecord<T>;
}

/** Keys by which a record may be signed where it carries only the key's ID. */
export type Keys<T extends RecordType> = readonly Uint8Array[] | ((body: RecordBody<T>) => readonly Uint8Array[]);

const envelopeSchema = v.strictObject({
	b: bytesSchema(LIMITS.recordBytesMax),
	s: v.pipe(
		v.array(
			v.strictObject({
				k: v.union([exactBytesSchema(KEY_BYTES.keyId), exactBytesSchema(KEY_BYTES.publicKey)]),
				s: exactBytesSchema(KEY_BYTES.signature),
			}),
		),
		v.length(1),
	),
});

/** Signs a record body; returns its envelope. */
export function signRecord<T extends RecordType>(type: T, body: RecordBody<T>, signer: Signer): Uint8Array {
	const { schema, bytesMax, names } = RECORDS[type];
	const b = encodeRecord(v.parse(schema, body));
	const k = names === 'key' ? signer.publicKey : keyIdOf(signer.publicKey);
	const envelope = encodeRecord({ b, s: [{ k, s: signer.sign(signedBytes(type, b)) }] });
	if (envelope.byteLength > bytesMax) {
		throw new MeshError('invalid_input', `${type} record has ${envelope.byteLength} bytes, the limit is ${bytesMax}`);
	}
	return envelope;
}

/** Decodes without verifying, to decide whether verifying is worth it: size, canonical form, schema. Throws `invalid_input`. */
export function peekRecord<T extends RecordType>(type: T, envelope: Uint8Array): PeekedRecord<T> {
	const { b, k, s, body } = decode(type, envelope);
	const cid = cidOf(b);
	return {
		...{ type, cid, body, claimed: k, envelope },
		verify(keys) {
			const signer = keyNamed(k, keys);
			if (signer === undefined)
				throw new MeshError('unauthorized', `this ${type} record is signed with a key that may not sign it`);
			if (!isVerified(signer, signedBytes(type, b), s))
				throw new MeshError('unauthorized', `the signature of this ${type} record is not its signer's`);
			return { type, cid, body, signer, envelope };
		},
	};
}

/**
 * Decodes and verifies an envelope: size, canonical form, schema, signature, in that order; see {@link PeekedRecord.verify}.
 * Throws `invalid_input` (not such a record) or `unauthorized`.
 */
export function openRecord<T extends RecordType>(type: T, envelope: Uint8Array, keys?: Keys<T>): OpenedRecord<T> {
	const peeked = peekRecord(type, envelope);
	return peeked.verify(typeof keys === 'function' ? keys(peeked.body) : keys);
}

/** Throws `unauthorized` unless the record's time is within the accepted skew and before its expiry. */
export function requireFresh(
	what: string,
	record: { readonly ts: number; readonly exp?: number },
	nowMs: number,
): void {
	if (Math.abs(nowMs - record.ts) > LIMITS.skewMs) {
		throw new MeshError(
			'unauthorized',
			`${what} is ${Math.abs(nowMs - record.ts)} ms off this clock; the limit is ${LIMITS.skewMs}: set the clocks of both machines`,
		);
	}
	if (record.exp !== undefined && nowMs > record.exp) throw new MeshError('unauthorized', `${what} has expired`);
}

/** Throws `unauthorized` unless now is within the record's validity, with the accepted skew at its beginning. */
export function requireValid(
	what: string,
	record: { readonly nbf: number; readonly exp: number },
	nowMs: number,
): void {
	if (nowMs + LIMITS.skewMs < record.nbf)
		throw new MeshError('unauthorized', `${what} is not valid before ${new Date(record.nbf).toISOString()}`);
	if (nowMs > record.exp)
		throw new MeshError('unauthorized', `${what} expired at ${new Date(record.exp).toISOString()}`);
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
	return Buffer.compare(a, b) === 0;
}

function decode<T extends RecordType>(type: T, envelope: Uint8Array) {
	const { schema, bytesMax, names } = RECORDS[type];
	const outer = v.safeParse(envelopeSchema, decodeRecord(envelope, bytesMax));
	if (!outer.success) throw new MeshError('invalid_input', `not a ${type} envelope: ${issueOf(outer.issues)}`);
	const { b, s } = outer.output;
	const [signature] = s;
	const keyBytes = names === 'key' ? KEY_BYTES.publicKey : KEY_BYTES.keyId;
	if (signature?.k.byteLength !== keyBytes)
		throw new MeshError('invalid_input', `not a ${type} envelope: its signer is named by ${names}`);
	const parsed = v.safeParse(schema, decodeRecord(b, bytesMax));
	if (!parsed.success) throw new MeshError('invalid_input', `not a ${type} record: ${issueOf(parsed.issues)}`);
	return { b, k: signature.k, s: signature.s, body: parsed.output as RecordBody<T> };
}

/** Signatures that have been found good, so that what comes again (grants, charters, certificates) is checked once. */
const verified = new Set<string>();
const VERIFIED_MAX = 4096;

function isVerified(signer: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
	const name = createHash('sha256').update(signer).update(signature).update(message).digest('base64');
	if (verified.has(name)) return true;
	if (!verifySignature(signer, message, signature)) return false;
	if (verified.size >= VERIFIED_MAX) verified.clear();
	verified.add(name);
	return true;
}

function keyNamed(name: Uint8Array, keys: readonly Uint8Array[] | undefined): Uint8Array | undefined {
	if (name.byteLength === KEY_BYTES.publicKey)
		return keys === undefined ? name : keys.find((key) => sameBytes(key, name));
	return keys?.find((key) => sameBytes(keyIdOf(key), name));
}

function signedBytes(type: RecordType, body: Uint8Array): Uint8Array {
	const context = new TextEncoder().encode(`beemesh/${type}/1\0`);
	const out = new Uint8Array(context.byteLength + body.byteLength);
	out.set(context);
	out.set(body, context.byteLength);
	return out;
}

function issueOf(issues: readonly v.BaseIssue<unknown>[]): string {
	const issue = issues[0];
	if (issue === undefined) return 'wrong shape';
	const path = v.getDotPath(issue as v.BaseIssue<unknown>);
	return path === null ? issue.message : `${path}: ${issue.message}`;
}
