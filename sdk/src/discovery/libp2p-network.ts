/**
 * The network of production: a libp2p node per replica, and on it the workload's own DHT under
 * `/beemesh/w/<wid>/kad/1.0.0`, whose servers are the replicas. Values are advertisements under `/svc/<wid>/<replicaId>`;
 * provider records under the workload's ID say whose to ask for.
 */
import type { PeerId as Libp2pPeerId } from '@libp2p/interface';
import { type KadDHT, kadDHT, passthroughMapper, type SingleKadDHT } from '@libp2p/kad-dht';
import { CID } from 'multiformats/cid';
import { MeshError } from '../errors.ts';
import { createLibp2pNode } from '../streams/libp2p/index.ts';
import type { WorkloadId } from '../wire/index.ts';
import type { Advertisement } from './advertisement.ts';
import { supersedes } from './core/index.ts';
import type { NetworkOptions, OpenNetwork, WorkloadDht } from './network.ts';

/** Provider records outlive a few refreshes, and no dead replica by long. Seconds. */
const PROVIDE_VALIDITY_S = 60;
/** `kad-dht` renews provider records in bulk; ours are few, and {@link WorkloadDht.put} renews them. */
const PROVIDE_EVERY_MS = 20_000;

export const openLibp2pNetwork: OpenNetwork = async (options) => {
	const { seed, listen, announce, wid, session } = options;
	const { node, transport, sessions } = await createLibp2pNode({
		seed,
		session,
		listen,
		announce,
		agentVersion: 'beemesh-replica',
		services: {
			dht: dhtService(options),
		},
	});
	const recheck = (): void => void sessions?.recheck();
	return { transport, recheck, dht: createWorkloadDht(node.services.dht as SingleKadDHT, wid) };
};

function dhtService(options: NetworkOptions): (components: unknown) => KadDHT {
	const make = kadDHT({
		protocol: `/beemesh/w/${options.wid}/kad/1.0.0`,
		clientMode: false,
		peerInfoMapper: passthroughMapper,
		validators: { svc: (key, value) => void readAt(options, key, value) },
		selectors: { svc: (_key, values) => newestOf(options, values) },
		providers: { provideValidity: PROVIDE_VALIDITY_S, cleanupInterval: PROVIDE_VALIDITY_S },
	});
	// What it takes are the node's components, which libp2p hands to every service.
	return make as (components: unknown) => KadDHT;
}

function createWorkloadDht(dht: SingleKadDHT, wid: WorkloadId): WorkloadDht {
	const key = CID.parse(wid);
	let providedMs = Number.NEGATIVE_INFINITY;
	return {
		async put({ record, bytes }, signal) {
			if (dht.routingTable.size === 0) return;
			for await (const _ of dht.put(keyOf(wid, record.replicaId), bytes, { signal }));
			if (record.left || performance.now() < providedMs + PROVIDE_EVERY_MS) return;
			for await (const _ of dht.provide(key, { signal }));
			providedMs = performance.now();
		},
		async *find(signal) {
			if (dht.routingTable.size === 0) return;
			const asked = new Set<string>();
			for await (const event of dht.findProviders(key, { signal })) {
				if (event.name !== 'PROVIDER' && event.name !== 'PEER_RESPONSE') continue;
				for (const { id } of event.providers) {
					if (asked.has(id.toString())) continue;
					asked.add(id.toString());
					yield* get(id, signal);
				}
			}
		},
	};

	async function* get(id: Libp2pPeerId, signal: AbortSignal): AsyncIterable<Uint8Array> {
		try {
			for await (const event of dht.get(keyOf(wid, id.toString()), { signal })) {
				if (event.name === 'VALUE') yield event.value;
			}
		} catch (error) {
			// Not found, or no longer valid: the others may still be.
			if (signal.aborted) throw error;
		}
	}
}

function keyOf(wid: string, replicaId: string): Uint8Array {
	return new TextEncoder().encode(`/svc/${wid}/${replicaId}`);
}

/** Throws unless the value is an advertisement of the replica and workload that the key names. */
function readAt({ read, wid }: NetworkOptions, key: Uint8Array, value: Uint8Array): Advertisement {
	const advertisement = read(value);
	const { record } = advertisement;
	if (record.wid !== wid || new TextDecoder().decode(key) !== `/svc/${record.wid}/${record.replicaId}`) {
		throw new MeshError('unauthorized', 'the advertisement belongs under another key');
	}
	return advertisement;
}

/** Index of the newest record; what proves nothing loses. */
function newestOf({ read }: NetworkOptions, values: readonly Uint8Array[]): number {
	let best: { index: number; advertisement: Advertisement } | undefined;
	values.forEach((value, index) => {
		try {
			const advertisement = read(value);
			if (best === undefined || supersedes(advertisement.record, best.advertisement.record))
				best = { index, advertisement };
		} catch {
			// The validator says why when it is read alone.
		}
	});
	return best?.index ?? 0;
}
