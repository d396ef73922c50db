/** What a replica may ask of its host, over its own pod's unix socket (`BEEMESH_SOCKET`). Nothing else is reachable. */
import * as v from 'valibot';
import { contract, rpc } from '../streams/rpc/contract.ts';
import {
	addressesSchema,
	awardSchema,
	bundleSchema,
	bytesSchema,
	envelopeSchema,
	genSchema,
	kindSchema,
	LIMITS,
	machineIdSchema,
	nameSchema,
	replicaIdSchema,
	slotSchema,
	workloadIdSchema,
} from '../wire/index.ts';
import { memberHintSchema, placementMethods } from './placement-api.ts';

/** One epoch, without the certificates that members have; sealed. */
export const checkpointSchema = bytesSchema(LIMITS.epochBytesMax + 1024);
const meshEpochEnvelopeSchema = bytesSchema(LIMITS.recordBytesMax);

export const podContextSchema = v.strictObject({
	machineId: machineIdSchema,
	machineAddresses: addressesSchema,
	machineName: nameSchema,
	zone: v.optional(v.string()),
	slot: slotSchema,
	gen: genSchema,
	/** How often this pod's container has been started again in place. */
	incarnation: v.number(),
	award: awardSchema,
	bundle: bundleSchema,
	/** The genesis of the host's mesh: statements of machines are checked under it. */
	meshGenesis: envelopeSchema,
	/** The mesh's newest epoch: replicas on machines that it revokes are refused. */
	meshEpoch: meshEpochEnvelopeSchema,
	/** Where to listen, e.g. `/ip4/0.0.0.0/udp/41000/quic-v1`. */
	listen: addressesSchema,
	/** Addresses at which others reach that, when they differ (port mapping). */
	announce: addressesSchema,
});
export type PodContext = v.InferOutput<typeof podContextSchema>;

export const podEventSchema = v.variant('type', [
	/** A newer charter reached this host: scale, update, delete. */
	v.strictObject({
		type: v.literal('charter'),
		charter: envelopeSchema,
		manifest: v.optional(bytesSchema(LIMITS.manifestBytesMax)),
	}),
	/** An epoch of the owner's that confirms the members, sealed for them: it makes their history short. */
	v.strictObject({ type: v.literal('checkpoint'), sealed: checkpointSchema }),
	/** The host has heard of a newer epoch of the mesh. */
	v.strictObject({ type: v.literal('mesh-epoch'), epoch: meshEpochEnvelopeSchema }),
	/** The host wants this pod gone (host drain, superseded generation): drain and exit. */
	v.strictObject({ type: v.literal('drain'), reason: v.string() }),
]);
export type PodEvent = v.InferOutput<typeof podEventSchema>;

const nothing = v.strictObject({});
export const rosterSchema = bytesSchema(LIMITS.admissionBytesMax);

export const PodApi = contract('beemesh.pod', '1.0.0', {
	...placementMethods,
	/** Everything the host knows of this pod. */
	context: rpc({ input: nothing, output: podContextSchema, idempotent: true }),
	/**
	 * Asks for admission: the host adds its statement and carries it to whoever awarded the slot. The answer may take
	 * as long as the admitter needs; the same CSR again gets the same certificate.
	 */
	join: rpc({
		input: v.strictObject({ csr: envelopeSchema, cert: envelopeSchema }),
		output: v.strictObject({
			sealed: bytesSchema(LIMITS.admissionBytesMax),
			members: v.array(memberHintSchema),
			foundingSlots: v.number(),
		}),
		idempotent: true,
	}),
	/**
	 * Leaves with the host what others need to check this workload's members: sealed for replicas of the same owner, so
	 * that hosts pass on what they cannot read.
	 */
	keepRoster: rpc({ input: v.strictObject({ sealed: rosterSchema }), output: nothing, idempotent: true }),
	/** What members of a workload have left with their hosts. Each is to be checked: a host may pass on anything. */
	rosters: rpc({
		input: v.strictObject({ wid: workloadIdSchema }),
		output: v.strictObject({ sealed: v.pipe(v.array(rosterSchema), v.maxLength(16)) }),
		idempotent: true,
	}),
	/** Tells the host where this replica listens and how it is, for hints to others and for `beectl get`. */
	announce: rpc({
		input: v.strictObject({
			replicaId: replicaIdSchema,
			addresses: addressesSchema,
			ready: v.boolean(),
			/** A word for people: `leader`, `follower`, `learner`, or empty. */
			role: v.pipe(v.string(), v.maxLength(32)),
		}),
		output: nothing,
		idempotent: true,
	}),
	/** Entry addresses of a workload of the same owner: by name in the caller's namespace, or by id. */
	resolve: rpc({
		input: v.variant('by', [
			v.strictObject({ by: v.literal('name'), namespace: nameSchema, name: nameSchema, kind: v.optional(kindSchema) }),
			v.strictObject({ by: v.literal('id'), wid: workloadIdSchema }),
		]),
		output: v.strictObject({
			found: v.array(v.strictObject({ wid: workloadIdSchema, members: v.array(memberHintSchema) })),
		}),
		idempotent: true,
	}),
	/** This replica has left its workload for good (superseded, scaled down, deleted): the host removes the pod. */
	leave: rpc({
		input: v.strictObject({ reason: v.pipe(v.string(), v.maxLength(200)) }),
		output: nothing,
		idempotent: true,
	}),
	/** What the host has to tell this pod, until the pod ends. */
	events: rpc.stream({ input: nothing, output: podEventSchema }),
});
