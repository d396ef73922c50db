/** What hosts ask each other about the mesh itself. */
import { contract, rpc } from '@beemesh/sdk/api';
import { envelopeSchema, keyringSchema } from '@beemesh/sdk/wire';
import * as v from 'valibot';

export const MachineMeshApi = contract('beemesh.machine.mesh', '1.0.0', {
	/** The newest epoch known. */
	epoch: rpc({ input: v.strictObject({}), output: v.strictObject({ epoch: envelopeSchema }), idempotent: true }),
	/** A new certificate for the caller, like its present one. Rejects with `not_found` when this host cannot. */
	renew: rpc({ input: v.strictObject({}), output: v.strictObject({ credential: envelopeSchema }), idempotent: true }),
	/** The secrets that this epoch names, if they are known; only to members, which every caller is. */
	keyring: rpc({
		input: v.strictObject({}),
		output: v.strictObject({ keyring: v.optional(keyringSchema) }),
		idempotent: true,
	}),
});
