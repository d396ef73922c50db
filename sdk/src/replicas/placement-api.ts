/**
 * Asking a host to place replicas, and admitting them. The same calls serve `beectl` (over its session with the host)
 * and a replica that heals its workload (over its pod's socket): whoever holds the tender key. The host that places never
 * learns what it places: the workload goes to each winner sealed.
 */
import * as v from 'valibot';
import { rpc } from '../streams/rpc/contract.ts';
import {
	addressesSchema,
	bytesSchema,
	cidSchema,
	envelopeSchema,
	genSchema,
	LIMITS,
	machineIdSchema,
	replicaIdSchema,
	SEALED_BUNDLE_BYTES_MAX,
	slotGenSchema,
	slotSchema,
	ulidSchema,
} from '../wire/index.ts';

export const memberHintSchema = v.strictObject({
	replicaId: replicaIdSchema,
	slot: slotSchema,
	gen: genSchema,
	addresses: addressesSchema,
});
/** Where a replica was last seen. Never trusted: its certificate is. */
export type MemberHint = v.InferOutput<typeof memberHintSchema>;

export const placeRequestSchema = v.strictObject({
	/** Envelope of a Tender whose `requester` is this host (see `HostInfo.machineId`). */
	tender: envelopeSchema,
	/** Keep asking when nobody bids, until cancelled. Default: report `starved` and end. */
	keepTrying: v.boolean(),
});
export type PlaceRequest = v.InferOutput<typeof placeRequestSchema>;

const at = { slot: slotSchema, gen: genSchema };

/** What happens to a placement, in order. Ends after every slot has an outcome, or with `starved`. */
export const placeEventSchema = v.variant('type', [
	v.strictObject({ type: v.literal('tendered'), tenderId: ulidSchema, scope: v.string(), hosts: v.number() }),
	v.strictObject({
		type: v.literal('bid'),
		machineId: machineIdSchema,
		score: v.number(),
		slotsOffered: v.number(),
		reason: v.optional(v.string()),
	}),
	/**
	 * The tender has to be signed again, under this ID and for these slots, because others will not take it twice: answer
	 * with `retender`. Without an answer nobody is asked, and the round ends as if nobody had bid.
	 */
	v.strictObject({ type: v.literal('retender'), tenderId: ulidSchema, slots: v.array(slotGenSchema) }),
	/** Answer with `deliver`. */
	v.strictObject({
		type: v.literal('awarded'),
		...at,
		machineId: machineIdSchema,
		awardId: ulidSchema,
		/** Of the winner, to be checked: the workload is sealed to its key. */
		credential: envelopeSchema,
	}),
	v.strictObject({ type: v.literal('accepted'), ...at, machineId: machineIdSchema }),
	v.strictObject({ type: v.literal('rejected'), ...at, machineId: machineIdSchema, reason: v.string() }),
	/** A pod asks for admission: answer with `admit`. */
	v.strictObject({
		type: v.literal('csr'),
		...at,
		awardId: ulidSchema,
		/** Request and certificate of the replica, sealed to the reply key of the placement (`openPapers`). */
		papers: envelopeSchema,
		/** About the request, by its CID. */
		statement: envelopeSchema,
		/** Of the machine that made the statement. */
		credential: envelopeSchema,
	}),
	v.strictObject({
		type: v.literal('outcome'),
		...at,
		machineId: machineIdSchema,
		outcome: v.picklist(['deployed', 'failed', 'preempted', 'cancelled']),
		reason: v.optional(v.string()),
	}),
	/** Nobody can serve these slots now: each requirement that failed, and on how many of the hosts asked. */
	v.strictObject({
		type: v.literal('starved'),
		slots: v.array(v.strictObject(at)),
		hostsAsked: v.number(),
		reasons: v.array(v.strictObject({ requirement: v.string(), hosts: v.number() })),
	}),
]);
export type PlaceEvent = v.InferOutput<typeof placeEventSchema>;

export const deliverRequestSchema = v.strictObject({
	awardId: ulidSchema,
	/** The bundle, for the winner of this award alone (`sealBundle`). */
	sealed: bytesSchema(SEALED_BUNDLE_BYTES_MAX),
});
export type DeliverRequest = v.InferOutput<typeof deliverRequestSchema>;

export const admitRequestSchema = v.strictObject({
	awardId: ulidSchema,
	csrCid: cidSchema,
	answer: v.variant('admitted', [
		v.strictObject({
			admitted: v.literal(true),
			/** What the newcomer needs to be a member, sealed to it (`sealAdmission`). */
			sealed: bytesSchema(LIMITS.admissionBytesMax),
			/** Replicas admitted before, to dial. */
			members: v.array(memberHintSchema),
			/**
			 * Slots 0..N-1 at generation 1 that found the workload's Raft groups; 0 for a replica that joins later and
			 * learns everything from the leader.
			 */
			foundingSlots: v.number(),
		}),
		v.strictObject({ admitted: v.literal(false), reason: v.string() }),
	]),
});
export type AdmitRequest = v.InferOutput<typeof admitRequestSchema>;
export type Admission = Extract<AdmitRequest['answer'], { admitted: true }>;

export const placementMethods = {
	place: rpc.stream({ input: placeRequestSchema, output: placeEventSchema }),
	/** Answers a `retender` event. */
	retender: rpc({
		input: v.strictObject({ tender: envelopeSchema }),
		output: v.strictObject({}),
		idempotent: true,
	}),
	/** Answers an `awarded` event. Rejects with `not_found` when the award is over. */
	deliver: rpc({ input: deliverRequestSchema, output: v.strictObject({}), idempotent: true }),
	/** Answers a `csr` event. */
	admit: rpc({ input: admitRequestSchema, output: v.strictObject({}), idempotent: true }),
};
