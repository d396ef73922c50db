/**
 * What hosts say to each other about placements. The caller is proved by the session; what must hold beyond it (an
 * award, a bid, a CSR) is signed besides.
 */
import { contract, memberHintSchema, rpc } from '@beemesh/sdk/api';
import { bidSchema, bytesSchema, envelopeSchema, LIMITS, SEALED_BUNDLE_BYTES_MAX, ulidSchema } from '@beemesh/sdk/wire';
import * as v from 'valibot';

const nothing = v.strictObject({});
/** Sealed past the requester, a sentence has some two thousand characters (`sealReason`). */
export const REASON_CHARS_MAX = 4_000;
const reason = v.pipe(v.string(), v.maxLength(REASON_CHARS_MAX));

/** An answer to an admission request, as `AdmitRequest` has it. */
export const admissionSchema = v.variant('admitted', [
	v.strictObject({
		admitted: v.literal(true),
		/** For the newcomer alone. */
		sealed: bytesSchema(LIMITS.admissionBytesMax),
		members: v.array(memberHintSchema),
		foundingSlots: v.number(),
	}),
	/** Sealed to the winner's host by whoever decided. */
	v.strictObject({ admitted: v.literal(false), reason }),
]);

export const MachineApi = contract('beemesh.machine', '1.0.0', {
	/** A tender for a host that the gossip may not have reached yet. */
	tender: rpc({ input: v.strictObject({ tender: envelopeSchema }), output: nothing, idempotent: true }),
	/** To the requester: an offer, or a decline with its reason. */
	bid: rpc({
		input: bidSchema,
		/** False: the placement is over, drop what you reserved. */
		output: v.strictObject({ wanted: v.boolean() }),
		idempotent: true,
	}),
	/**
	 * To the winner, with everything it needs to run the replica, sealed to it by whoever asked for the placement. The same
	 * award again gets the same answer.
	 */
	award: rpc({
		input: v.strictObject({ award: envelopeSchema, sealed: bytesSchema(SEALED_BUNDLE_BYTES_MAX) }),
		output: v.variant('accepted', [
			v.strictObject({ accepted: v.literal(true) }),
			v.strictObject({ accepted: v.literal(false), reason }),
		]),
		idempotent: true,
	}),
	/** To the winner: stop what is not admitted yet. */
	cancel: rpc({ input: v.strictObject({ awardId: ulidSchema, reason }), output: nothing, idempotent: true }),
	/** To bidders that were not needed: drop what you reserved. */
	close: rpc({ input: v.strictObject({ tenderId: ulidSchema }), output: nothing, idempotent: true }),
	/** To the requester: how a deployment ended. `known` is false when the requester has no such award any more. */
	outcome: rpc({
		input: v.strictObject({
			awardId: ulidSchema,
			outcome: v.picklist(['deployed', 'failed', 'preempted', 'cancelled']),
			reason: v.optional(reason),
		}),
		output: v.strictObject({ known: v.boolean() }),
		idempotent: true,
	}),
	/**
	 * To the requester: a replica asks for admission. Answered when whoever asked for the placement has decided, who alone
	 * can open `papers`; the requester goes by the host's statement about them.
	 */
	admission: rpc({
		input: v.strictObject({ awardId: ulidSchema, papers: envelopeSchema, statement: envelopeSchema }),
		output: admissionSchema,
		idempotent: true,
	}),
});
