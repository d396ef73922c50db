/** The epochs of a mesh, made by its root. No I/O. */
import {
	type KeyPair,
	keyringIdOf,
	type OpenedMesh,
	type OpenedRecord,
	openRecord,
	signRecord,
} from '@beemesh/sdk/identity';
import type { Keyring, MachineId, MeshEpoch } from '@beemesh/sdk/wire';

/** An epoch is replaced, not renewed; until then it may have to serve for long. */
const EPOCH_TTL_MS = 365 * 24 * 3_600_000;

export interface EpochTerms {
	readonly revoked: readonly MachineId[];
	readonly keyring: Keyring;
}

/** `previous` undefined: the first one. */
export function nextEpoch(
	mesh: OpenedMesh,
	previous: OpenedRecord<'mesh-epoch'> | undefined,
	{ revoked, keyring }: EpochTerms,
	root: KeyPair,
	nowMs: number,
): OpenedRecord<'mesh-epoch'> {
	const body: MeshEpoch = {
		mesh: mesh.cid,
		seq: (previous?.body.seq ?? 0) + 1,
		...(previous === undefined ? {} : { prev: previous.cid }),
		revoked: [...revoked],
		keyringId: keyringIdOf(keyring),
		nbf: nowMs,
		exp: nowMs + EPOCH_TTL_MS,
	};
	return openRecord('mesh-epoch', signRecord('mesh-epoch', body, root), [mesh.body.rootKey]);
}
