/** Finds out what something is, and what can be said about it. Verifies; never needs a secret. */
import { isMeshError, MeshError } from '@beemesh/sdk/errors';
import {
	decodeInvite,
	type OpenedMesh,
	openMachineCredential,
	openRecord,
	type PeekedRecord,
	peekRecord,
} from '@beemesh/sdk/identity';
import { decodeRecord, RECORDS, type RecordType } from '@beemesh/sdk/wire';
import * as v from 'valibot';
import { MESH_FILE, meshOf as meshFileOf } from '../mesh/mesh-file.ts';
import { counted } from '../output/human.ts';
import { OWNER_FILE } from '../owner/key-file.ts';
import { parseSecretFile } from '../secrets/secret-file.ts';
import { type Finding, findingOf } from './finding.ts';
import { materialOf } from './read.ts';
import { meshOf, unknownMesh, type Verdict, verdictOf } from './verdict.ts';

export interface Context {
	/** Their roots are believed. */
	readonly meshes: readonly OpenedMesh[];
	readonly nowMs: number;
}

const BYTES_MAX = 512 * 1024;
const TYPES = Object.keys(RECORDS) as RecordType[];
const bytesValue = v.instance(Uint8Array);
const credentialSchema = v.strictObject({
	cert: bytesValue,
	renewal: v.optional(v.strictObject({ renewal: bytesValue, enroller: bytesValue })),
});
const sealedSchema = v.strictObject({ machineId: v.string(), sealed: bytesValue });

/** Throws `invalid_input` for what is nothing of Beemesh. `name`: what the user calls it. */
export function inspectBytes(bytes: Uint8Array, name: string, context: Context): Finding {
	const material = materialOf(bytes);
	if (material.form === 'json') return inspectFile(material.text, name, context);
	if (material.form === 'armor' && material.kind === 'INVITE') return inspectInvite(material.text, context);
	return inspectCbor(material.bytes, name, context);
}

function inspectCbor(bytes: Uint8Array, name: string, context: Context): Finding {
	const value = decodeOr(bytes, name);
	const credential = v.safeParse(credentialSchema, value);
	if (credential.success) return inspectCredential(bytes, credential.output, context);
	const bundle = v.safeParse(sealedSchema, value);
	if (bundle.success) return sealedBundle(bundle.output);
	const [record] = TYPES.flatMap((type) => peekOr(type, bytes));
	if (record === undefined)
		throw new MeshError('invalid_input', `${name} is DAG-CBOR, but no record that this beectl knows`);
	return findingOf(record, context.meshes, context.nowMs);
}

function inspectInvite(text: string, { meshes, nowMs }: Context): Finding {
	const { mesh, join } = decodeInvite(text);
	return {
		headline: `Invitation to the mesh "${mesh.body.name}", with ${join.length} ${join.length === 1 ? 'address' : 'addresses'}`,
		facts: [['Join', join.join(', ')]],
		data: { type: 'invite', join },
		parts: [findingOf(peekRecord('mesh-genesis', mesh.envelope), meshes, nowMs)],
	};
}

function sealedBundle({ machineId, sealed }: v.InferOutput<typeof sealedSchema>): Finding {
	return {
		headline: `Bundle of machine ${machineId}, sealed: that machine alone can open it`,
		facts: [
			['Machine ID', machineId],
			['Sealed', counted(sealed.byteLength, 'byte')],
		],
		data: { type: 'mesh-bundle', machineId, sealedBytes: sealed.byteLength },
		parts: [],
	};
}

