/**
 * Signed records: sign, open, and what every check of freshness says. An envelope is canonical DAG-CBOR
 * `{b: body, s: [{k: key or its ID, s: signature}]}`; a signature covers `beemesh/<type>/1 ‖ 0x00 ‖ b`, so that one type
 * can never be presented as another. Most types carry one signature; of those that carry several (see `RECORDS`), the
 * signatures ascend by `k`, so that nobody counts twice.
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
	signersOf,
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
	/** The (first) signer's key, or its ID, as the envelope claims. */
	readonly claimed: Uint8Array;
	/** The same of every signer, ascending. */
	readonly claims: readonly Uint8Array[];
	readonly envelope: Uint8Array;
	/**
	 * Checks the signature. `keys`: by which it may be signed, for types that carry only the key's ID; for others a
	 * restriction. Throws `unauthorized` (none of these keys, or not its signature).
	 */
	verify(keys?: readonly Uint8Array[]): OpenedRecord<T>;
	/** The same for every signature that there is: one that does not hold, or is by none of `keys`, spoils the record. */
	verifyAll(keys?: readonly Uint8Array[]): CosignedRecord<T>;
}

/** A record of a type that several may sign, every signature verified. Whether they are enough is the caller's question. */
export interface CosignedRecord<T extends RecordType> extends OpenedRecord<T> {
	/** Keys of all its signers; no two are the same. */
	readonly signers: readonly Uint8Array[];
}

/** One signature, with the key or key ID that it is named by. */
export interface RecordSignature {
	readonly k: Uint8Array;
	readonly s: Uint8Array;
}

/** Keys by which a record may be signed where it carries only the key's ID. */
export type Keys<T extends RecordType> = readonly Uint8Array[] | ((body: RecordBody<T>) => readonly Uint8Array[]);

const signatureSchema = v.strictObject({
	k: v.union([exactBytesSchema(KEY_BYTES.keyId), exactBytesSchema(KEY_BYTES.publicKey)]),
	s: exactBytesSchema(KEY_BYTES.signature),
});
const envelopeSchema = v.strictObject({
	b: bytesSchema(Math.max(...Object.values(RECORDS).map(({ bytesMax }) => bytesMax))),
	s: v.pipe(v.array(signatureSchema), v.minLength(1), v.maxLength(LIMITS.signersMax)),
});

/** Signs a record body; returns its envelope. */
export function signRecord<T extends RecordType>(type: T, body: RecordBody<T>, signer: Signer): Uint8Array {
	return assembleRecord(type, body, [signRecordPart(type, body, signer)]);
}

/** One signature of a record: what one member adds to a body that it has checked. Throws for a body that is none. */
export function signRecordPart<T extends RecordType>(type: T, body: RecordBody<T>, signer: Signer): RecordSignature {
	const k = RECORDS[type].names === 'key' ? signer.publicKey : keyIdOf(signer.publicKey);
	return { k, s: signer.sign(bytesToSign(type, body)) };
}

/** What a signature of this body covers. */
export function bytesToSign<T extends RecordType>(type: T, body: RecordBody<T>): Uint8Array {
	return signedBytes(type, bodyBytes(type, body));
}

function bodyBytes<T extends RecordType>(type: T, body: RecordBody<T>): Uint8Array {
	const parsed = v.safeParse(RECORDS[type].schema, body);
	if (!parsed.success) throw new MeshError('invalid_input', `not a ${type} record: ${issueOf(parsed.issues)}`);
	return encodeRecord(parsed.output);
}

