/**
 * What an owner asks of a host, in a session with that very host (`owner-session.ts`): whoever carries the bytes cannot
 * read them. The session proves the owner; each host answers for itself alone.
 */
import { checkpointSchema, contract, placementMethods, rosterSchema, rpc } from '@beemesh/sdk/api';
import {
	awardSchema,
	bytesSchema,
	cidSchema,
	envelopeSchema,
	genSchema,
	kindSchema,
	LIMITS,
	machineIdSchema,
	nameSchema,
	ownerIdSchema,
	presenceSchema,
	replicaIdSchema,
	slotSchema,
	workloadIdSchema,
} from '@beemesh/sdk/wire';
import * as v from 'valibot';

const nothing = v.strictObject({});

export const hostInfoSchema = v.strictObject({
	machineId: machineIdSchema,
	name: nameSchema,
	addresses: v.array(v.string()),
	version: v.string(),
	runtime: v.string(),
	runtimeVersion: v.string(),
	startedAtMs: v.number(),
	/** Name of the mesh; its ID is what tells it from others of that name. */
	mesh: v.string(),
	meshId: cidSchema,
	/** Where signatures and key encapsulation are computed. */
	cryptography: v.picklist(['native', 'javascript']),
});
export type HostInfo = v.InferOutput<typeof hostInfoSchema>;

export const podPhaseSchema = v.picklist(['Pending', 'Running', 'Succeeded', 'Failed', 'Terminating']);

export const endpointSchema = v.strictObject({
	/** The container port's name, or its number. */
	name: v.string(),
	protocol: v.picklist(['tcp', 'udp']),
	/** `address:port` on the host where the pod runs. */
	address: v.string(),
	containerPort: v.number(),
});

/** One pod of an owner, as its host sees it. */
export const podStatusSchema = v.strictObject({
	podId: v.string(),
	/** As Kubernetes would name it: `kv-store-0`, `web-frontend-1-g1`. */
	name: v.string(),
	namespace: nameSchema,
	kind: kindSchema,
	workload: nameSchema,
	wid: workloadIdSchema,
	owner: ownerIdSchema,
	slot: slotSchema,
	gen: genSchema,
	award: v.optional(awardSchema),
	phase: podPhaseSchema,
	/** `ImagePull`, `CrashLoopBackOff`, `OOMKilled`, …; empty when all is well. */
	reason: v.string(),
	ready: v.boolean(),
	role: v.string(),
	replicaId: v.optional(replicaIdSchema),
	restarts: v.number(),
	createdAtMs: v.number(),
	machineId: machineIdSchema,
	machineName: nameSchema,
	image: v.string(),
	endpoints: v.array(endpointSchema),
	/** Era of the charter this pod follows. */
	era: v.number(),
	/** CID of the manifest this pod was started from. */
	manifestCid: v.string(),
	/** Processes of the pod's containers as the host sees them. */
	pids: v.array(v.number()),
});
export type PodStatus = v.InferOutput<typeof podStatusSchema>;

export const workloadViewSchema = v.strictObject({
	wid: workloadIdSchema,
	/** Envelope of the newest charter seen. */
	charter: envelopeSchema,
	manifest: bytesSchema(LIMITS.manifestBytesMax),
	pods: v.array(podStatusSchema),
});
export type WorkloadView = v.InferOutput<typeof workloadViewSchema>;

export const logLineSchema = v.strictObject({
	stream: v.picklist(['stdout', 'stderr']),
	timeMs: v.number(),
	line: v.string(),
});

export const HostApi = contract('beemesh.host', '1.0.0', {
	...placementMethods,
	/**
	 * A newer epoch of the mesh, signed with its root key; `keyring`: the secrets that it names, sealed to this host
	 * (`sealTo(kemKey, 'keyring', …)`). The hosts tell each other.
	 */
	meshEpoch: rpc({
		input: v.strictObject({ epoch: envelopeSchema, keyring: v.optional(bytesSchema(8 * 1024)) }),
		output: v.strictObject({ hostsReached: v.number() }),
		idempotent: true,
	}),
	info: rpc({ input: nothing, output: hostInfoSchema, idempotent: true }),
	/** Hosts whose presence is alive. */
	hosts: rpc({ input: nothing, output: v.strictObject({ hosts: v.array(presenceSchema) }), idempotent: true }),
	/** The caller's workloads that have pods on this host. */
	inventory: rpc({
		input: nothing,
		output: v.strictObject({ workloads: v.array(workloadViewSchema) }),
		idempotent: true,
	}),
	/**
	 * A newer charter (scale, update, delete) of a workload that runs here; `manifest` when it changed. Answers how many of
	 * its pods there are.
	 */
	charter: rpc({
		input: v.strictObject({ charter: envelopeSchema, manifest: v.optional(bytesSchema(LIMITS.manifestBytesMax)) }),
		output: v.strictObject({ pods: v.number() }),
		idempotent: true,
	}),
	/** What replicas on this host have left for others to check their members with. Sealed under the owner's own key. */
	rosters: rpc({
		input: v.strictObject({ wid: workloadIdSchema }),
		output: v.strictObject({ sealed: v.pipe(v.array(rosterSchema), v.maxLength(16)) }),
		idempotent: true,
	}),
	/**
	 * For the members of a workload that runs here: an epoch of the owner's that confirms them, sealed for them. Answers how
	 * many of its pods heard it.
	 */
	checkpoint: rpc({
		input: v.strictObject({ wid: workloadIdSchema, sealed: checkpointSchema }),
		output: v.strictObject({ pods: v.number() }),
		idempotent: true,
	}),
	/** That a workload is over (a `workload-end` record). The hosts tell each other, also those that are away now. */
	end: rpc({
		input: v.strictObject({ end: envelopeSchema }),
		output: v.strictObject({ hostsReached: v.number() }),
		idempotent: true,
	}),
	/** Log lines of one of the caller's pods on this host. */
	logs: rpc.stream({
		input: v.strictObject({
			podId: v.string(),
			container: v.optional(v.string()),
			follow: v.boolean(),
			tail: v.optional(v.number()),
			timestamps: v.boolean(),
		}),
		output: logLineSchema,
	}),
});
