import type { PeerId } from '../wire/ids.ts';

/**
 * A reliable, ordered, full-duplex byte stream between two processes: a libp2p stream, a unix socket, or a pair
 * in memory. It knows nothing of messages.
 */
export interface ByteStream {
	/** Queues bytes. Returns false when the caller should await {@link drained} before it writes more. */
	write(chunk: Uint8Array): boolean;
	/** Resolves when the send queue is below its mark; rejects when the stream ends first. */
	drained(): Promise<void>;
	/** What the other side wrote, in order. Ends on its half-close, throws on reset. One consumer. */
	readonly source: AsyncIterable<Uint8Array>;
	/** Sends what is queued, then ends our half. */
	close(): Promise<void>;
	/** Ends both halves at once; the other side sees a reset. */
	abort(error: Error): void;
	/** Fires once, when nothing can be read or written any more. */
	onClose(listener: (error?: Error) => void): void;
}

export type PeerEvent =
	/** The first connection to this peer is up. */
	| { readonly type: 'connected'; readonly peer: PeerId }
	/** The last connection to this peer is gone. */
	| { readonly type: 'disconnected'; readonly peer: PeerId };

export interface DialOptions {
	/** Multiaddrs to try when there is no connection yet. */
	readonly addresses?: readonly string[];
	readonly signal?: AbortSignal;
}

/** How a process reaches others. Implementations: `libp2p/`, `memory/`; one contract suite. */
export interface Transport extends AsyncDisposable {
	readonly kind: 'libp2p' | 'memory';
	readonly peerId: PeerId;
	/** Multiaddrs at which others reach us, with the port really bound. */
	addresses(): readonly string[];
	/** Opens a stream; reuses the connection. Rejects with `unavailable`, `cancelled` or `unauthorized`. */
	dial(peer: PeerId, protocol: string, options?: DialOptions): Promise<ByteStream>;
	/** Serves a protocol. The remote peer ID is proved by the connection's handshake. */
	handle(protocol: string, on: (stream: ByteStream, remote: PeerId) => void): Disposable;
	isConnected(peer: PeerId): boolean;
	/**
	 * Closes every connection to the peer, e.g. because it was refused. With `keep`, a stream of that peer: only those
	 * that are older than the stream's own, e.g. because they lead to a process that this one has replaced.
	 */
	disconnect(peer: PeerId, keep?: ByteStream): Promise<void>;
	onPeer(listener: (event: PeerEvent) => void): Disposable;
}
