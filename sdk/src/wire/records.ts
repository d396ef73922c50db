/**
 * Bodies of everything that is signed, and their schemas. A record travels as an envelope (see `identity/`):
 * `{b: body as DAG-CBOR, k: public key, s: signature over "beemesh/<type>/1" and b}`; its ID is the CID of the body.
 * Times are milliseconds since the epoch; addresses are multiaddrs; keys are suite-tagged public keys.
 */
import * as v from 'valibot';
import type { MachineId, OwnerId, RecordCid, ReplicaId, WorkloadId } from './ids.ts';
import { SLOTS_MAX } from './ids.ts';
import { LIMITS } from './limits.ts';

const safeInt = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
export const timeMs = safeInt;
const id = v.pipe(v.string(), v.minLength(8), v.maxLength(128));
const branded = <T extends string>() =>
	v.custom<T>((input) => typeof input === 'string' && input.length >= 8 && input.length <= 128);
export const machineIdSchema = branded<MachineId>();
export const replicaIdSchema = branded<ReplicaId>();
export const ownerIdSchema = branded<OwnerId>();
export const workloadIdSchema = branded<WorkloadId>();
export const cidSchema = branded<RecordCid>();
export const bytesSchema = (max: number) =>
	v.custom<Uint8Array>((input) => input instanceof Uint8Array && input.byteLength <= max, 'expected bytes');
const envelope = bytesSchema(LIMITS.recordBytesMax);
export const slotSchema = v.pipe(safeInt, v.maxValue(SLOTS_MAX - 1));
/** Generations start at 1. */
export const genSchema = v.pipe(safeInt, v.minValue(1), v.maxValue(2 ** 32));
export const addressesSchema = v.pipe(
	v.array(v.pipe(v.string(), v.maxLength(LIMITS.addressBytesMax))),
	v.maxLength(LIMITS.addressesMax),
);
/** DNS label, as Kubernetes names. */
export const nameSchema = v.pipe(v.string(), v.maxLength(63), v.regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/));
export const kindSchema = v.picklist(['Deployment', 'StatefulSet']);
export type WorkloadKind = v.InferOutput<typeof kindSchema>;

/** A workload's birth certificate; `WorkloadId` is its CID. Signed by the owner. */
export const genesisSchema = v.strictObject({
	owner: ownerIdSchema,
	/** SHA-256 of "<kind>/<namespace>/<name>": the same name of the same owner is the same workload. */
	salt: bytesSchema(32),
});
export type Genesis = v.InferOutput<typeof genesisSchema>;

/** The workload's mutable name: the newest era wins. Signed by the owner. */
export const charterSchema = v.strictObject({
	wid: workloadIdSchema,
	owner: ownerIdSchema,
	/** Grows with every change the owner makes. */
	era: safeInt,
	kind: kindSchema,
	namespace: nameSchema,
	name: nameSchema,
	manifestCid: cidSchema,
	/** Desired replicas; slots 0..replicas-1. */
	replicas: v.pipe(safeInt, v.maxValue(SLOTS_MAX)),
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
	tenderKey: bytesSchema(64),
	/** Most replicas that may run under this grant at a time. */
	quota: safeInt,
	exp: timeMs,
});
export type TenderGrant = v.InferOutput<typeof tenderGrantSchema>;

export const resourcesSchema = v.strictObject({
	/** Thousandths of a core. */
	cpuMillis: safeInt,
	memoryBytes: safeInt,
	diskBytes: safeInt,
});
export type Resources = v.InferOutput<typeof resourcesSchema>;

export const requirementsSchema = v.strictObject({
	resources: resourcesSchema,
	nodeSelector: v.record(v.pipe(v.string(), v.maxLength(317)), v.pipe(v.string(), v.maxLength(63))),
	hostPorts: v.pipe(v.array(v.strictObject({ port: safeInt, protocol: v.picklist(['TCP', 'UDP']) })), v.maxLength(64)),
	/** Images that must be startable; a host without one may pull it. */
	images: v.pipe(v.array(v.pipe(v.string(), v.maxLength(512))), v.maxLength(16)),
});
export type Requirements = v.InferOutput<typeof requirementsSchema>;

const ulid = v.pipe(v.string(), v.regex(/^[0-9A-HJKMNP-TV-Z]{26}$/));
const slotGen = v.strictObject({ slot: slotSchema, gen: genSchema });

/** A request to place replicas. Signed with the workload's tender key. */
export const tenderSchema = v.strictObject({
	tenderId: ulid,
	wid: workloadIdSchema,
	/** Envelope of the TenderGrant. */
	grant: envelope,
	slots: v.pipe(v.array(slotGen), v.minLength(1), v.maxLength(LIMITS.slotsPerTenderMax)),
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
	nonce: bytesSchema(16),
	exp: timeMs,
});
export type Tender = v.InferOutput<typeof tenderSchema>;

