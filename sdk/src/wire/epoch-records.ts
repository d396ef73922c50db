/**
 * Membership of a workload: one epoch after the other, each naming every member. An epoch says all that the next one is
 * judged by, so that who holds the newest needs no older one.
 */
import * as v from 'valibot';
import {
	bytesSchema,
	cidSchema,
	envelopeSchema,
	exactBytesSchema,
	genSchema,
	safeInt,
	slotGenSchema,
	slotSchema,
	timeMs,
	workloadIdSchema,
} from './fields.ts';
import { SLOTS_MAX } from './ids.ts';
import { KEY_BYTES, LIMITS } from './limits.ts';

/** One replica that is in. */
export const epochMemberSchema = v.strictObject({
	slot: slotSchema,
	gen: genSchema,
	/** Restarts in place; absent: none. */
	incarnation: v.optional(v.pipe(safeInt, v.minValue(1))),
	/** CID of its certificate: who can show that certificate, and prove its key, is this member. */
	certCid: cidSchema,
	/** SHA-256 of its signing key, by which the signatures of the next epoch name it. */
	sigKeyId: exactBytesSchema(KEY_BYTES.keyId),
});
export type EpochMember = v.InferOutput<typeof epochMemberSchema>;

const slots = <S extends v.BaseSchema<unknown, { readonly slot: number }, v.BaseIssue<unknown>>>(schema: S) =>
	v.pipe(
		v.array(schema),
		v.maxLength(SLOTS_MAX),
		v.check(
			(list) => list.every(({ slot }, i) => i === 0 || slot > (list[i - 1]?.slot ?? 0)),
			'expected ascending slots, each once',
		),
	);

/** Who is in. Signed by k members of the epoch before it, or by the owner. */
export const epochSchema = v.strictObject({
	wid: workloadIdSchema,
	/** Raised by the owner alone; a higher one displaces every lower. */
	era: safeInt,
	/** Grows by one; begins at 0 with an epoch that follows none. */
	e: safeInt,
	/** CID of the epoch that this one follows. Absent in epoch 0 only. */
	prev: v.optional(cidSchema),
	/** Ascending by slot; a slot has one member. */
	members: slots(epochMemberSchema),
	/** Slots that had members and have none, with their last generation: no generation is ever used twice. Ascending. */
	vacant: slots(slotGenSchema),
	/** SHA-256 of the group key that holds from this epoch on. */
	groupKeyCommit: exactBytesSchema(32),
	ts: timeMs,
});
export type EpochRecord = v.InferOutput<typeof epochSchema>;

/** One step of a workload's membership, as it is passed on. */
export const epochLinkSchema = v.strictObject({
	/** Envelope of the epoch. */
	epoch: bytesSchema(LIMITS.epochBytesMax),
	/** Envelopes of certificates that it takes to judge the epochs it comes with. */
	certs: v.pipe(v.array(envelopeSchema), v.maxLength(2 * SLOTS_MAX)),
});
export type EpochLink = v.InferOutput<typeof epochLinkSchema>;
export const epochLinksSchema = v.pipe(v.array(epochLinkSchema), v.maxLength(LIMITS.epochLinksMax + 1));

/** What a replica is given when it is admitted; sealed to it. */
export const admissionAnswerSchema = v.strictObject({
	/** From the owner's last epoch to the one that names the newcomer. */
	links: epochLinksSchema,
	/** What sessions between replicas of one owner begin with: a gate, never authority. */
	psk: exactBytesSchema(32),
	/** What the newest epoch's `groupKeyCommit` is the SHA-256 of. */
	groupKey: exactBytesSchema(32),
	/** Private half of the grant's `tenderKey`: replicas ask for replacements with it while the owner is offline. */
	tenderSecret: exactBytesSchema(KEY_BYTES.seed),
});
export type AdmissionAnswer = v.InferOutput<typeof admissionAnswerSchema>;
