/** A machine in its sessions: every connection of the machine plane begins with both certificates. */

import { MeshError } from '@beemesh/sdk/errors';
import { type OpenedMachine, sha256, verifySignature } from '@beemesh/sdk/identity';
import type { SessionIdentity } from '@beemesh/sdk/streams/libp2p';
import type { Clock } from './clock.ts';
import type { Membership } from './membership.ts';

export function machineSessionIdentity(membership: Membership, clock: Clock): SessionIdentity<OpenedMachine> {
	const { trust, keys, meshId } = membership;
	return {
		plane: 'machine',
		domain: sha256(new TextEncoder().encode(`beemesh/mesh/${meshId}`)),
		psks: () => membership.keyrings.map(({ psk }) => psk),
		epoch: () => trust.epoch.body.seq,
		certificate: () => ({ bytes: membership.credential, cid: membership.self.cid }),
		sign: (message) => keys.signer.sign(message),
		verify(certificate, remote) {
			const machine = trust.learn(certificate, clock.nowMs());
			if (remote !== machine.machineId)
				throw new MeshError('unauthorized', `the certificate is of ${machine.machineId}, the connection of ${remote}`);
			return {
				principal: machine,
				cid: machine.cid,
				verifySignature: (message, signature) => verifySignature(machine.cert.sigKey, message, signature),
			};
		},
		known: (cid) => trust.byCid(cid)?.credential,
	};
}
