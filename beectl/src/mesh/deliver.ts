/** Brings the newest epoch to the mesh, through one host of it. */
import { MeshError } from '@beemesh/sdk/errors';
import { openMachineCredential, openMesh, sealTo } from '@beemesh/sdk/identity';
import { encodeRecord } from '@beemesh/sdk/wire';
import type { Cli } from '../cli/command.ts';
import type { OpenedMeshFile } from './mesh-file.ts';

/** How many hosts have taken it. Throws `unauthorized` when the host is of another mesh, or is being put out itself. */
export async function deliverEpoch({ epoch, mesh, keyrings }: OpenedMeshFile, cli: Cli): Promise<number> {
	const { api } = await cli.connect();
	const answer = await api.credential({}, { signal: cli.signal });
	const met = openMesh(answer.genesis);
	if (met.cid !== mesh.cid) {
		throw new MeshError(
			'unauthorized',
			`the host at ${cli.socket} is of the mesh "${met.body.name}" (${met.cid}), not of "${mesh.body.name}"; name one of this mesh with --host`,
		);
	}
	const { machineId, cert } = openMachineCredential(answer.credential, mesh, cli.nowMs());
	if (epoch.body.revoked.includes(machineId)) {
		throw new MeshError(
			'unauthorized',
			`the host at ${cli.socket} is revoked itself and is not handed the new secrets; name another one with --host`,
		);
	}
	// Only this host can open it; it hands the keyring on to members of the new epoch alone.
	const keyring = sealTo(cert.kemKey, 'keyring', encodeRecord(keyrings[0]));
	const { hostsReached } = await api.meshEpoch({ epoch: epoch.envelope, keyring }, { signal: cli.signal });
	return hostsReached;
}
