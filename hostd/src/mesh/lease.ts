/**
 * Leases: hints in the MDHT that a slot is being deployed. Signed by the machine that deploys, as everything relayed is.
 * Two may exist for one slot; the work plane admits one replica. TTL 3 s, refreshed each second.
 *
 * The DHT accepts puts of older records, and returns expired ones, so validity is checked on read, by everyone.
 */
import { MeshError } from '@beemesh/sdk/errors';
import { type MachineTrust, peekRecord, requireFresh, sha256 } from '@beemesh/sdk/identity';
import type { Lease } from '@beemesh/sdk/wire';

export const LEASE_TTL_MS = 3_000;

export function leaseKey(lease: Pick<Lease, 'wid' | 'slot' | 'gen'>): string {
	return `/lease/${lease.wid}/${lease.slot}/${lease.gen}`;
}

/** Verifies a lease under the key it was found at. Throws `invalid_input` or `unauthorized`. */
export function openLease(key: string, envelope: Uint8Array, trust: MachineTrust, nowMs: number): Lease {
	const claimed = peekRecord('lease', envelope);
	if (leaseKey(claimed.body) !== key) throw new MeshError('invalid_input', 'not a lease of this slot');
	requireFresh('the lease', claimed.body, nowMs);
	return trust.verify(claimed, nowMs).body;
}

/** Index of the lease to prefer: the one renewed last. For records that {@link openLease} has accepted. */
export function newestLease(envelopes: readonly Uint8Array[]): number {
	let best = 0;
	let bestTs = -1;
	envelopes.forEach((envelope, i) => {
		const { ts, renewNonce } = peekRecord('lease', envelope).body;
		const rank = ts + renewNonce / 1_000_000;
		if (rank > bestTs) {
			best = i;
			bestTs = rank;
		}
	});
	return best;
}

/** Keys of provider records: 32 bytes that say nothing of what they name. */
export function providerKey(mesh: string, kind: 'workload' | 'owner', id: string): Uint8Array {
	return sha256(new TextEncoder().encode(`beemesh/provider/1\0${mesh}\0${kind}\0${id}`));
}
