/**
 * What hosts ask each other about the workloads they run. Hosts may know where replicas are, and that a workload is over;
 * what it is, is between its owner and the hosts that run it.
 */
import { contract, memberHintSchema, rpc } from '@beemesh/sdk/api';
import { envelopeSchema, workloadIdSchema } from '@beemesh/sdk/wire';
import * as v from 'valibot';

export const MachineWorkloadsApi = contract('beemesh.machine.workloads', '1.0.0', {
	/** Replicas of a workload on this host: hints only, their certificates are checked by whoever dials them. */
	members: rpc({
		input: v.strictObject({ wid: workloadIdSchema }),
		output: v.strictObject({ members: v.array(memberHintSchema) }),
		idempotent: true,
	}),
	/** That a workload is over: a `workload-end` record. The owner's signature, not the asking host, is what counts. */
	ended: rpc({ input: v.strictObject({ end: envelopeSchema }), output: v.strictObject({}), idempotent: true }),
});
