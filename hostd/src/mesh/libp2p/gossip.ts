/**
 * Gossip over gossipsub. Messages carry no gossipsub signature: what is published is an envelope of ours, which the
 * topic's handler verifies before it is passed on. The limits keep one peer from making us decode, remember or
 * subscribe without end; who misbehaves is listened to no more, and then disconnected.
 */

import { sha256 } from '@beemesh/sdk/identity';
import { metered, type StreamMeter } from '@beemesh/sdk/streams/libp2p';
import type { MachineId } from '@beemesh/sdk/wire';
import {
	type GossipSub,
	type GossipSubComponents,
	gossipsub,
	type Message,
	StrictNoSign,
	TopicValidatorResult,
} from '@libp2p/gossipsub';
import { createBlame } from '../core/blame.ts';
import { createRateLimit, type RateConfig } from '../core/rate.ts';
import { SEALED_BYTES_MAX } from '../gossip-seal.ts';
import type { Gossip, GossipHandler, Verdict } from '../ports.ts';
import { keepLinks, type LinkedRouter } from './gossip-links.ts';
import { SCORES, scoring } from './gossip-scores.ts';

const INBOUND_BYTES_MAX = 128 * 1024;
/** A peer that does not read costs this much memory, and then its stream. */
const OUTBOUND_BYTES_MAX = 4 * 1024 * 1024;
const OVERSIZE_BLAME = 8;
const STREAMS_MAX = 4;
const ID_BYTES = 20;
/** RPCs of one peer, each with up to all that `decodeRpcLimits` allows. Honest ones send some 20 a second in a mesh of 64. */
const RPCS: RateConfig = { perMinute: 100 * 60, burst: 600 };
/** Bytes of one peer, counted in chunks or parts of them: 512 KiB a second, 2 MiB at once. More is a flood, whatever it says. */
const CHUNK_BYTES = 4 * 1024;
const CHUNKS: RateConfig = { perMinute: 128 * 60, burst: 512 };

const RESULTS: Readonly<Record<Verdict, TopicValidatorResult>> = {
	accept: TopicValidatorResult.Accept,
	ignore: TopicValidatorResult.Ignore,
	reject: TopicValidatorResult.Reject,
};

/** What gossipsub's class has and its interface does not say. */
interface Router extends LinkedRouter {
	handleReceivedRpc(from: { toString(): string }, rpc: unknown): Promise<void>;
	handlePeerReadStreamError(error: Error, peer: { toString(): string }): void;
	getScore(peer: string): number;
	/** Ours: peers whose streams were reset in the middle of a flood, which gossipsub has forgotten by then. */
	flooded: Set<string>;
}

/** `topics`: those that there are; subscriptions to others and messages on them are not listened to. */
export function gossipService(topics: readonly string[], nowMs: () => number) {
	const blame = createBlame();
	const make = gossipsub({
		...scoring(topics, (peer) => blame.of(peer, nowMs())),
		allowedTopics: [...topics],
		globalSignaturePolicy: StrictNoSign,
		// Every message is sealed under a random ID, so no two have the same bytes, and none the same id.
		msgIdFn: messageId,
		// A mesh of one is a valid mesh.
		allowPublishToZeroTopicPeers: true,
		ignoreDuplicatePublishError: true,
		// Our own messages go straight to everyone connected: one hop, whatever the state of the gossip mesh.
		floodPublish: true,
		emitSelf: false,
		canRelayMessage: false,
		doPX: false,
		fallbackToFloodsub: false,
		maxInboundDataLength: INBOUND_BYTES_MAX,
		maxOutboundBufferSize: OUTBOUND_BYTES_MAX,
		maxInboundStreams: STREAMS_MAX,
		maxOutboundStreams: STREAMS_MAX,
		maxTopicBytesPerPeer: 64 * 1024,
		idontwantMaxMessages: 256,
		decodeRpcLimits: {
			maxSubscriptions: 32,
			maxMessages: 256,
			maxIhaveMessageIDs: 256,
			maxIwantMessageIDs: 256,
			maxIdontwantMessageIDs: 256,
			maxControlMessages: 32,
			maxPeerInfos: 0,
		},
	});
	return (components: GossipSubComponents): GossipSub => {
		const bytes = createRateLimit(CHUNKS);
		// Below gossipsub, which decodes whatever comes before it asks whether it should.
		const meter: StreamMeter = {
			opened: () => true,
			received(remote, length) {
				const now = nowMs();
				for (let rest = length; rest > 0; rest -= CHUNK_BYTES) {
					if (!bytes.allows(remote, now)) {
						router.flooded.add(remote);
						return false;
					}
					bytes.spend(remote, now);
				}
				return true;
			},
		};
		const router = make(metered(components, meter)) as Router;
		router.flooded = new Set();
		keepLinks(router, (peer) => components.connectionManager.getConnections(peer));
		const rpcs = createRateLimit(RPCS);
		const { handleReceivedRpc, handlePeerReadStreamError } = router;
		// Gossipsub decodes and routes however many there are.
		router.handleReceivedRpc = async (from, rpc) => {
			const [peer, now] = [from.toString(), nowMs()];
			if (!rpcs.allows(peer, now)) return blame.add(peer, now);
			rpcs.spend(peer, now);
			await handleReceivedRpc.call(router, from, rpc);
		};
		// What is longer than the inbound buffer; a few times, and the peer is expelled.
		router.handlePeerReadStreamError = (error, peer) => {
			if (error.name === 'InvalidDataLengthError')
				for (let i = 0; i < OVERSIZE_BLAME; i++) blame.add(peer.toString(), nowMs());
			handlePeerReadStreamError.call(router, error, peer);
		};
		return router;
	};
}

/** `expel`: called with each peer that is to be disconnected and kept out. */
export function createGossip(pubsub: GossipSub, expel: (machineId: MachineId) => void): Gossip {
	const router = pubsub as Router;
	router.addEventListener('gossipsub:heartbeat', () => {
		const names = router.getPeers().map(String);
		const bad = names.filter((name) => router.getScore(name) <= SCORES.expelled);
		const all = new Set([...bad, ...router.flooded]);
		router.flooded.clear();
		for (const name of all) expel(name as MachineId);
	});
	return {
		async publish(topic, data) {
			const { recipients } = await pubsub.publish(topic, data);
			return new Set(recipients.map((peer) => peer.toString() as MachineId));
		},
		subscribe(topic, handler: GossipHandler) {
			pubsub.topicValidators.set(topic, (peer, message) =>
				message.data.byteLength > SEALED_BYTES_MAX
					? TopicValidatorResult.Reject
					: RESULTS[handler(message.data, peer.toString() as MachineId)],
			);
			pubsub.subscribe(topic);
			return {
				[Symbol.dispose]: () => {
					pubsub.topicValidators.delete(topic);
					if (pubsub.getTopics().includes(topic)) pubsub.unsubscribe(topic);
				},
			};
		},
	};
}

function messageId({ topic, data }: Message): Uint8Array {
	const name = new TextEncoder().encode(`${topic}\0`);
	const bytes = new Uint8Array(name.byteLength + data.byteLength);
	bytes.set(name);
	bytes.set(data, name.byteLength);
	return sha256(bytes).subarray(0, ID_BYTES);
}