/** A host's offer, or its reason for none. Signed by the machine. */
export const bidSchema = v.strictObject({
	tenderId: ulid,
	machineId: machineIdSchema,
	/** In [0,1]; see `scheduler/core/score.ts`. */
	score: v.pipe(v.number(), v.minValue(0), v.maxValue(1)),
	/** Replicas this host would take now. 0: declined. */
	slotsOffered: safeInt,
	/** For a decline: the requirement that failed, e.g. `memory: needs 900Gi, 20Gi free`. */
	reason: v.optional(v.pipe(v.string(), v.maxLength(200))),
	validUntil: timeMs,
	ts: timeMs,
	nonce: bytesSchema(16),
});
export type Bid = v.InferOutput<typeof bidSchema>;

/** The requester's choice for one slot. Signed by the requester's machine, which the tender names. */
export const awardSchema = v.strictObject({
	awardId: ulid,
	tenderId: ulid,
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

/** A replica asks for admission. Signed by the replica's own key. */
export const csrSchema = v.strictObject({
	wid: workloadIdSchema,
	slot: slotSchema,
	gen: genSchema,
	/** Restarts in place of this (slot, gen); a higher one displaces a lower. */
	incarnation: safeInt,
	awardId: ulid,
	replicaId: replicaIdSchema,
	addresses: addressesSchema,
	ts: timeMs,
});
export type Csr = v.InferOutput<typeof csrSchema>;

/** The host's claim about a CSR. Signed by the machine. */
export const hostStatementSchema = v.strictObject({
	awardId: ulid,
	csrCid: cidSchema,
	manifestCid: cidSchema,
	machineId: machineIdSchema,
	ts: timeMs,
});
export type HostStatement = v.InferOutput<typeof hostStatementSchema>;

/** Membership of one replica. Signed with the workload's tender key. */
export const replicaCertSchema = v.strictObject({
	wid: workloadIdSchema,
	owner: ownerIdSchema,
	namespace: nameSchema,
	name: nameSchema,
	slot: slotSchema,
	gen: genSchema,
	incarnation: safeInt,
	replicaId: replicaIdSchema,
	machineId: machineIdSchema,
	awardId: ulid,
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

/** A host says that it is there. Signed by the machine; TTL 15 s, every 5 s and on change. */
export const presenceSchema = v.strictObject({
	machineId: machineIdSchema,
	name: nameSchema,
	addresses: addressesSchema,
	labels: v.record(v.pipe(v.string(), v.maxLength(317)), v.pipe(v.string(), v.maxLength(63))),
	runtime: v.pipe(v.string(), v.maxLength(32)),
	version: v.pipe(v.string(), v.maxLength(32)),
	capacity: resourcesSchema,
	free: resourcesSchema,
	pods: safeInt,
	/** The host is draining or stopping: it makes no bids. */
	leaving: v.boolean(),
	seq: safeInt,
	ts: timeMs,
	exp: timeMs,
});
export type Presence = v.InferOutput<typeof presenceSchema>;

/** The owner proves itself for one question or command to hosts. Signed by the owner. */
export const ownerRequestSchema = v.strictObject({
	owner: ownerIdSchema,
	verb: v.picklist(['list', 'logs', 'charter', 'events']),
	/** Only this workload; absent: all of the owner's. */
	wid: v.optional(workloadIdSchema),
	ts: timeMs,
	nonce: bytesSchema(16),
	exp: timeMs,
});
export type OwnerRequest = v.InferOutput<typeof ownerRequestSchema>;

/** Every record type with its body schema; the key is part of the signing context. */
export const RECORDS = {
	genesis: genesisSchema,
	charter: charterSchema,
	'tender-grant': tenderGrantSchema,
	tender: tenderSchema,
	bid: bidSchema,
	award: awardSchema,
	csr: csrSchema,
	'host-statement': hostStatementSchema,
	'replica-cert': replicaCertSchema,
	'service-record': serviceRecordSchema,
	presence: presenceSchema,
	'owner-request': ownerRequestSchema,
} as const;
export type RecordType = keyof typeof RECORDS;
export type RecordBody<T extends RecordType> = v.InferOutput<(typeof RECORDS)[T]>;

/** What a winner of an award receives to run and to heal a workload. Envelopes, and the canonical manifest. */
export const bundleSchema = v.strictObject({
	genesis: envelope,
	charter: envelope,
	grant: envelope,
	/** Private half of the grant's `tenderKey`: replicas heal the workload with it while the owner is offline. */
	tenderSecret: bytesSchema(64),
	/** Canonical DAG-CBOR of the {@link Manifest}; its CID is the charter's `manifestCid`. */
	manifest: bytesSchema(LIMITS.manifestBytesMax),
});
export type Bundle = v.InferOutput<typeof bundleSchema>;

export const ulidSchema = ulid;
export const idSchema = id;
export const slotGenSchema = slotGen;
export type SlotGen = v.InferOutput<typeof slotGen>;
export const envelopeSchema = envelope;
