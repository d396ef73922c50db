/** Schemas of single fields that records share. Each states its own limit, and refuses everything outside it. */
import * as v from 'valibot';
import type { MachineId, OwnerId, PeerId, RecordCid, ReplicaId, WorkloadId } from './ids.ts';
import { SLOTS_MAX } from './ids.ts';
import { KEY_BYTES, LIMITS } from './limits.ts';

export const safeInt = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** Milliseconds since the epoch; no later than the last date that there is (ECMA-262, time values). */
export const timeMs = v.pipe(safeInt, v.maxValue(8_640_000_000_000_000));

/** Peer ID of an Ed25519 key, base58btc: no other kind of key is known here. */
const PEER_ID = /^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/;
/** CIDv1, sha2-256, base32. */
const CID = /^b[a-z2-7]{58}$/;
const matching = <T extends string>(pattern: RegExp, what: string) =>
	v.custom<T>((input) => typeof input === 'string' && pattern.test(input), `expected ${what}`);
export const peerIdSchema = matching<PeerId>(PEER_ID, 'an Ed25519 peer ID');
export const machineIdSchema = matching<MachineId>(PEER_ID, 'a machine ID');
export const replicaIdSchema = matching<ReplicaId>(PEER_ID, 'a replica ID');
export const ownerIdSchema = matching<OwnerId>(CID, 'an owner ID');
export const workloadIdSchema = matching<WorkloadId>(CID, 'a workload ID');
export const cidSchema = matching<RecordCid>(CID, 'a CID');

export const bytesSchema = (max: number) =>
	v.custom<Uint8Array>(
		(input) => input instanceof Uint8Array && input.byteLength <= max,
		`expected at most ${max} bytes`,
	);
export const exactBytesSchema = (length: number) =>
	v.custom<Uint8Array>(
		(input) => input instanceof Uint8Array && input.byteLength === length,
		`expected ${length} bytes`,
	);
/** Suite byte and composite public key. */
export const publicKeySchema = exactBytesSchema(KEY_BYTES.publicKey);
/** X-Wing public key. */
export const kemKeySchema = exactBytesSchema(KEY_BYTES.kemPublicKey);
export const nonceSchema = exactBytesSchema(16);
/** One signed record. */
export const envelopeSchema = bytesSchema(LIMITS.recordBytesMax);
export const slotSchema = v.pipe(safeInt, v.maxValue(SLOTS_MAX - 1));
/** Generations start at 1. */
export const genSchema = v.pipe(safeInt, v.minValue(1), v.maxValue(2 ** 32));
export const addressesSchema = v.pipe(
	v.array(v.pipe(v.string(), v.maxLength(LIMITS.addressBytesMax))),
	v.maxLength(LIMITS.addressesMax),
);
/** DNS label, as Kubernetes names. */
export const nameSchema = v.pipe(v.string(), v.maxLength(63), v.regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/));
export const LABELS_MAX = 64;
export const labelsSchema = v.pipe(
	v.record(v.pipe(v.string(), v.maxLength(317)), v.pipe(v.string(), v.maxLength(63))),
	v.maxEntries(LABELS_MAX),
);
export const kindSchema = v.picklist(['Deployment', 'StatefulSet']);
export type WorkloadKind = v.InferOutput<typeof kindSchema>;
export const ulidSchema = v.pipe(v.string(), v.regex(/^[0-9A-HJKMNP-TV-Z]{26}$/));
export const slotGenSchema = v.strictObject({ slot: slotSchema, gen: genSchema });
export type SlotGen = v.InferOutput<typeof slotGenSchema>;

export const resourcesSchema = v.strictObject({
	/** Thousandths of a core. */
	cpuMillis: safeInt,
	memoryBytes: safeInt,
	diskBytes: safeInt,
});
export type Resources = v.InferOutput<typeof resourcesSchema>;
