/**
 * Leases: hints in the MDHT that a slot is being deployed. Signed by the machine that deploys, as everything relayed is.
 * Two may exist for one slot; the work plane admits one replica. TTL 3 s, refreshed each second.
 *
 * The DHT accepts puts of older records, and returns expired ones, so validity is checked on read, by everyone.
 */
import { MeshError } from '@beemesh/sdk/errors';
import { peerIdOf, type Signer, sha256, verifySignature } from '@beemesh/sdk/identity';
import {
	bytesSchema,
	decodeRecord,
	encodeRecord,
	genSchema,
	type MachineId,
	machineIdSchema,
	slotSchema,
	timeMs,
	ulidSchema,
	workloadIdSchema,
} from '@beemesh/sdk/wire';
import * as v from 'valibot';

export const LEASE_TTL_MS = 3_000;
const LEASE_BYTES_MAX = 1_024;
/** Clock difference that a reader grants. */
const SKEW_MS = 30_000;

const leaseSchema = v.strictObject({
	wid: workloadIdSchema,
	slot: slotSchema,
	gen: genSchema,
	machineId: machineIdSchema,
	awardId: ulidSchema,
	/** Grows with each renewal; the highest wins. */
	renewNonce: timeMs,
	ts: timeMs,
});
export type Lease = v.InferOutput<typeof leaseSchema>;

const envelopeSchema = v.strictObject({ b: bytesSchema(LEASE_BYTES_MAX), k: bytesSchema(64), s: bytesSchema(128) });
const CONTEXT = new TextEncoder().encode('beemesh/lease/1\0');

export function leaseKey(lease: Pick<Lease, 'wid' | 'slot' | 'gen'>): string {
	return `/lease/${lease.wid}/${lease.slot}/${lease.gen}`;
}

export function signLease(lease: Lease, signer: Signer): Uint8Array {
	const b = encodeRecord(v.parse(leaseSchema, lease));
	return encodeRecord({ b, k: signer.publicKey, s: signer.sign(signed(b)) });
}

/** Verifies a lease under the key it was found at. Throws `invalid_input` or `unauthorized`. */
export function openLease(key: string, envelope: Uint8Array, nowMs: number): Lease {
	const outer = v.safeParse(envelopeSchema, decodeRecord(envelope, 2 * LEASE_BYTES_MAX));
	if (!outer.success) throw new MeshError('invalid_input', 'not a lease');
	const { b, k, s } = outer.output;
	const parsed = v.safeParse(leaseSchema, decodeRecord(b));
	if (!parsed.success || leaseKey(parsed.output) !== key)
		throw new MeshError('invalid_input', 'not a lease of this slot');
	const lease = parsed.output;
	if (Math.abs(nowMs - lease.ts) > SKEW_MS) throw new MeshError('unauthorized', 'the lease is over');
	if (!verifySignature(k, signed(b), s) || (peerIdOf(k) as string as MachineId) !== lease.machineId) {
		throw new MeshError('unauthorized', 'the lease is not signed by the machine it names');
	}
	return lease;
}

/** Index of the lease to prefer: the one renewed last. For records that {@link openLease} has accepted. */
export function newestLease(envelopes: readonly Uint8Array[]): number {
	let best = 0;
	let bestTs = -1;
	envelopes.forEach((envelope, i) => {
		const { b } = v.parse(envelopeSchema, decodeRecord(envelope));
		const { ts, renewNonce } = v.parse(leaseSchema, decodeRecord(b));
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

function signed(body: Uint8Array): Uint8Array {
	const out = new Uint8Array(CONTEXT.byteLength + body.byteLength);
	out.set(CONTEXT);
	out.set(body, CONTEXT.byteLength);
	return out;
}
