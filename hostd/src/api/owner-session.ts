/**
 * What both ends of an owner's session know beforehand. Owners are no members of the mesh: the pre-shared key is made from
 * the mesh's public ID and proves nothing; certificates do. The owner shows its public record, the host its credential.
 */
import { hkdf, sha256 } from '@beemesh/sdk/identity';
import type { RecordCid } from '@beemesh/sdk/wire';

/** Named in the session, whatever carries it. */
export const OWNER_SESSION = '/beemesh/owner/1';
/** The libp2p protocol on which a host takes owners' sessions that another host relays. */
export const OWNER_RELAY = '/beemesh/m/owner/1';
/** Owners have no epochs: neither side of such a session is ever resumed in another one. */
export const OWNER_EPOCH = 0;

export function ownerDomain(meshId: RecordCid): { readonly domain: Uint8Array; readonly psk: Uint8Array } {
	const id = new TextEncoder().encode(meshId);
	return {
		domain: sha256(new TextEncoder().encode(`beemesh/owners-of/${meshId}`)),
		psk: hkdf(id, 'owner-session', 32),
	};
}
