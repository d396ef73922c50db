/**
 * A machine that holds a valid certificate of the mesh and misbehaves: libp2p and gossipsub as they are, without our limits,
 * and whatever one wants to send.
 */
import { createNodeKeys } from '@beemesh/sdk/identity';
import { createLibp2pNode } from '@beemesh/sdk/streams/libp2p';
import { type GossipSub, gossipsub, StrictNoSign } from '@libp2p/gossipsub';
import { multiaddr } from '@multiformats/multiaddr';
import { systemClock } from '../clock.ts';
import type { Membership } from '../membership.ts';
import { machineSessionIdentity } from '../session-identity.ts';
import { createTestRoot, type TestRoot } from './root.ts';

/** Of gossipsub's wire format, what rogues send. */
export interface RogueRpc {
	readonly subscriptions?: readonly { readonly topic: string; readonly subscribe: boolean }[];
	readonly messages?: readonly { readonly topic: string; readonly data: Uint8Array }[];
	readonly control?: {
		readonly ihave?: readonly { readonly topicID: string; readonly messageIDs: readonly Uint8Array[] }[];
		readonly iwant?: readonly { readonly messageIDs: readonly Uint8Array[] }[];
		readonly graft?: readonly { readonly topicID: string }[];
		readonly prune?: readonly { readonly topicID: string; readonly peers: readonly []; readonly backoff?: number }[];
		readonly idontwant?: readonly { readonly messageIDs: readonly Uint8Array[] }[];
	};
}

interface Router extends GossipSub {
	readonly streamsOutbound: Map<string, { push(bytes: Uint8Array): void }>;
	sendRpc(peer: string, rpc: RogueRpc): boolean;
}

export async function startRogue(
	root: TestRoot = createTestRoot(),
	membership: Membership = root.enrol(createNodeKeys()),
) {
	const { node, transport, expel } = await createLibp2pNode({
		session: machineSessionIdentity(membership, systemClock),
		seed: membership.keys.peer.seed,
		listen: ['/ip4/127.0.0.1/udp/0/quic-v1'],
		services: {
			gossip: gossipsub({
				globalSignaturePolicy: StrictNoSign,
				allowPublishToZeroTopicPeers: true,
				scoreParams: { IPColocationFactorWeight: 0 },
			}),
		},
	});
	const router = node.services.gossip as Router;
	return {
		node,
		transport,
		membership,
		router,
		expel,
		/** False when there is no stream to that peer. */
		send: (peer: string, rpc: RogueRpc): boolean => {
			const { ihave = [], iwant = [], graft = [], prune = [], idontwant = [] } = rpc.control ?? {};
			const control = { ihave, iwant, graft, prune, idontwant };
			return router.sendRpc(peer, { subscriptions: [], messages: [], ...rpc, control });
		},
		isConnected: (peer: string): boolean => node.getPeers().some((other) => other.toString() === peer),
		/** Resolves once it can gossip to that peer. */
		async reach(peer: string, addresses: readonly string[]): Promise<void> {
			await node.dial(addresses.map((address) => multiaddr(address)));
			await until(() => router.streamsOutbound.has(peer));
		},
		[Symbol.asyncDispose]: () => transport[Symbol.asyncDispose](),
	};
}
export type Rogue = Awaited<ReturnType<typeof startRogue>>;

/** Looks every 20 ms; a test's own time limit ends it. */
export async function until(holds: () => boolean): Promise<void> {
	while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20));
}
