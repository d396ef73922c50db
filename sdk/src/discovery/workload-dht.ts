/**
 * The workload's own DHT under `/beemesh/w/<wid>/kad/1.0.0`, whose servers are the replicas. Values are advertisements under
 * `/svc/<wid>/<replicaId>`, signed by the replica and sealed for the workload's members; provider records under the
 * workload's ID say whose to ask for.
 */
import type { PeerId as Libp2pPeerId } from '@libp2p/interface';
import type { KadDHT, KadDHTComponents, SingleKadDHT } from '@libp2p/kad-dht';
import { CID } from 'multiformats/cid';
import { MeshError } from '../errors.ts';
import { openForGroup, sameBytes, sealForGroup } from '../identity/index.ts';
import { dhtServiceOf } from '../streams/libp2p/index.ts';
import { LIMITS, type WorkloadId } from '../wire/index.ts';
import type { Advertisement } from './advertisement.ts';
import { supersedes } from './core/index.ts';
import type { NetworkOptions, WorkloadDht } from './network.ts';

/** Provider records outlive a few refreshes, and no dead replica by long. */
const PROVIDE_VALIDITY_MS = 60_000;
/** `kad-dht` renews provider records in bulk; ours are few, and {@link WorkloadDht.put} renews them. */
const PROVIDE_EVERY_MS = 20_000;
/** Sequence numbers are times: one further ahead than this would lock its replica's key for good. */
const SEQ_AHEAD_MS_MAX = 24 * 3_600_000;
/** A workload has at most some 1,024 slots; twice that while they change. */
const REPLICAS_MAX = 2_048;

export type RecordOptions = Pick<NetworkOptions, 'wid' | 'read' | 'recordKeys'>;

export function workloadDhtService(options: RecordOptions): (components: KadDHTComponents) => KadDHT {
	const wid = CID.parse(options.wid).multihash.bytes;
	return dhtServiceOf({
		protocol: `/beemesh/w/${options.wid}/kad/1.0.0`,
		namespace: 'svc',
		nowMs: Date.now,
		select: (key, values) => newestOf(options, key, values),
		rules: {
			recordBytesMax: LIMITS.recordBytesMax,
			recordsMax: REPLICAS_MAX,
			recordsPerAuthorMax: 1,
			providersMax: REPLICAS_MAX,
			providersPerPeerMax: 1,
			providerTtlMs: PROVIDE_VALIDITY_MS,
			isProvided: (multihash) => sameBytes(multihash, wid),
			read(key, value) {
				const { record, bytes } = openAt(options, key, value);
				return {
					author: record.replicaId,
					order: record.seq,
					content: bytes,
					untilMs: record.exp + LIMITS.skewMs,
				};
			},
		},
		init: {
			reprovide: { validity: PROVIDE_VALIDITY_MS, threshold: 1, interval: PROVIDE_VALIDITY_MS },
		},
	});
}

export function createWorkloadDht(dht: SingleKadDHT, options: RecordOptions): WorkloadDht {
	const { wid } = options;
	const key = CID.parse(wid);
	let providedMs = Number.NEGATIVE_INFINITY;
	return {
		async put({ record, bytes }, signal) {
			if (dht.routingTable.size === 0) return;
			const at = keyOf(wid, record.replicaId);
			const sealed = sealRecord(options.recordKeys(), at, bytes);
			for await (const _ of dht.put(new TextEncoder().encode(at), sealed, { signal }));
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
		const at = keyOf(wid, id.toString());
		try {
			for await (const event of dht.get(new TextEncoder().encode(at), { signal })) {
				if (event.name === 'VALUE') yield openRecordAt(options.recordKeys(), at, event.value);
			}
		} catch (error) {
			// Not found, or no longer valid: the others may still be.
			if (signal.aborted) throw error;
		}
	}
}

/** What is kept in the DHT: members can read it, and that it is for this key. `keys`: newest first. */
export function sealRecord(keys: readonly Uint8Array[], key: string, advertisement: Uint8Array): Uint8Array {
	const [newest] = keys;
	if (newest === undefined) throw new MeshError('unavailable', 'the key of the workload’s records is not known yet');
	return sealForGroup(newest, `wdht\0${key}`, advertisement);
}

function openRecordAt(keys: readonly Uint8Array[], key: string, sealed: Uint8Array): Uint8Array {
	return openForGroup(keys, `wdht\0${key}`, sealed);
}

function keyOf(wid: WorkloadId, replicaId: string): string {
	return `/svc/${wid}/${replicaId}`;
}

/** Throws unless the value is an advertisement of the replica and workload that the key names, and of this time. */
export function openAt({ read, wid, recordKeys }: RecordOptions, key: string, value: Uint8Array): Advertisement {
	if (!key.startsWith(`/svc/${wid}/`)) throw new MeshError('unauthorized', 'the key is of another workload');
	const advertisement = read(openRecordAt(recordKeys(), key, value));
	const { record } = advertisement;
	if (record.wid !== wid || key !== keyOf(record.wid, record.replicaId)) {
		throw new MeshError('unauthorized', 'the advertisement belongs under another key');
	}
	if (record.seq > Date.now() + SEQ_AHEAD_MS_MAX) {
		throw new MeshError('invalid_input', 'the number of the advertisement is more than a day ahead of this clock');
	}
	return advertisement;
}

/** Index of the newest record; what proves nothing loses. */
function newestOf(options: RecordOptions, key: string, values: readonly Uint8Array[]): number {
	let best: { index: number; advertisement: Advertisement } | undefined;
	values.forEach((value, index) => {
		try {
			const advertisement = openAt(options, key, value);
			if (best === undefined || supersedes(advertisement.record, best.advertisement.record))
				best = { index, advertisement };
		} catch {
			// The validator says why when it is read alone.
		}
	});
	return best?.index ?? 0;
}
