/**
 * Keeps gossip with every connected peer on its newest connection. Gossipsub opens one stream to a peer, on the connection
 * that it heard of first, and keeps to it: after the peer's process was replaced, that one looks open for seconds and leads
 * nowhere, and when it fails at last, gossipsub forgets the peer, new streams and all, until somebody connects anew.
 */
import { newestConnection } from '@beemesh/sdk/streams/libp2p';
import type { GossipSub, GossipSubComponents } from '@libp2p/gossipsub';

type Connection = ReturnType<GossipSubComponents['connectionManager']['getConnections']>[number];
type PeerId = GossipSubComponents['peerId'];

/** On a connection that is there; one that takes longer is tried again with the next heartbeat, or is gone by then. */
const OPEN_MS = 2_000;

/** What gossipsub's class has and its interface does not say. */
export interface LinkedRouter extends GossipSub {
	readonly peers: ReadonlyMap<string, PeerId>;
	readonly streamsOutbound: Map<string, { close(): Promise<void> }>;
	readonly streamsInbound: ReadonlyMap<string, { readonly source: unknown }>;
	createOutboundStream(peer: PeerId, connection: Pick<Connection, 'newStream'>): Promise<void>;
	pipePeerReadStream(peer: PeerId, source: AsyncIterable<unknown>): Promise<void>;
	onPeerConnected(peer: PeerId, connection: Connection): void;
}

/** To be called before the router starts. `connectionsOf`: in the order in which they were opened. */
export function keepLinks(router: LinkedRouter, connectionsOf: (peer: PeerId) => readonly Connection[]): void {
	const { createOutboundStream, pipePeerReadStream, onPeerConnected } = router;
	/** Connected peers that speak gossip. */
	const speakers = new Map<string, PeerId>();
	const opening = new Set<string>();
	/** On which connection an outbound stream runs. */
	const carriers = new WeakMap<object, Connection>();

	// Gossipsub waits for one stream before it opens the next; a peer that does not answer must not hold up the others.
	router.createOutboundStream = async (peer) => void open(peer);

	router.onPeerConnected = (peer, connection) => {
		speakers.set(peer.toString(), peer);
		onPeerConnected.call(router, peer, connection);
	};

	router.pipePeerReadStream = (peer, source) => pipePeerReadStream.call(router, peer, untilReplaced(peer, source));

	router.addEventListener('gossipsub:heartbeat', () => {
		for (const [id, peer] of speakers) {
			const newest = newestConnection(connectionsOf(peer));
			if (newest === undefined) speakers.delete(id);
			else if (!router.peers.has(id)) onPeerConnected.call(router, peer, newest);
			else void open(peer);
		}
	});

	/** Unless there is one: an outbound stream on the newest connection. What there was serves until then. */
	async function open(peer: PeerId): Promise<void> {
		const id = peer.toString();
		if (opening.has(id)) return;
		opening.add(id);
		try {
			for (;;) {
				const held = router.streamsOutbound.get(id);
				const newest = newestConnection(connectionsOf(peer));
				if (newest === undefined || (held !== undefined && carriers.get(held) === newest)) return;
				const opened = await openOn(peer, newest, held);
				if (opened === undefined && newestConnection(connectionsOf(peer)) === newest) return;
			}
		} finally {
			opening.delete(id);
		}
	}

	async function openOn(peer: PeerId, connection: Connection, held: { close(): Promise<void> } | undefined) {
		const id = peer.toString();
		// Gossipsub looks before it opens, and not again when it has.
		router.streamsOutbound.delete(id);
		const isOver = createOutboundStream.call(router, peer, {
			newStream: (protocols, options) =>
				connection.newStream(protocols, { ...options, signal: AbortSignal.timeout(OPEN_MS) }),
		});
		if (held !== undefined) router.streamsOutbound.set(id, held);
		await isOver;
		const opened = router.streamsOutbound.get(id);
		if (opened === undefined || opened === held) return undefined;
		carriers.set(opened, connection);
		held?.close().then(undefined, () => undefined);
		return opened;
	}

	/** How a stream ends that another has replaced is nobody's concern; gossipsub would drop the peer for it. */
	async function* untilReplaced(peer: PeerId, source: AsyncIterable<unknown>): AsyncGenerator<unknown> {
		try {
			yield* source;
		} catch (error) {
			const isReplaced = router.streamsInbound.get(peer.toString())?.source !== source;
			if (!isReplaced || (error as Error).name === 'InvalidDataLengthError') throw error;
		}
	}
}
