/** What replicas of one workload ask of each other, besides what the app serves. Refused to callers from elsewhere. */
import * as v from 'valibot';
import { contract, rpc } from '../streams/rpc/contract.ts';
import {
	bytesSchema,
	envelopeSchema,
	epochLinksSchema,
	genSchema,
	LIMITS,
	replicaIdSchema,
	slotSchema,
	workloadIdSchema,
} from '../wire/index.ts';

const nothing = v.strictObject({});

export const PeerApi = contract('beemesh.peer', '1.0.0', {
	/** SWIM's indirect probe: do you reach this replica now? */
	probe: rpc({
		input: v.strictObject({ peer: replicaIdSchema }),
		output: v.strictObject({ alive: v.boolean() }),
		idempotent: true,
	}),
	/** The responsible replica wants this one to leave: the workload has been scaled down or updated. */
	drain: rpc({ input: v.strictObject({ reason: v.string() }), output: nothing, idempotent: true }),
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
