/**
 * Bodies of what owners, workloads and replicas sign. Times are milliseconds since the epoch, addresses multiaddrs, keys
 * suite-tagged public keys.
 */
import * as v from 'valibot';
import {
	addressesSchema,
	cidSchema,
	envelopeSchema,
	exactBytesSchema,
	genSchema,
	kemKeySchema,
	kindSchema,
	labelsSchema,
	machineIdSchema,
	nameSchema,
	nonceSchema,
	ownerIdSchema,
	publicKeySchema,
	replicaIdSchema,
	resourcesSchema,
	safeInt,
	slotGenSchema,
	slotSchema,
	timeMs,
	ulidSchema,
	workloadIdSchema,
} from './fields.ts';
import { SLOTS_MAX } from './ids.ts';
import { KEY_BYTES, LIMITS } from './limits.ts';

/** Who owns workloads: the public halves of its keys. Signed by itself. */
export const ownerRootSchema = v.strictObject({
	owner: ownerIdSchema,
	sigKey: publicKeySchema,
	/** Answers to the owner are sealed to it. */
	kemKey: kemKeySchema,
	createdMs: timeMs,
});
export type OwnerRoot = v.InferOutput<typeof ownerRootSchema>;

/** A workload's birth certificate; `WorkloadId` is its CID. Signed by the owner. */
export const genesisSchema = v.strictObject({
	owner: ownerIdSchema,
	/** SHA-256 of "<kind>/<namespace>/<name>": the same name of the same owner is the same workload. */
	salt: exactBytesSchema(32),
});
export type Genesis = v.InferOutput<typeof genesisSchema>;

/** Digest of a container image. */
const imageDigestSchema = v.pipe(v.string(), v.regex(/^sha256:[0-9a-f]{64}$/));

/** The workload's mutable name: the highest (era, seq) wins. Signed by the owner. */
export const charterSchema = v.strictObject({
	wid: workloadIdSchema,
	owner: ownerIdSchema,
	/** Grows with every change the owner makes. */
	era: safeInt,
	/** Grows with renewals within an era, which change nothing but the time that the charter holds. */
	seq: safeInt,
	kind: kindSchema,
	namespace: nameSchema,
	name: nameSchema,
	manifestCid: cidSchema,
	/** Desired replicas; slots 0..replicas-1. */
	replicas: v.pipe(safeInt, v.maxValue(SLOTS_MAX)),
	/** Members have slots below it, whoever admits them. */
	slotsMax: v.pipe(safeInt, v.minValue(1), v.maxValue(SLOTS_MAX)),
	admit: v.strictObject({
		/** Signatures of current members that an epoch takes; of a StatefulSet at least their majority. */
		k: v.pipe(safeInt, v.minValue(1), v.maxValue(LIMITS.signersMax)),
	}),
	/** How long a replica's certificate lives at most. */
	certTtlMs: v.pipe(safeInt, v.minValue(1_000), v.maxValue(LIMITS.certTtlMsMax)),
	/** Images that replicas may run; empty: not pinned. */
	imageDigests: v.pipe(v.array(imageDigestSchema), v.maxLength(32)),
	/** The workload has been deleted: replicas leave, hosts reap. */
	deleted: v.boolean(),
	nbf: timeMs,
	exp: timeMs,
});
export type Charter = v.InferOutput<typeof charterSchema>;

/** Lets the holder of `tenderKey` place and admit replicas of one workload. Signed by the owner. */
export const tenderGrantSchema = v.strictObject({
	wid: workloadIdSchema,
	owner: ownerIdSchema,
	tenderKey: publicKeySchema,
	/** Most replicas that may run under this grant at a time. */
	quota: safeInt,
	exp: timeMs,
});
export type TenderGrant = v.InferOutput<typeof tenderGrantSchema>;

export const requirementsSchema = v.strictObject({
	resources: resourcesSchema,
	nodeSelector: labelsSchema,
	hostPorts: v.pipe(v.array(v.strictObject({ port: safeInt, protocol: v.picklist(['TCP', 'UDP']) })), v.maxLength(64)),
	/** Images that must be startable; a host without one may pull it. */
	images: v.pipe(v.array(v.pipe(v.string(), v.maxLength(512))), v.maxLength(16)),
});
export type Requirements = v.InferOutput<typeof requirementsSchema>;

/** A request to place replicas. Signed with the workload's tender key. */
export const tenderSchema = v.strictObject({
	tenderId: ulidSchema,
	wid: workloadIdSchema,
	/** Envelope of the TenderGrant. */
	grant: envelopeSchema,
	slots: v.pipe(v.array(slotGenSchema), v.minLength(1), v.maxLength(LIMITS.slotsPerTenderMax)),
	manifestCid: cidSchema,
	requirements: requirementsSchema,
	/** Higher goes first. Default 0. */
	priority: v.pipe(v.number(), v.safeInteger()),
	/** Hosts that already run, or just lost, replicas of this workload: they score lower or not at all. */
	avoid: v.strictObject({
		/** Must not be used. */
		hard: v.pipe(v.array(machineIdSchema), v.maxLength(256)),
		/** Spread: how many live replicas each host already has. */
		soft: v.pipe(v.array(v.strictObject({ machineId: machineIdSchema, replicas: safeInt })), v.maxLength(256)),
	}),
	/** The host that collects the bids, awards, and relays admissions. */
	requester: machineIdSchema,
	requesterAddresses: addressesSchema,
	ts: timeMs,
	nonce: nonceSchema,
	exp: timeMs,
});
export type Tender = v.InferOutput<typeof tenderSchema>;

