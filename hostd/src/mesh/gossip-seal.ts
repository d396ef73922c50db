/**
 * Gossip as members of the mesh alone can read it: everything published is sealed under the group key that the mesh's epoch
 * names, for its topic. While secrets change two keys open, and only the newest that is known seals.
 */
import { isMeshError } from '@beemesh/sdk/errors';
import { GROUP_SEAL_BYTES, keyringIdOf, openForGroup, sameBytes, sealForGroup } from '@beemesh/sdk/identity';
import { type Keyring, LIMITS, type RecordCid } from '@beemesh/sdk/wire';
import type { Membership } from './membership.ts';
import type { Gossip, Verdict } from './ports.ts';

/** Largest message on the wire. */
export const SEALED_BYTES_MAX = LIMITS.frameBytesMax + GROUP_SEAL_BYTES;

type Secrets = Pick<Membership, 'keyrings' | 'trust' | 'meshId'>;
type Opened = { readonly data: Uint8Array } | { readonly verdict: Exclude<Verdict, 'accept'>; readonly error: Error };

export function sealGossip(secrets: Secrets, topic: string, data: Uint8Array): Uint8Array {
	return sealForGroup(newest(secrets).groupKey, contextOf(secrets.meshId, topic), data);
}

/**
 * `ignore` for a key that we do not have: the other side may know of an epoch that we have yet to hear of. Everything else
 * that does not open is to be held against whoever passed it on, for it could have seen so itself.
 */
export function openGossip({ keyrings, meshId }: Secrets, topic: string, sealed: Uint8Array): Opened {
	try {
		const keys = keyrings.map(({ groupKey }) => groupKey);
		return { data: openForGroup(keys, contextOf(meshId, topic), sealed) };
	} catch (error) {
		if (!isMeshError(error)) throw error;
		return { verdict: error.code === 'not_found' ? 'ignore' : 'reject', error };
	}
}

/** Gossip whose every message is sealed. What does not open reaches no handler. */
export function sealedGossip(gossip: Gossip, secrets: Secrets): Gossip {
	return {
		publish: (topic, data) => gossip.publish(topic, sealGossip(secrets, topic, data)),
		subscribe: (topic, handler) =>
			gossip.subscribe(topic, (sealed, from) => {
				if (sealed.byteLength > SEALED_BYTES_MAX) return 'reject';
				const opened = openGossip(secrets, topic, sealed);
				return 'verdict' in opened ? opened.verdict : handler(opened.data, from);
			}),
	};
}

/** The one that the epoch names, once it is here. */
function newest({ keyrings, trust }: Secrets): Keyring {
	const named = keyrings.find((keyring) => sameBytes(keyringIdOf(keyring), trust.epoch.body.keyringId));
	return (named ?? keyrings[0]) as Keyring;
}

function contextOf(meshId: RecordCid, topic: string): string {
	return `gossip\0${meshId}\0${topic}`;
}