/** A certificate, and if it has been prolonged, its renewal and the delegation that this was signed under. */
function inspectCredential(
	credential: Uint8Array,
	{ cert, renewal }: v.InferOutput<typeof credentialSchema>,
	{ meshes, nowMs }: Context,
): Finding {
	const certificate = peekRecord('machine-cert', cert);
	const mesh = meshOf(meshes, certificate.body.mesh);
	const prolonged =
		renewal === undefined
			? undefined
			: { by: peekRecord('enroller', renewal.enroller), term: peekRecord('machine-renewal', renewal.renewal) };
	const isAccepted: Verdict =
		mesh === undefined
			? unknownMesh(certificate.body.mesh)
			: verdictOf(() => openMachineCredential(credential, mesh, nowMs), `by the mesh "${mesh.body.name}", now`);
	const verdict =
		mesh === undefined
			? undefined
			: verdictOf(
					() => openRecord('machine-cert', cert, [mesh.body.rootKey]),
					`the root key of the mesh "${mesh.body.name}"`,
				);
	return {
		headline: `Credential of machine ${certificate.body.machineId}`,
		facts: [['Accepted', `${ACCEPTED[isAccepted.state]} (${isAccepted.why})`]],
		data: { type: 'machine-credential', accepted: isAccepted },
		parts: [
			findingOf(certificate, meshes, nowMs, verdict),
			...(prolonged === undefined
				? []
				: [
						findingOf(
							prolonged.term,
							meshes,
							nowMs,
							verdictOf(
								() => prolonged.term.verify([prolonged.by.body.sigKey]),
								'the enroller of the delegation below',
							),
						),
						findingOf(prolonged.by, meshes, nowMs),
					]),
		],
	};
}

const ACCEPTED: Readonly<Record<Verdict['state'], string>> = {
	holds: 'yes',
	broken: 'no',
	unchecked: 'cannot be told here',
};

function inspectFile(text: string, name: string, { meshes, nowMs }: Context): Finding {
	const known = v.safeParse(v.object({ type: v.string() }), parseJson(text));
	if (known.success && known.output.type === OWNER_FILE.type) {
		const { publicPart, isSealed } = parseSecretFile(OWNER_FILE, text, name);
		const root = peekRecord('owner-root', Buffer.from(publicPart.root, 'base64url'));
		return {
			headline: `Owner key ${isSealed ? 'under a passphrase' : 'WITHOUT a passphrase'}: its public part`,
			facts: [['Owner', publicPart.owner]],
			data: { type: OWNER_FILE.type, owner: publicPart.owner, isSealed },
			parts: [findingOf(root, meshes, nowMs)],
		};
	}
	if (known.success && known.output.type === MESH_FILE.type) {
		const { publicPart, isSealed } = parseSecretFile(MESH_FILE, text, name);
		const { mesh, epoch, ledger } = meshFileOf(publicPart, name);
		return {
			headline: `Root of the mesh "${mesh.body.name}" ${isSealed ? 'under a passphrase' : 'WITHOUT a passphrase'}: its public part`,
			facts: [
				['Mesh ID', mesh.cid],
				['Machines', `${ledger.machines.length} enrolled`],
			],
			data: { type: MESH_FILE.type, mesh: mesh.cid, isSealed, machines: ledger.machines },
			parts: [
				findingOf(peekRecord('mesh-genesis', mesh.envelope), meshes, nowMs),
				findingOf(peekRecord('mesh-epoch', epoch.envelope), [mesh], nowMs),
			],
		};
	}
	throw new MeshError('invalid_input', `${name} is a JSON file, but neither an owner key nor a mesh file`);
}

function decodeOr(bytes: Uint8Array, name: string): unknown {
	try {
		return decodeRecord(bytes, BYTES_MAX);
	} catch (cause) {
		throw new MeshError(
			'invalid_input',
			`${name} is nothing that beectl can read (${(cause as Error).message}); give a record as DAG-CBOR, base64 or armoured text, or a file of beectl`,
			{ cause },
		);
	}
}

/** Bodies are strict: one fits one type at most. */
function peekOr<T extends RecordType>(type: T, bytes: Uint8Array): readonly PeekedRecord<T>[] {
	try {
		return [peekRecord(type, bytes)];
	} catch (error) {
		if (isMeshError(error, 'invalid_input')) return [];
		throw error;
	}
}

function parseJson(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}
