/** An owner: the keys that its file holds, opened, and what others know it by. */
import { randomBytes } from 'node:crypto';
import {
	createKemKey,
	createKeyPair,
	hkdf,
	type KemKeyPair,
	type KeyPair,
	type OpenedRecord,
	openOwnerRoot,
	ownerIdOf,
	signRecord,
} from '@beemesh/sdk/identity';
import { KEY_BYTES } from '@beemesh/sdk/wire';

export interface OwnerKeys {
	readonly signer: KeyPair;
	/** Opens what hosts and replicas seal for the owner. */
	readonly kem: KemKeyPair;
	/** What sessions between replicas of this owner begin with; the same for all its workloads. */
	readonly psk: Uint8Array;
}

export interface Owner extends OwnerKeys {
	/** Its public record: the certificate in its sessions with hosts. */
	readonly root: OpenedRecord<'owner-root'>;
}

/** New keys, or those of two seeds. */
export function createOwnerKeys(
	seed: Uint8Array = randomBytes(KEY_BYTES.seed),
	kemSeed: Uint8Array = randomBytes(KEY_BYTES.kemSeed),
): OwnerKeys {
	return { signer: createKeyPair(seed), kem: createKemKey(kemSeed), psk: hkdf(seed, 'owner-psk', 32) };
}

/** A new owner. */
export function createOwner(nowMs: number): Owner {
	const keys = createOwnerKeys();
	const { publicKey } = keys.signer;
	const body = { owner: ownerIdOf(publicKey), sigKey: publicKey, kemKey: keys.kem.publicKey, createdMs: nowMs };
	return { ...keys, root: openOwnerRoot(signRecord('owner-root', body, keys.signer)) };
}