/** The envelope of a body and its signatures, in whatever order they came. Verifies none of them. */
export function assembleRecord<T extends RecordType>(
	type: T,
	body: RecordBody<T>,
	signatures: readonly RecordSignature[],
): Uint8Array {
	const { bytesMax } = RECORDS[type];
	const s = [...signatures].sort((a, b) => Buffer.compare(a.k, b.k)).map(({ k, s }) => ({ k, s }));
	const wrong = wrongSigners(type, s);
	if (wrong !== undefined) throw new MeshError('invalid_input', `this is no ${type} record: ${wrong}`);
	const envelope = encodeRecord({ b: bodyBytes(type, body), s });
	if (envelope.byteLength > bytesMax) {
		throw new MeshError('invalid_input', `${type} record has ${envelope.byteLength} bytes, the limit is ${bytesMax}`);
	}
	return envelope;
}

/** Decodes without verifying, to decide whether verifying is worth it: size, canonical form, schema. Throws `invalid_input`. */
export function peekRecord<T extends RecordType>(type: T, envelope: Uint8Array): PeekedRecord<T> {
	const { b, signatures, body } = decode(type, envelope);
	const cid = cidOf(b);
	const claims = signatures.map(({ k }) => k);
	const verifyAll = (keys: readonly Uint8Array[] | undefined): CosignedRecord<T> => {
		const signers = claims.map((k) => keyNamed(k, keys));
		const known = signers.filter((signer) => signer !== undefined);
		const [signer] = known;
		if (signer === undefined || known.length < signers.length)
			throw new MeshError('unauthorized', `this ${type} record is signed with a key that may not sign it`);
		const message = signedBytes(type, b);
		for (const [i, key] of known.entries())
			if (!isVerified(key, message, signatures[i]?.s ?? new Uint8Array(0)))
				throw new MeshError('unauthorized', `the signature of this ${type} record is not its signer's`);
		return { type, cid, body, signer, signers: known, envelope };
	};
	return {
		...{ type, cid, body, claimed: claims[0] as Uint8Array, claims, envelope, verifyAll },
		verify(keys) {
			const { signers: _, ...opened } = verifyAll(keys);
			return opened;
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
		throw new MeshError('unauthorized', `${what} is not valid before ${new Date(record.nbf).toISOString()}`, {
			details: { refusal: 'not_yet_valid' },
		});
	if (nowMs > record.exp)
		throw new MeshError('unauthorized', `${what} expired at ${new Date(record.exp).toISOString()}`, {
			details: { refusal: 'expired' },
		});
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
	return Buffer.compare(a, b) === 0;
}

function decode<T extends RecordType>(type: T, envelope: Uint8Array) {
	const { schema, bytesMax } = RECORDS[type];
	const outer = v.safeParse(envelopeSchema, decodeRecord(envelope, bytesMax));
	if (!outer.success) throw new MeshError('invalid_input', `not a ${type} envelope: ${issueOf(outer.issues)}`);
	const { b, s: signatures } = outer.output;
	const wrong = wrongSigners(type, signatures);
	if (wrong !== undefined) throw new MeshError('invalid_input', `not a ${type} envelope: ${wrong}`);
	const parsed = v.safeParse(schema, decodeRecord(b, bytesMax));
	if (!parsed.success) throw new MeshError('invalid_input', `not a ${type} record: ${issueOf(parsed.issues)}`);
	return { b, signatures, body: parsed.output as RecordBody<T> };
}

/** What is wrong with these signatures before any is verified: number, naming, order. */
function wrongSigners(type: RecordType, signatures: readonly RecordSignature[]): string | undefined {
	const { names } = RECORDS[type];
	const { min, max } = signersOf(type);
	if (signatures.length < min || signatures.length > max)
		return `it has ${signatures.length} signatures, not ${min === max ? min : `${min} to ${max}`}`;
	const keyBytes = names === 'key' ? KEY_BYTES.publicKey : KEY_BYTES.keyId;
	if (signatures.some(({ k }) => k.byteLength !== keyBytes)) return `its signer is named by ${names}`;
	const isAscending = signatures.every(({ k }, i) => i === 0 || Buffer.compare(signatures[i - 1]?.k ?? k, k) < 0);
	return isAscending ? undefined : 'its signatures are not of ascending, different signers';
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
