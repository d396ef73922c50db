/** An owner: the keys that its file holds, opened. */
import { randomBytes } from 'node:crypto';
import {
	createKemKey,
	createKeyPair,
	hkdf,
	type KemKeyPair,
	type KeyPair,
	type OpenedRecord,
	openRecord,
	ownerIdOf,
	signRecord,
} from '@beemesh/sdk/identity';
import { KEY_BYTES } from '@beemesh/sdk/wire';

export interface Owner {
	readonly signer: KeyPair;
	/** Opens what hosts and replicas seal for the owner. */
	readonly kem: KemKeyPair;
	/** What sessions between replicas of this owner begin with; the same for all its workloads. */
	readonly psk: Uint8Array;
}

/** A new owner, or the one of two seeds. */
export function createOwner(
	seed: Uint8Array = randomBytes(KEY_BYTES.seed),
	kemSeed: Uint8Array = randomBytes(KEY_BYTES.kemSeed),
): Owner {
	return { signer: createKeyPair(seed), kem: createKemKey(kemSeed), psk: hkdf(seed, 'owner-psk', 32) };
}

/** What others know an owner by. */
export function ownerRootOf({ signer, kem }: Owner, nowMs: number): Uint8Array {
	const { publicKey } = signer;
	const body = { owner: ownerIdOf(publicKey), sigKey: publicKey, kemKey: kem.publicKey, createdMs: nowMs };
	return signRecord('owner-root', body, signer);
}

/** Verifies an owner's public record: signed with the key that it names, under the ID of that key. */
export function openOwnerRoot(envelope: Uint8Array): OpenedRecord<'owner-root'> {
	return openRecord('owner-root', envelope, ({ owner, sigKey }) => (ownerIdOf(sigKey) === owner ? [sigKey] : []));
}
