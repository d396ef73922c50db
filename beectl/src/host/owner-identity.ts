/** An owner in its sessions with hosts: it shows its public record, and believes machines of its mesh that are not revoked. */

import { OWNER_EPOCH, ownerDomain } from '@beemesh/hostd/api';
import { MeshError } from '@beemesh/sdk/errors';
import { type OpenedMachine, openMachineCredential, verifySignature } from '@beemesh/sdk/identity';
import type { SessionIdentity } from '@beemesh/sdk/streams';
import type { Owner } from '../owner/owner.ts';
import type { MeshTrust } from '../trust/known-mesh.ts';

export function ownerSessionIdentity(
	{ root, signer }: Pick<Owner, 'root' | 'signer'>,
	{ mesh, revoked }: MeshTrust,
	nowMs: () => number,
): SessionIdentity<OpenedMachine> {
	const { domain, psk } = ownerDomain(mesh.cid);
	return {
		plane: 'owner',
		domain,
		psks: () => [psk],
		epoch: () => OWNER_EPOCH,
		certificate: () => ({ bytes: root.envelope, cid: root.cid }),
		sign: (message) => signer.sign(message),
		verify(credential, remote) {
			const machine = openMachineCredential(credential, mesh, nowMs());
			const { machineId, cid, cert } = machine;
			if (machineId !== remote)
				throw new MeshError(
					'unauthorized',
					`machine ${machineId} answers in place of ${remote}; nothing was told to it`,
				);
			if (revoked.includes(machineId))
				throw new MeshError('unauthorized', `machine ${machineId} has been revoked from the mesh "${mesh.body.name}"`);
			return {
				principal: machine,
				cid,
				verifySignature: (message, signature) => verifySignature(cert.sigKey, message, signature),
			};
		},
		known: () => undefined,
	};
}
