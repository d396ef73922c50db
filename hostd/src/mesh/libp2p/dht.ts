/**
 * The machine DHT over kad-dht, under the mesh's own protocol name. An operation costs some 8 messages and 50–130 ms,
 * so callers bound it in time and use it rarely. Everything found is a hint.
 */

import { dhtServiceOf } from '@beemesh/sdk/streams/libp2p';
import { LIMITS, type MachineId } from '@beemesh/sdk/wire';
import type { KadDHT } from '@libp2p/kad-dht';
import { CID } from 'multiformats/cid';
import { create as createDigest } from 'multiformats/hashes/digest';
import { meshHash } from '../hello.ts';
import { LEASE_TTL_MS, newestLease, openLease } from '../lease.ts';
import type { Membership } from '../membership.ts';
import type { Dht } from '../ports.ts';

const OPERATION_MS = 5_000;
const RAW_CODEC = 0x55;
const SHA2_256 = 0x12;
/** A SHA-256 with its two bytes of name and length. */
const MULTIHASH_BYTES = 34;
const PROVIDER_TTL_S = 30 * 60;

/** Everything in it is of one machine's signature and soon over; a host provides at most its workloads and their owners. */
const LIMITS_OF_MDHT = {
	recordBytesMax: 8 * 1024,
	recordsMax: 8_192,
	recordsPerAuthorMax: 1_024,
	providersMax: 65_536,
	providersPerPeerMax: 2_048,
	providerTtlMs: PROVIDER_TTL_S * 1_000,
};

export function dhtService({ meshId, trust }: Membership, nowMs: () => number) {
	return dhtServiceOf({
		protocol: `/beemesh/m/${meshHash(meshId)}/kad/1.0.0`,
		namespace: 'lease',
		nowMs,
		// Machines are introduced with their certificates; whom only an answer names is nobody.
		mayFollow: (peer) => trust.machine(peer as MachineId, nowMs()) !== undefined,
		select: (_key, values) => newestLease(values),
		rules: {
			...LIMITS_OF_MDHT,
			isProvided: (multihash) => multihash.byteLength === MULTIHASH_BYTES,
			read(key, value) {
				const { machineId, ts, renewNonce } = openLease(key, value, trust, nowMs());
				const untilMs = ts + LEASE_TTL_MS + LIMITS.skewMs;
				return { author: machineId, order: ts + renewNonce / 1_000_000, content: value, untilMs };
			},
		},
		init: {
			// A mesh of one asks nobody, instead of waiting for somebody.
			allowQueryWithZeroPeers: true,
			reprovide: {
				validity: PROVIDER_TTL_S * 1_000,
				threshold: (PROVIDER_TTL_S * 1_000) / 2,
				interval: 5 * 60_000,
			},
		},
	});
}

export function createDht(dht: KadDHT, self: MachineId): Dht {
	return {
		async provide(key, signal) {
			await drain(dht.provide(cidOf(key), { signal: bounded(signal) }));
		},
		async unprovide(key) {
			await dht.cancelReprovide(cidOf(key));
		},
		async findProviders(key, signal) {
			const found = new Set<MachineId>();
			await untilAborted(bounded(signal), async (bound) => {
				for await (const event of dht.findProviders(cidOf(key), { signal: bound })) {
					if (event.name === 'PROVIDER') for (const { id } of event.providers) found.add(id.toString() as MachineId);
				}
			});
			found.delete(self);
			return [...found];
		},
		async put(key, value, signal) {
			await drain(dht.put(new TextEncoder().encode(key), value, { signal: bounded(signal) }));
		},
		async get(key, signal) {
			let best: Uint8Array | undefined;
			await untilAborted(bounded(signal), async (bound) => {
				for await (const event of dht.get(new TextEncoder().encode(key), { signal: bound })) {
					if (event.name === 'VALUE') best = event.value;
				}
			});
			return best;
		},
	};
}

function bounded(signal: AbortSignal | undefined): AbortSignal {
	const limit = AbortSignal.timeout(OPERATION_MS);
	return signal === undefined ? limit : AbortSignal.any([signal, limit]);
}

/** A search that is cut short has found what it has found; one that finds nothing throws `NotFoundError`. */
async function untilAborted(signal: AbortSignal, search: (signal: AbortSignal) => Promise<void>): Promise<void> {
	try {
		await search(signal);
	} catch (error) {
		if (!signal.aborted && (error as Error).name !== 'NotFoundError') throw error;
	}
}

async function drain(events: AsyncIterable<unknown>): Promise<void> {
	for await (const _event of events) {
		// Each event is one step of the query; only its end matters here.
	}
}

function cidOf(key: Uint8Array): CID {
	return CID.createV1(RAW_CODEC, createDigest(SHA2_256, key));
}
