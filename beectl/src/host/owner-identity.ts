/** An owner in its sessions with hosts: it shows its public record, and believes machines of its mesh that are not revoked. */

import { OWNER_EPOCH, ownerDomain } from '@beemesh/hostd/api';
import { MeshError } from '@beemesh/sdk/errors';
import { type OpenedMachine, openMachineCredential, verifySignature } from '@beemesh/sdk/identity';
import type { SessionIdentity } from '@beemesh/sdk/streams';
import type { Owner } from '../owner/owner.ts';
import type { MeshTrust } from '../trust/known-mesh.ts';

/** A machine of our mesh, by its certificate. Throws `unauthorized` for one of another mesh, or known to be out. */
export function machineOf(credential: Uint8Array, { mesh, revoked }: MeshTrust, nowMs: number): OpenedMachine {
	const machine = openMachineCredential(credential, mesh, nowMs);
	if (revoked.includes(machine.machineId)) {
		throw new MeshError(
			'unauthorized',
			`machine ${machine.machineId} has been revoked from the mesh "${mesh.body.name}"`,
		);
	}
	return machine;
}

export function ownerSessionIdentity(
	{ root, signer }: Pick<Owner, 'root' | 'signer'>,
	trust: MeshTrust,
	nowMs: () => number,
): SessionIdentity<OpenedMachine> {
	const { domain, psk } = ownerDomain(trust.mesh.cid);
	return {
		plane: 'owner',
		domain,
		psks: () => [psk],
		epoch: () => OWNER_EPOCH,
		certificate: () => ({ bytes: root.envelope, cid: root.cid }),
		sign: (message) => signer.sign(message),
		verify(credential, remote) {
			const machine = machineOf(credential, trust, nowMs());
			const { machineId, cid, cert } = machine;
			if (machineId !== remote)
				throw new MeshError(
					'unauthorized',
					`machine ${machineId} answers in place of ${remote}; nothing was told to it`,
				);
			return {
				principal: machine,
				cid,
				verifySignature: (message, signature) => verifySignature(cert.sigKey, message, signature),
			};
		},
		known: () => undefined,
	};
}
