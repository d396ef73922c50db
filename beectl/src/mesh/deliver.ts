/** Brings the newest epoch to the mesh, through one host of it. */
import { MeshError } from '@beemesh/sdk/errors';
import { openMesh, sealTo } from '@beemesh/sdk/identity';
import { encodeRecord } from '@beemesh/sdk/wire';
import type { Cli } from '../cli/command.ts';
import { connectHost } from '../host/client.ts';
import { createOwner } from '../owner/owner.ts';
import type { OpenedMeshFile } from './mesh-file.ts';

/** How many hosts have taken it. Throws `unauthorized` when the host is of another mesh, or is being put out itself. */
export async function deliverEpoch({ epoch, mesh, keyrings }: OpenedMeshFile, cli: Cli): Promise<number> {
	const client = await connectHost({
		socket: cli.socket,
		// The root's signature says whose word it is; who carries it does not matter.
		owner: createOwner(cli.nowMs()),
		nowMs: () => cli.nowMs(),
		signal: cli.signal,
		async trust(genesis) {
			const met = openMesh(genesis);
			if (met.cid === mesh.cid) return { mesh, revoked: [], met: async () => undefined };
			throw new MeshError(
				'unauthorized',
				`the host at ${cli.socket} is of the mesh "${met.body.name}" (${met.cid}), not of "${mesh.body.name}"; name one of this mesh with --host`,
			);
		},
	});
	try {
		const { machineId, cert } = client.machine;
		if (epoch.body.revoked.includes(machineId)) {
			throw new MeshError(
				'unauthorized',
				`the host at ${cli.socket} is revoked itself and is not handed the new secrets; name another one with --host`,
			);
		}
		// Only this host can open it; it hands the keyring on to members of the new epoch alone.
		const keyring = sealTo(cert.kemKey, 'keyring', encodeRecord(keyrings[0]));
		const { hostsReached } = await client.api.meshEpoch({ epoch: epoch.envelope, keyring }, { signal: cli.signal });
		return hostsReached;
	} finally {
		await client.close();
	}
}
