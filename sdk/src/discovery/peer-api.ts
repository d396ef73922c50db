/** What replicas of one workload ask of each other, besides what the app serves. Refused to callers from elsewhere. */
import * as v from 'valibot';
import { contract, rpc } from '../streams/rpc/contract.ts';
import {
	bytesSchema,
	envelopeSchema,
	epochLinksSchema,
	epochSchema,
	exactBytesSchema,
	genSchema,
	KEY_BYTES,
	LIMITS,
	replicaIdSchema,
	slotSchema,
	workloadIdSchema,
} from '../wire/index.ts';

const nothing = v.strictObject({});

const papersSchema = v.strictObject({
	csr: envelopeSchema,
	cert: envelopeSchema,
	statement: envelopeSchema,
	credential: envelopeSchema,
});
/** A newcomer's papers, as its host passed them on: envelopes; `credential` is of the machine that made the statement. */
export type CosignPapers = v.InferOutput<typeof papersSchema>;

export const PeerApi = contract('beemesh.peer', '1.0.0', {
	/** SWIM's indirect probe: do you reach this replica now? */
	probe: rpc({
		input: v.strictObject({ peer: replicaIdSchema }),
		output: v.strictObject({ alive: v.boolean() }),
		idempotent: true,
	}),
	/** The responsible replica wants this one to leave: the workload has been scaled down or updated. */
	drain: rpc({ input: v.strictObject({ reason: v.string() }), output: nothing, idempotent: true }),
	/** Checks a change of the membership and signs it. Refused with `unauthorized`, or `conflict` to be tried again. */
	cosign: rpc({
		input: v.strictObject({
			epoch: epochSchema,
			certs: v.pipe(v.array(envelopeSchema), v.maxLength(16)),
			/** Of a newcomer. */
			papers: v.optional(papersSchema),
		}),
		output: v.strictObject({ k: bytesSchema(KEY_BYTES.keyId), s: bytesSchema(KEY_BYTES.signature) }),
	}),
	/** Our certificate anew, for a member that makes an epoch to renew its own. None while ours is still new. */
	renewal: rpc({ input: nothing, output: v.strictObject({ cert: v.optional(envelopeSchema) }), idempotent: true }),
	/** The group key of the newest epoch, for members that an epoch has reached without it. */
	groupKey: rpc({ input: nothing, output: v.strictObject({ groupKey: exactBytesSchema(32) }), idempotent: true }),
	/** What members keep in common: the newest charter, and the highest generation seen of each slot. */
	share: rpc({
		input: v.strictObject({
			charter: envelopeSchema,
			manifest: v.optional(bytesSchema(LIMITS.manifestBytesMax)),
			generations: v.pipe(v.array(v.tuple([slotSchema, genSchema])), v.maxLength(LIMITS.recordBytesMax)),
		}),
		output: nothing,
		idempotent: true,
	}),
});

/** Channel on which epochs are pushed: a workload, and links that follow what the receiver is believed to know. */
export const EPOCHS = 'beemesh/epochs';
export const epochNewsSchema = v.strictObject({ wid: workloadIdSchema, links: epochLinksSchema });
/** Channel of one-way messages that only say "I am here". */
export const HEARTBEAT = 'beemesh/heartbeat';
/** Channel on which advertisements are pushed: a DAG-CBOR list of them. */
export const ADVERTISEMENTS = 'beemesh/advertisements';
export const ADVERTISEMENTS_BYTES_MAX = 1024 * 1024;
