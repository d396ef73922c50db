/** Records that this user has on disk, to be found by their CID: those of the mesh, and of the owner. */
import { isMeshError } from '@beemesh/sdk/errors';
import type { OpenedMesh } from '@beemesh/sdk/identity';
import type { Files } from '../cli/command.ts';
import { readMeshFileIfAny } from '../mesh/mesh-file.ts';
import { readOwnerRoot } from '../owner/key-file.ts';
import { readGenesis, readKnownMesh } from '../trust/known-mesh.ts';

interface KnownRecord {
	readonly cid: string;
	readonly envelope: Uint8Array;
}

/** Whose roots are believed: the one that was named, or all that are known. */
export async function knownMeshes(files: Files): Promise<readonly OpenedMesh[]> {
	if (files.genesis !== undefined) return [await readGenesis(files.genesis)];
	const made = await readMeshFileIfAny(files.mesh);
	const met = await readKnownMesh(files.knownMesh);
	return [...(made === undefined ? [] : [made.mesh]), ...(met === undefined ? [] : [met])];
}

export async function recordOf(cid: string, files: Files): Promise<KnownRecord | undefined> {
	const meshes = await knownMeshes(files);
	const made = await readMeshFileIfAny(files.mesh);
	const owner = await readOwnerRoot(files.owner).catch((error: unknown) => {
		if (isMeshError(error)) return undefined;
		throw error;
	});
	const records: readonly (KnownRecord | undefined)[] = [...meshes, made?.mesh, made?.epoch, owner];
	return records.find((record) => record?.cid === cid);
}
