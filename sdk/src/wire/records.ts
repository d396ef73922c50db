/**
 * Every record type: the schema of its body, its size, and how its signers are named. A record travels as an envelope
 * `{b: body as DAG-CBOR, s: [{k: key or its ID, s: signature}]}` (see `identity/`); its ID is the CID of the body.
 */
import * as v from 'valibot';
import { epochSchema } from './epoch-records.ts';
import { bytesSchema, envelopeSchema } from './fields.ts';
import { LIMITS } from './limits.ts';
import {
	enrollerSchema,
	leaseSchema,
	machineCertSchema,
	machineCsrSchema,
	machineRenewalSchema,
	meshEpochSchema,
	meshGenesisSchema,
	presenceSchema,
} from './machine-records.ts';
import {
	awardSchema,
	charterSchema,
	csrSchema,
	genesisSchema,
	hostStatementSchema,
	ownerRootSchema,
	replicaCertSchema,
	serviceRecordSchema,
	tenderGrantSchema,
	tenderSchema,
	workloadEndSchema,
} from './workload-records.ts';

const KIB = 1024;

/**
 * `names`: `key` where whoever verifies may know nothing yet; `key-id` (SHA-256 of the key) where the key is in a
 * certificate, or in the record, and would only be carried twice. `signers`: how many sign it; absent: one.
 */
export const RECORDS = {
	'mesh-genesis': { schema: meshGenesisSchema, bytesMax: 8 * KIB, names: 'key-id' },
	enroller: { schema: enrollerSchema, bytesMax: 8 * KIB, names: 'key-id' },
	'machine-cert': { schema: machineCertSchema, bytesMax: 16 * KIB, names: 'key-id' },
	'machine-renewal': { schema: machineRenewalSchema, bytesMax: 8 * KIB, names: 'key-id' },
	'machine-csr': { schema: machineCsrSchema, bytesMax: 16 * KIB, names: 'key-id' },
	'mesh-epoch': { schema: meshEpochSchema, bytesMax: 64 * KIB, names: 'key-id' },
	'owner-root': { schema: ownerRootSchema, bytesMax: 8 * KIB, names: 'key-id' },
	genesis: { schema: genesisSchema, bytesMax: 8 * KIB, names: 'key' },
	charter: { schema: charterSchema, bytesMax: 16 * KIB, names: 'key' },
	'tender-grant': { schema: tenderGrantSchema, bytesMax: 16 * KIB, names: 'key' },
	tender: { schema: tenderSchema, bytesMax: LIMITS.recordBytesMax, names: 'key-id' },
	award: { schema: awardSchema, bytesMax: 8 * KIB, names: 'key-id' },
	lease: { schema: leaseSchema, bytesMax: 8 * KIB, names: 'key-id' },
	csr: { schema: csrSchema, bytesMax: 16 * KIB, names: 'key-id' },
	'host-statement': { schema: hostStatementSchema, bytesMax: 8 * KIB, names: 'key-id' },
	'replica-cert': { schema: replicaCertSchema, bytesMax: 24 * KIB, names: 'key-id' },
	epoch: {
		...{ schema: epochSchema, bytesMax: LIMITS.epochBytesMax, names: 'key-id' },
		signers: { min: 1, max: LIMITS.signersMax },
	},
	'service-record': { schema: serviceRecordSchema, bytesMax: 24 * KIB, names: 'key-id' },
	presence: { schema: presenceSchema, bytesMax: 24 * KIB, names: 'key-id' },
	'workload-end': { schema: workloadEndSchema, bytesMax: 8 * KIB, names: 'key' },
} as const;
export type RecordType = keyof typeof RECORDS;
export type RecordBody<T extends RecordType> = v.InferOutput<(typeof RECORDS)[T]['schema']>;

/** How many signatures a record of this type carries. */
export function signersOf(type: RecordType): { readonly min: number; readonly max: number } {
	const record = RECORDS[type];
	return 'signers' in record ? record.signers : { min: 1, max: 1 };
}

/** What a winner of an award receives to run a workload. Envelopes, and the canonical manifest; no secret. */
export const bundleSchema = v.strictObject({
	genesis: envelopeSchema,
	charter: envelopeSchema,
	grant: envelopeSchema,
	/** Canonical DAG-CBOR of the {@link Manifest}; its CID is the charter's `manifestCid`. */
	manifest: bytesSchema(LIMITS.manifestBytesMax),
});
export type Bundle = v.InferOutput<typeof bundleSchema>;

/** A bundle, sealed: its four records and the manifest, with room for the frame. */
export const SEALED_BUNDLE_BYTES_MAX = 4 * LIMITS.recordBytesMax + LIMITS.manifestBytesMax;
