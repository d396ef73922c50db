/**
 * Bodies of what a mesh and its machines sign. A machine names its key by certificate: verifying needs the certificate,
 * and a certificate needs the mesh's genesis.
 */
import * as v from 'valibot';
import {
	addressesSchema,
	cidSchema,
	exactBytesSchema,
	genSchema,
	kemKeySchema,
	labelsSchema,
	machineIdSchema,
	nameSchema,
	publicKeySchema,
	resourcesSchema,
	safeInt,
	slotSchema,
	timeMs,
	ulidSchema,
	workloadIdSchema,
} from './fields.ts';
import { KEY_BYTES } from './limits.ts';

/** A mesh is who accepts this root key. Its CID is the mesh's ID. Signed by the root key itself. */
export const meshGenesisSchema = v.strictObject({
	name: nameSchema,
	rootKey: publicKeySchema,
	salt: exactBytesSchema(16),
	createdMs: timeMs,
});
export type MeshGenesis = v.InferOutput<typeof meshGenesisSchema>;

/** What a machine may do beyond running pods. `renew`: renew certificates of machines. */
export const machineCapSchema = v.picklist(['renew']);

/**
 * Lets a machine renew certificates that the root has given: it can prolong what there is, and add or change nothing.
 * Depth 1: the holder cannot pass it on. Signed by the root.
 */
export const enrollerSchema = v.strictObject({
	mesh: cidSchema,
	machineId: machineIdSchema,
	sigKey: publicKeySchema,
	/** Serials that it may renew: at most this many machines. */
	serialMin: safeInt,
	serialMax: safeInt,
	nbf: timeMs,
	exp: timeMs,
});
export type Enroller = v.InferOutput<typeof enrollerSchema>;

/** Prolongs a certificate of the root. Signed by an enroller within its delegation. */
export const machineRenewalSchema = v.strictObject({
	mesh: cidSchema,
	/** The certificate that it prolongs. */
	certCid: cidSchema,
	machineId: machineIdSchema,
	nbf: timeMs,
	/** At most 30 days after `nbf`, and not after the delegation's. */
	exp: timeMs,
});
export type MachineRenewal = v.InferOutput<typeof machineRenewalSchema>;

/** A machine of a mesh. Signed by the root. */
export const machineCertSchema = v.strictObject({
	mesh: cidSchema,
	machineId: machineIdSchema,
	sigKey: publicKeySchema,
	kemKey: kemKeySchema,
	caps: v.pipe(v.array(machineCapSchema), v.maxLength(8)),
	/** Labels that the operator vouches for; the machine cannot change them. */
	labels: labelsSchema,
	/** One number per machine, the same in its renewals. */
	serial: safeInt,
	nbf: timeMs,
	/** At most 30 days after `nbf`. */
	exp: timeMs,
});
export type MachineCert = v.InferOutput<typeof machineCertSchema>;

/** A machine asks for enrolment. Signed by the key that it asks to have certified. */
export const machineCsrSchema = v.strictObject({
	machineId: machineIdSchema,
	sigKey: publicKeySchema,
	kemKey: kemKeySchema,
	/** Signature of the peer key over both others. */
	peerProof: exactBytesSchema(KEY_BYTES.peerProof),
	name: nameSchema,
	labels: labelsSchema,
	ts: timeMs,
});
export type MachineCsr = v.InferOutput<typeof machineCsrSchema>;

/** Who is out, and which secrets hold. The highest `seq` wins, as in IPNS. Signed by the root. */
export const meshEpochSchema = v.strictObject({
	mesh: cidSchema,
	seq: safeInt,
	/** CID of the epoch before; absent in the first. */
	prev: v.optional(cidSchema),
	/** Machines whose certificates hold no longer, until they have expired. */
	revoked: v.pipe(v.array(machineIdSchema), v.maxLength(512)),
	/** SHA-256 of the keyring that holds from now on; machines hand it to each other over sessions. */
	keyringId: exactBytesSchema(32),
	nbf: timeMs,
	exp: timeMs,
});
export type MeshEpoch = v.InferOutput<typeof meshEpochSchema>;

/** The secrets that all machines of a mesh share. A gate and a cover, never authority. */
export const keyringSchema = v.strictObject({
	/** Handshakes without it are dropped before anything costly is computed. */
	psk: exactBytesSchema(32),
	/** Gossip is sealed under keys derived from it. */
	groupKey: exactBytesSchema(32),
});
export type Keyring = v.InferOutput<typeof keyringSchema>;

/** A host's offer, or its reason for none. Unsigned: the session says whose it is, and nobody passes it on. */
export const bidSchema = v.strictObject({
	tenderId: ulidSchema,
	/** In [0,1]; see `scheduler/core/score.ts`. */
	score: v.pipe(v.number(), v.minValue(0), v.maxValue(1)),
	/** Replicas this host would take now. 0: declined. */
	slotsOffered: safeInt,
	/** For a decline: the requirement that failed, e.g. `memory: needs 900Gi, 20Gi free`. */
	reason: v.optional(v.pipe(v.string(), v.maxLength(200))),
	/** For how long it holds, from its arrival: two clocks need not agree. */
	validForMs: v.pipe(safeInt, v.maxValue(60_000)),
});
export type Bid = v.InferOutput<typeof bidSchema>;

/** Says that a host deploys a slot: a hint in the machine DHT. Signed by the machine. */
export const leaseSchema = v.strictObject({
	wid: workloadIdSchema,
	slot: slotSchema,
	gen: genSchema,
	machineId: machineIdSchema,
	awardId: ulidSchema,
	/** Grows with each renewal; the highest wins. */
	renewNonce: timeMs,
	ts: timeMs,
});
export type Lease = v.InferOutput<typeof leaseSchema>;

/** A host says that it is there. Signed by the machine; TTL 15 s, every 5 s and on change. */
export const presenceSchema = v.strictObject({
	machineId: machineIdSchema,
	name: nameSchema,
	addresses: addressesSchema,
	labels: labelsSchema,
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
