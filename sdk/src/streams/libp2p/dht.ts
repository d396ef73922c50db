/**
 * kad-dht as members of a plane may use it: its own bounded store instead of libp2p's, streams of one small request each,
 * so many requests a second per peer, no namespace but those with rules, and a routing table that grows by peers which
 * have answered over a connection, and so have shown a certificate.
 */
import type { PeerInfo } from '@libp2p/interface';
import { type KadDHT, type KadDHTComponents, type KadDHTInit, kadDHT, type QueryEvent } from '@libp2p/kad-dht';
import { MeshError } from '../../errors.ts';
import type { PeerId } from '../../wire/ids.ts';
import { type DhtRules, DhtStore } from './dht-store.ts';
import { metered, overriding } from './meter.ts';

export interface DhtOptions {
	readonly protocol: string;
	/** Rules for the namespaces that there are, by the first part of the key. */
	readonly namespace: string;
	readonly rules: DhtRules;
	/** Index of the value to prefer. */
	readonly select: (key: string, values: readonly Uint8Array[]) => number;
	readonly nowMs: () => number;
	/** Of peers that others name: whether to ask that one too, and dial it for that. @default all */
	readonly mayFollow?: (peer: PeerId) => boolean;
	/** Further settings of kad-dht. */
	readonly init?: KadDHTInit;
}

/** One request or answer: a record, or 20 peers with their addresses. */
const STREAM_BYTES_MAX = 128 * 1024;
const STREAMS_MAX = 16;
const REQUESTS_PER_S = 50;
const REQUESTS_BURST = 200;
const PEERS_MAX = 4096;

/** Of kad-dht's class what its interface does not say: how it asks others. */
interface Asking {
	readonly network: { sendRequest(...args: unknown[]): AsyncGenerator<QueryEvent> };
}

export function dhtServiceOf({ protocol, namespace, rules, select, nowMs, mayFollow, init = {} }: DhtOptions) {
	const isFollowed = ({ id }: PeerInfo): boolean => mayFollow?.(id.toString() as PeerId) ?? true;
	const make = kadDHT({
		protocol,
		// Everybody serves, also on private addresses: these are the peers that there are.
		clientMode: false,
		// One without addresses is not taken up.
		peerInfoMapper: (peer) => (isFollowed(peer) ? peer : { ...peer, multiaddrs: [] }),
		maxInboundStreams: STREAMS_MAX,
		// Peers that somebody names are dialed to see whether they are there: few at a time, and never very many.
		routingTableUpdateQueueConcurrency: 4,
		routingTableUpdateMaxQueueSize: 64,
		pingNewContactMaxQueueSize: 64,
		...init,
		validators: {
			[namespace]: (key, value) => {
				if (value.byteLength > rules.recordBytesMax) throw new MeshError('invalid_input', 'the DHT value is too large');
				rules.read(new TextDecoder().decode(key), value);
			},
			// kad-dht brings this one: anybody's key, kept for anybody.
			pk: () => {
				throw new MeshError('invalid_input', 'no public keys are kept here');
			},
		},
		selectors: { [namespace]: (key, values) => select(new TextDecoder().decode(key), values) },
	});
	return (components: KadDHTComponents): KadDHT => {
		const store = new DhtStore(rules, nowMs);
		const meter = requestMeter(nowMs);
		const own = overriding(components, { datastore: store });
		const dht = make(metered(own, meter));
		const { network } = dht as KadDHT & Asking;
		const sendRequest = network.sendRequest.bind(network);
		// Left in, they would be asked next: a liar's answer would cost us a dial each, and queries their whole time.
		network.sendRequest = async function* (...args) {
			for await (const event of sendRequest(...args)) {
				yield event.name === 'PEER_RESPONSE' ? { ...event, closer: event.closer.filter(isFollowed) } : event;
			}
		};
		return dht;
	};
}

function requestMeter(nowMs: () => number) {
	const buckets = new Map<PeerId, { tokens: number; atMs: number }>();
	return {
		opened(remote: PeerId): boolean {
			const now = nowMs();
			const bucket = buckets.get(remote) ?? { tokens: REQUESTS_BURST, atMs: now };
			const refilled = bucket.tokens + (Math.max(0, now - bucket.atMs) * REQUESTS_PER_S) / 1_000;
			const tokens = Math.min(REQUESTS_BURST, refilled) - 1;
			buckets.delete(remote);
			buckets.set(remote, { tokens: Math.max(0, tokens), atMs: now });
			const [oldest] = buckets.keys();
			if (buckets.size > PEERS_MAX && oldest !== undefined) buckets.delete(oldest);
			return tokens >= 0;
		},
		received: (_remote: PeerId, _bytes: number, total: number) => total <= STREAM_BYTES_MAX,
	};
}
