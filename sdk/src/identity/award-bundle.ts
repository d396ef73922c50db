/**
 * What a client and the winner of an award say to each other through the host between them, which carries it and cannot
 * read it. There: the workload's bundle, sealed to the winner's key and bound to the award, so that it is of no use under
 * another. Back: why it does not run, for that quotes the manifest, and the papers of its replica, which name the workload.
 */
import * as v from 'valibot';
import { isMeshError, MeshError } from '../errors.ts';
import {
	type Bundle,
	bundleSchema,
	decodeRecord,
	encodeRecord,
	envelopeSchema,
	kemKeySchema,
	LIMITS,
	SEALED_BUNDLE_BYTES_MAX,
	ulidSchema,
} from '../wire/index.ts';
import { type KemKeyPair, sealTo } from './keys.ts';
import type { OpenedMachine } from './machine.ts';

const BUNDLE = 'award-bundle';
const PAPERS = 'award-papers';
const REASON = 'award-reason';
const REASON_PREFIX = 'sealed:';
const REASON_BYTES_MAX = 1_000;
const schema = v.strictObject({ awardId: ulidSchema, bundle: bundleSchema, replyKey: kemKeySchema });

/** Seals a bundle for the winner of this award. `replyKey`: to which the winner seals what it has to say. */
export function sealBundle(
	bundle: Bundle,
	awardId: string,
	{ cert }: OpenedMachine,
	{ publicKey: replyKey }: Pick<KemKeyPair, 'publicKey'>,
): Uint8Array {
	return sealTo(cert.kemKey, BUNDLE, encodeRecord({ awardId, bundle, replyKey }));
}

/** Opens it at the winner. Throws `unauthorized` when it is for another machine or another award. */
export function openSealedBundle(
	sealed: Uint8Array,
	awardId: string,
	kem: KemKeyPair,
): { readonly bundle: Bundle; readonly replyKey: Uint8Array } {
	const parsed = v.safeParse(schema, decodeRecord(kem.open(BUNDLE, sealed), SEALED_BUNDLE_BYTES_MAX));
	if (!parsed.success) throw new MeshError('invalid_input', 'what was delivered for the award is no bundle');
	const { bundle, replyKey } = parsed.output;
	if (parsed.output.awardId !== awardId) throw new MeshError('unauthorized', 'what was delivered is for another award');
	return { bundle, replyKey };
}

const papersSchema = v.strictObject({ awardId: ulidSchema, csr: envelopeSchema, cert: envelopeSchema });

/** A replica's request for admission and the certificate that it has made for itself. Envelopes. */
export interface ReplicaPapers {
	readonly csr: Uint8Array;
	readonly cert: Uint8Array;
}

/** Seals them, at the winner, for whoever holds the reply key and decides: both name workload, namespace and slot. */
export function sealPapers({ csr, cert }: ReplicaPapers, awardId: string, replyKey: Uint8Array): Uint8Array {
	return sealTo(replyKey, PAPERS, encodeRecord({ awardId, csr, cert }));
}

/** Throws `unauthorized` when they are sealed to somebody else or for another award. What they say is not yet proved. */
export function openPapers(sealed: Uint8Array, awardId: string, kem: KemKeyPair): ReplicaPapers {
	const parsed = v.safeParse(papersSchema, decodeRecord(kem.open(PAPERS, sealed), LIMITS.recordBytesMax));
	if (!parsed.success) throw new MeshError('invalid_input', 'what came with the request for admission are no papers');
	const { csr, cert } = parsed.output;
	if (parsed.output.awardId !== awardId) throw new MeshError('unauthorized', 'the papers are for another award');
	return { csr, cert };
}

/** A reason in words, for whoever holds the reply key; as text, because it travels where reasons do. */
export function sealReason(reason: string, replyKey: Uint8Array): string {
	const words = new TextEncoder().encode(reason).subarray(0, REASON_BYTES_MAX);
	return `${REASON_PREFIX}${Buffer.from(sealTo(replyKey, REASON, words)).toString('base64')}`;
}

export function isSealedReason(reason: string): boolean {
	return reason.startsWith(REASON_PREFIX);
}

/** The words of a reason, sealed or not. One that is sealed to somebody else says so. */
export function openReason(reason: string, kem: KemKeyPair): string {
	if (!isSealedReason(reason)) return reason;
	try {
		const sealed = new Uint8Array(Buffer.from(reason.slice(REASON_PREFIX.length), 'base64'));
		return new TextDecoder().decode(kem.open(REASON, sealed));
	} catch (error) {
		if (!isMeshError(error)) throw error;
		return 'for a reason that cannot be read';
	}
}
