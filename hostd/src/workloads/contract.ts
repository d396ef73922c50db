/** What hosts ask each other about the workloads they run. The owner's signature, not the asking host, is what counts. */
import { contract, memberHintSchema, rpc } from '@beemesh/sdk/api';
import { bytesSchema, envelopeSchema, LIMITS, workloadIdSchema } from '@beemesh/sdk/wire';
import * as v from 'valibot';
import { logLineSchema, workloadViewSchema } from '../api/contract.ts';

export const MachineWorkloadsApi = contract('beemesh.machine.workloads', '1.0.0', {
	/** This host's part of an owner's inventory. */
	inventory: rpc({
		input: v.strictObject({ request: envelopeSchema }),
		output: v.strictObject({ workloads: v.array(workloadViewSchema) }),
		idempotent: true,
	}),
	/** Replicas of a workload on this host: hints only, their certificates are checked by whoever dials them. */
	members: rpc({
		input: v.strictObject({ wid: workloadIdSchema }),
		output: v.strictObject({ members: v.array(memberHintSchema) }),
		idempotent: true,
	}),
	/** A newer charter. Answers how many pods of that workload run here. */
	charter: rpc({
		input: v.strictObject({ charter: envelopeSchema, manifest: v.optional(bytesSchema(LIMITS.manifestBytesMax)) }),
		output: v.strictObject({ pods: v.number() }),
		idempotent: true,
	}),
	logs: rpc.stream({
		input: v.strictObject({
			request: envelopeSchema,
			podId: v.string(),
			container: v.optional(v.string()),
			follow: v.boolean(),
			tail: v.optional(v.number()),
			timestamps: v.boolean(),
		}),
		output: logLineSchema,
	}),
});
