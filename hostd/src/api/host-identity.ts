/** A host in its sessions with owners: it shows its certificate of the mesh, and believes an owner's self-signed record. */
import { type NodeKeys, openOwnerRoot, verifySignature } from '@beemesh/sdk/identity';
import type { SessionIdentity } from '@beemesh/sdk/streams';
import type { OwnerId } from '@beemesh/sdk/wire';
import type { Membership } from '../mesh/index.ts';
import { OWNER_EPOCH, ownerDomain } from './owner-session.ts';

/** Whoever holds the key that this ID is made from. Anybody can be an owner; what it owns is another question. */
export interface OwnerPrincipal {
	readonly owner: OwnerId;
}

export function hostOwnerIdentity(
	membership: Pick<Membership, 'meshId' | 'credential'> & {
		readonly self: { readonly cid: string };
		readonly keys: Pick<NodeKeys, 'signer'>;
	},
): SessionIdentity<OwnerPrincipal> {
	const { domain, psk } = ownerDomain(membership.meshId);
	return {
		plane: 'owner',
		domain,
		psks: () => [psk],
		epoch: () => OWNER_EPOCH,
		certificate: () => ({ bytes: membership.credential, cid: membership.self.cid }),
		sign: (message) => membership.keys.signer.sign(message),
		verify(certificate) {
			const { body, cid } = openOwnerRoot(certificate);
			return {
				principal: { owner: body.owner },
				cid,
				verifySignature: (message, signature) => verifySignature(body.sigKey, message, signature),
			};
		},
		known: () => undefined,
	};
}