/** The requester's choice for one slot. Signed by the requester's machine, which the tender names. */
export const awardSchema = v.strictObject({
	awardId: ulidSchema,
	tenderId: ulidSchema,
	wid: workloadIdSchema,
	slot: slotSchema,
	gen: genSchema,
	machineId: machineIdSchema,
	requester: machineIdSchema,
	manifestCid: cidSchema,
	ts: timeMs,
	exp: timeMs,
});
export type Award = v.InferOutput<typeof awardSchema>;

/** A replica asks for admission. Signed by the key that it asks to have certified, which proves that it holds it. */
export const csrSchema = v.strictObject({
	wid: workloadIdSchema,
	slot: slotSchema,
	gen: genSchema,
	/** Restarts in place of this (slot, gen); a higher one displaces a lower. */
	incarnation: safeInt,
	awardId: ulidSchema,
	replicaId: replicaIdSchema,
	sigKey: publicKeySchema,
	kemKey: kemKeySchema,
	/** Signature of the peer key over both others (see `peerProof` in `identity/`): the three belong together. */
	peerProof: exactBytesSchema(KEY_BYTES.peerProof),
	addresses: addressesSchema,
	ts: timeMs,
});
export type Csr = v.InferOutput<typeof csrSchema>;

/** The host's claim about a CSR. Signed by the machine. */
export const hostStatementSchema = v.strictObject({
	awardId: ulidSchema,
	csrCid: cidSchema,
	manifestCid: cidSchema,
	machineId: machineIdSchema,
	ts: timeMs,
});
export type HostStatement = v.InferOutput<typeof hostStatementSchema>;

/**
 * What a replica says of itself, signed with its own key. It proves no membership alone: an epoch that names its CID does.
 * So it can be shown to anybody, and two of them fit into one handshake.
 */
export const replicaCertSchema = v.strictObject({
	wid: workloadIdSchema,
	owner: ownerIdSchema,
	namespace: nameSchema,
	name: nameSchema,
	slot: slotSchema,
	gen: genSchema,
	incarnation: safeInt,
	replicaId: replicaIdSchema,
	sigKey: publicKeySchema,
	kemKey: kemKeySchema,
	/** As in the CSR. */
	peerProof: exactBytesSchema(KEY_BYTES.peerProof),
	machineId: machineIdSchema,
	awardId: ulidSchema,
	/** The request for admission that the members have seen, with the host's statement about it. */
	csrCid: cidSchema,
	/** What it was started from. */
	manifestCid: cidSchema,
	nbf: timeMs,
	exp: timeMs,
});
export type ReplicaCert = v.InferOutput<typeof replicaCertSchema>;

/** Where a replica is and how it is: `svc/<wid>/<replicaId>` in the workload's DHT. Signed by the replica. */
export const serviceRecordSchema = v.strictObject({
	wid: workloadIdSchema,
	replicaId: replicaIdSchema,
	slot: slotSchema,
	gen: genSchema,
	incarnation: safeInt,
	machineId: machineIdSchema,
	addresses: addressesSchema,
	/** Contracts served, as `name@version`. */
	services: v.pipe(v.array(v.pipe(v.string(), v.maxLength(128))), v.maxLength(64)),
	zone: v.optional(v.pipe(v.string(), v.maxLength(63))),
	version: v.pipe(v.string(), v.maxLength(63)),
	/** The manifest this replica was started from: a rolling update replaces those that differ from the charter's. */
	manifestCid: cidSchema,
	ready: v.boolean(),
	/** Asked to go by its host; it serves until a successor holds its slot. */
	leaving: v.boolean(),
	/** The replica has left; nobody should look for it. */
	left: v.boolean(),
	/** Grows with each record of this replica; the highest wins. */
	seq: safeInt,
	ts: timeMs,
	/** `ts` + 15 s. */
	exp: timeMs,
});
export type ServiceRecord = v.InferOutput<typeof serviceRecordSchema>;

/**
 * A workload is over: hosts that were away hear it from any other. Names nothing but the workload's ID, which `owner` and
 * `salt` make (see `genesisSchema`). Signed by the owner.
 */
export const workloadEndSchema = v.strictObject({
	wid: workloadIdSchema,
	owner: ownerIdSchema,
	salt: exactBytesSchema(32),
	/** Of the charter that deleted it; what was chartered under a newer one lives. */
	era: safeInt,
	ts: timeMs,
});
export type WorkloadEnd = v.InferOutput<typeof workloadEndSchema>;
