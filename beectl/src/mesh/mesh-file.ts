/**
 * A mesh as its operator keeps it: root key and shared secrets, protected; genesis, epoch and the ledger of machines in
 * the clear, so that it can be shown without the passphrase.
 */
import { isMeshError, MeshError } from '@beemesh/sdk/errors';
import {
	createKeyPair,
	type KeyPair,
	keyringIdOf,
	type OpenedMesh,
	type OpenedRecord,
	openMesh,
	openRecord,
	sameBytes,
} from '@beemesh/sdk/identity';
import {
	decodeRecord,
	encodeRecord,
	exactBytesSchema,
	KEY_BYTES,
	type Keyring,
	keyringSchema,
	safeInt,
} from '@beemesh/sdk/wire';
import * as v from 'valibot';
import { withFileLock } from '../secrets/file-lock.ts';
import type { Passphrases } from '../secrets/passphrase.ts';
import { createPrivateFile, type FileWords, readPrivateFile, replacePrivateFile } from '../secrets/private-file.ts';
import { newProtection } from '../secrets/protection.ts';
import { parseSecretFile, type SecretFileType, secretFileText } from '../secrets/secret-file.ts';
import { type Ledger, ledgerSchema } from './ledger.ts';

export interface MeshFile {
	readonly mesh: OpenedMesh;
	readonly epoch: OpenedRecord<'mesh-epoch'>;
	/** The newest epoch that a host has taken. */
	readonly deliveredSeq: number;
	/** Addresses that new machines are told. */
	readonly join: readonly string[];
	readonly ledger: Ledger;
}

export interface OpenedMeshFile extends MeshFile {
	readonly root: KeyPair;
	/** Newest first; the second one is that of the epochs before. */
	readonly keyrings: readonly [Keyring, ...Keyring[]];
}

const WORDS: FileWords = { what: 'the mesh file', option: '--mesh', missing: 'make a mesh with `beectl mesh init`' };

const envelopeText = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]+$/));
const publicSchema = v.strictObject({
	/** Name and ID, for people; the genesis is what counts. */
	name: v.string(),
	mesh: v.string(),
	genesis: envelopeText,
	epoch: envelopeText,
	deliveredSeq: safeInt,
	join: v.array(v.string()),
	...ledgerSchema.entries,
});
type MeshPublic = v.InferOutput<typeof publicSchema>;

export const MESH_FILE: SecretFileType<MeshPublic> = {
	v: 1,
	type: 'beemesh-mesh',
	publicSchema,
	what: 'a mesh file',
	outdated: 'make a new mesh with `beectl mesh init`',
};

const secretSchema = v.strictObject({
	rootSeed: exactBytesSchema(KEY_BYTES.seed),
	keyrings: v.pipe(v.array(keyringSchema), v.minLength(1), v.maxLength(2)),
});

/** Throws `conflict` when there is one: its root key cannot be made again. */
export async function createMeshFile(
	file: string,
	contents: OpenedMeshFile,
	passphrase: string | undefined,
): Promise<void> {
	const protection = await newProtection(passphrase);
	await createPrivateFile(file, secretFileText(MESH_FILE, publicOf(contents), secretOf(contents), protection), WORDS);
}

/** What can be known of the mesh without the passphrase. */
export async function readMeshFile(file: string): Promise<MeshFile> {
	return meshOf((await parsed(file)).publicPart, file);
}

export async function readMeshFileIfAny(file: string): Promise<MeshFile | undefined> {
	return readMeshFile(file).catch((error: unknown) => {
		if (isMeshError(error, 'not_found')) return undefined;
		throw error;
	});
}

export async function openMeshFile(file: string, passphrases: Passphrases): Promise<OpenedMeshFile> {
	return (await opened(file, passphrases)).contents;
}

/** Reads, changes and replaces the file; what `change` returns is saved before this returns. */
export async function changeMeshFile(
	file: string,
	passphrases: Passphrases,
	change: (current: OpenedMeshFile) => OpenedMeshFile,
): Promise<OpenedMeshFile> {
	// Whoever has to be asked is asked before others have to wait.
	if ((await parsed(file)).isSealed) await passphrases.forExisting(asked(file));
	return withFileLock(file, async () => {
		const { contents, protection } = await opened(file, passphrases);
		const next = change(contents);
		if (next !== contents)
			await replacePrivateFile(file, secretFileText(MESH_FILE, publicOf(next), secretOf(next), protection), WORDS);
		return next;
	});
}

async function parsed(file: string) {
	return parseSecretFile(MESH_FILE, await readPrivateFile(file, WORDS), file);
}

async function opened(file: string, passphrases: Passphrases) {
	const found = await parsed(file);
	const { secret, protection } = await found.open(() => passphrases.forExisting(asked(file)));
	const plain = v.safeParse(secretSchema, decodeRecord(secret));
	if (!plain.success) throw new MeshError('invalid_input', `${file} is a mesh file, but a damaged one`);
	const root = createKeyPair(plain.output.rootSeed);
	const keyrings = plain.output.keyrings as [Keyring, ...Keyring[]];
	const known = meshOf(found.publicPart, file);
	const belongs =
		sameBytes(root.publicKey, known.mesh.body.rootKey) &&
		sameBytes(keyringIdOf(keyrings[0]), known.epoch.body.keyringId);
	if (!belongs) throw new MeshError('unauthorized', `${file}: its secrets do not belong to its mesh and epoch`);
	return { contents: { ...known, root, keyrings } satisfies OpenedMeshFile, protection };
}

export function meshOf(publicPart: MeshPublic, file: string): MeshFile {
	const { name, mesh: id, genesis, epoch: envelope, deliveredSeq, join, nextSerial, machines } = publicPart;
	const mesh = openMesh(bytes(genesis));
	const epoch = openRecord('mesh-epoch', bytes(envelope), [mesh.body.rootKey]);
	if (mesh.cid !== id || mesh.body.name !== name || epoch.body.mesh !== mesh.cid)
		throw new MeshError('unauthorized', `${file}: its parts are of different meshes`);
	return { mesh, epoch, deliveredSeq, join, ledger: { nextSerial, machines } };
}

function publicOf({ mesh, epoch, deliveredSeq, join, ledger }: MeshFile): MeshPublic {
	return {
		name: mesh.body.name,
		mesh: mesh.cid,
		genesis: text(mesh.envelope),
		epoch: text(epoch.envelope),
		deliveredSeq,
		join: [...join],
		...ledger,
	};
}

function secretOf({ root, keyrings }: OpenedMeshFile): Uint8Array {
	return encodeRecord({ rootSeed: root.seed, keyrings });
}

function asked(file: string): string {
	return `the mesh file ${file}`;
}

function text(envelope: Uint8Array): string {
	return Buffer.from(envelope).toString('base64url');
}

function bytes(envelope: string): Uint8Array {
	return new Uint8Array(Buffer.from(envelope, 'base64url'));
}
