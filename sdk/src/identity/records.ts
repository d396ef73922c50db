/**
 * Signed records: sign, open, and the chains that callers trust. An envelope is canonical DAG-CBOR
 * `{b: body, k: public key, s: signature}`; the signature covers `beemesh/<type>/1 ‖ 0x00 ‖ b`, so that one type
 * can never be presented as another.
 */
import * as v from 'valibot';
import { MeshError } from '../errors.ts';
import {
	decodeRecord,
	encodeRecord,
	LIMITS,
	RECORDS,
	type RecordBody,
	type RecordCid,
	type RecordType,
} from '../wire/index.ts';
import { cidOf, type Signer, verifySignature } from './keys.ts';

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

const envelopeSchema = v.strictObject({
	b: v.instance(Uint8Array),
	k: v.instance(Uint8Array),
	s: v.instance(Uint8Array),
});

/** Signs a record body; returns its envelope. */
export function signRecord<T extends RecordType>(type: T, body: RecordBody<T>, signer: Signer): Uint8Array {
	const b = encodeRecord(v.parse(RECORDS[type], body));
	const envelope = encodeRecord({ b, k: signer.publicKey, s: signer.sign(signedBytes(type, b)) });
	if (envelope.byteLength > LIMITS.recordBytesMax) {
		throw new MeshError(
			'invalid_input',
			`${type} record has ${envelope.byteLength} bytes, the limit is ${LIMITS.recordBytesMax}`,
		);
	}
	return envelope;
}

/**
 * Decodes and verifies an envelope: size, canonical form, schema, signature, in that order.
 * Throws `invalid_input` (not such a record) or `unauthorized` (signature).
 */
export function openRecord<T extends RecordType>(type: T, envelope: Uint8Array): OpenedRecord<T> {
	const outer = v.safeParse(envelopeSchema, decodeRecord(envelope));
	if (!outer.success) throw new MeshError('invalid_input', `not a ${type} envelope: ${issueOf(outer.issues)}`);
	const { b, k, s } = outer.output;
	const parsed = v.safeParse(RECORDS[type], decodeRecord(b));
	if (!parsed.success) throw new MeshError('invalid_input', `not a ${type} record: ${issueOf(parsed.issues)}`);
	if (!verifySignature(k, signedBytes(type, b), s)) {
		throw new MeshError('unauthorized', `the signature of this ${type} record is not its signer's`);
	}
	return { type, cid: cidOf(b), body: parsed.output as RecordBody<T>, signer: k, envelope };
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

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
	return a.byteLength === b.byteLength && a.every((byte, i) => byte === b[i]);
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
