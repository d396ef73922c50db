/**
 * Gossip over gossipsub. Messages carry no gossipsub signature: what is published is an envelope of ours, which the
 * topic's handler verifies before it is passed on. The limits keep one peer from making us decode, remember or
 * subscribe without end.
 */

import { sha256 } from '@beemesh/sdk/identity';
import { LIMITS, type MachineId } from '@beemesh/sdk/wire';
import { type GossipSub, gossipsub, type Message, StrictNoSign, TopicValidatorResult } from '@libp2p/gossipsub';
import type { Gossip, GossipHandler, Verdict } from '../ports.ts';

/** Room for the envelope's frame and the topic's name. */
const MESSAGE_BYTES_MAX = LIMITS.frameBytesMax + 1_024;
const ID_BYTES = 20;

const RESULTS: Readonly<Record<Verdict, TopicValidatorResult>> = {
	accept: TopicValidatorResult.Accept,
	ignore: TopicValidatorResult.Ignore,
	reject: TopicValidatorResult.Reject,
};

export function gossipService() {
	return gossipsub({
		globalSignaturePolicy: StrictNoSign,
		// Envelopes hold a nonce or a sequence number, so no two messages have the same bytes, and none the same id.
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
		maxInboundDataLength: MESSAGE_BYTES_MAX,
		maxTopicBytesPerPeer: 64 * 1024,
		decodeRpcLimits: {
			maxSubscriptions: 32,
			maxMessages: 256,
			maxIhaveMessageIDs: 256,
			maxIwantMessageIDs: 256,
			maxIdontwantMessageIDs: 256,
			maxControlMessages: 256,
			maxPeerInfos: 0,
		},
		// Hosts of one site often share an address, and those of a test always do.
		scoreParams: { IPColocationFactorWeight: 0 },
	});
}

export function createGossip(pubsub: GossipSub): Gossip {
	return {
		async publish(topic, data) {
			const { recipients } = await pubsub.publish(topic, data);
			return new Set(recipients.map((peer) => peer.toString() as MachineId));
		},
		subscribe(topic, handler: GossipHandler) {
			pubsub.topicValidators.set(
				topic,
				(peer, message) => RESULTS[handler(message.data, peer.toString() as MachineId)],
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
