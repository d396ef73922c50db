/** What a machine receives on enrolment: everything it needs to be part of its mesh, in one file sealed to its key. */
import { randomBytes } from 'node:crypto';
import * as v from 'valibot';
import { MeshError } from '../errors.ts';
import {
	decodeRecord,
	encodeRecord,
	envelopeSchema,
	type Keyring,
	keyringSchema,
	LIMITS,
	type MachineId,
	nameSchema,
} from '../wire/index.ts';
import { type KemKeyPair, sealTo, sha256 } from './keys.ts';

/** New secrets, chosen at random. */
export function createKeyring(): Keyring {
	return { psk: new Uint8Array(randomBytes(32)), groupKey: new Uint8Array(randomBytes(32)) };
}

/** How epochs name a keyring. */
export function keyringIdOf(keyring: Keyring): Uint8Array {
	return sha256(encodeRecord(v.parse(keyringSchema, keyring)));
}

export const meshBundleSchema = v.strictObject({
	/** Under which the operator enrolled this machine. Absent in bundles of before there was one. */
	name: v.optional(nameSchema),
	genesis: envelopeSchema,
	epoch: envelopeSchema,
	credential: envelopeSchema,
	/** The delegation of a machine that renews certificates. */
	enroller: v.optional(envelopeSchema),
	/** Newest first; a second one while secrets change. */
	keyrings: v.pipe(v.array(keyringSchema), v.minLength(1), v.maxLength(2)),
	/** Multiaddrs of known hosts, ending in `/p2p/<machine id>`. */
	join: v.pipe(v.array(v.pipe(v.string(), v.maxLength(LIMITS.addressBytesMax))), v.maxLength(64)),
});
export type MeshBundle = v.InferOutput<typeof meshBundleSchema>;

const PURPOSE = 'mesh-bundle';
const BUNDLE_BYTES_MAX = 256 * 1024;
/** The file: for whom it is, in the clear so that a person can tell, and the sealed rest. */
const fileSchema = v.strictObject({ machineId: v.string(), sealed: v.instance(Uint8Array) });

/** Seals a bundle for one machine. */
export function sealMeshBundle(bundle: MeshBundle, machineId: MachineId, kemKey: Uint8Array): Uint8Array {
	const sealed = sealTo(kemKey, PURPOSE, encodeRecord(v.parse(meshBundleSchema, bundle)));
	return encodeRecord({ machineId, sealed });
}

/** Opens a bundle. Throws `invalid_input` (no bundle), `unauthorized` (for another machine, or altered). What is in it is not verified yet. */
export function openMeshBundle(file: Uint8Array, machineId: MachineId, kem: KemKeyPair): MeshBundle {
	const outer = v.safeParse(fileSchema, decodeRecord(file, BUNDLE_BYTES_MAX));
	if (!outer.success) throw new MeshError('invalid_input', 'not a mesh bundle as `beectl mesh enroll` makes it');
	if (outer.output.machineId !== machineId)
		throw new MeshError(
			'unauthorized',
			`this bundle is for machine ${outer.output.machineId}; this one is ${machineId}`,
		);
	const inner = v.safeParse(meshBundleSchema, decodeRecord(kem.open(PURPOSE, outer.output.sealed), BUNDLE_BYTES_MAX));
	if (!inner.success) throw new MeshError('invalid_input', 'the mesh bundle has another form than this version knows');
	return inner.output;
}
