/**
 * A network in memory for tests: any number of peers in one process, no latency, with partitions and crashes. Peers
 * are cut off silently, as UDP does it, so that what is tested is our own detection.
 */
import { MeshError } from '../../errors.ts';
import type { PeerId } from '../../wire/ids.ts';
import type { ByteStream, DialOptions, PeerEvent, Transport } from '../transport.ts';
import { MemoryStream } from './pair.ts';

type Handler = (stream: ByteStream, remote: PeerId) => void;

export interface MemoryNetwork {
	/** A new peer. Its ID must not be in use. */
	join(peerId: PeerId): Transport;
	/** Cuts every path between the two sets, until disposed. Nobody is told. */
	partition(a: readonly PeerId[], b: readonly PeerId[]): Disposable;
	/** Ends a peer as `kill -9` would: it answers nothing more, and nobody is told. */
	crash(peerId: PeerId): void;
}

export function createMemoryNetwork(): MemoryNetwork {
	return new Network();
}

class Network implements MemoryNetwork {
	readonly peers = new Map<PeerId, MemoryTransport>();
	readonly #cuts = new Set<{ a: ReadonlySet<PeerId>; b: ReadonlySet<PeerId> }>();

	join(peerId: PeerId): Transport {
		if (this.peers.has(peerId)) throw new MeshError('conflict', `${peerId} is already in the network`);
		const transport = new MemoryTransport(this, peerId);
		this.peers.set(peerId, transport);
		return transport;
	}

	partition(a: readonly PeerId[], b: readonly PeerId[]): Disposable {
		const cut = { a: new Set(a), b: new Set(b) };
		this.#cuts.add(cut);
		this.#restall();
		return {
			[Symbol.dispose]: () => {
				this.#cuts.delete(cut);
				this.#restall();
			},
		};
	}

	crash(peerId: PeerId): void {
		const peer = this.peers.get(peerId);
		if (peer === undefined) throw new MeshError('not_found', `${peerId} is not in the network`);
		this.peers.delete(peerId);
		peer.crash();
	}

	isCut(x: PeerId, y: PeerId): boolean {
		for (const { a, b } of this.#cuts) if ((a.has(x) && b.has(y)) || (a.has(y) && b.has(x))) return true;
		return false;
	}

	#restall(): void {
		for (const peer of this.peers.values()) peer.restall();
	}
}

class MemoryTransport implements Transport {
	readonly kind = 'memory';
	readonly peerId: PeerId;
	readonly #network: Network;
	readonly #handlers = new Map<string, Handler>();
	readonly #connections = new Map<PeerId, Set<MemoryStream>>();
	readonly #listeners = new Set<(event: PeerEvent) => void>();
	#closed = false;

	constructor(network: Network, peerId: PeerId) {
		this.#network = network;
		this.peerId = peerId;
	}

	addresses(): readonly string[] {
		return [`/memory/${this.peerId}`];
	}

	async dial(peer: PeerId, protocol: string, { signal }: DialOptions = {}): Promise<ByteStream> {
		// A turn, as any dial takes, so that two peers can dial each other at once.
		await Promise.resolve();
		if (signal?.aborted) throw new MeshError('cancelled', `dialing ${peer} was cancelled`, { peer, applied: 'no' });
		const remote = this.#network.peers.get(peer);
		if (this.#closed || remote === undefined || this.#network.isCut(this.peerId, peer)) {
			throw new MeshError('unavailable', `${peer} cannot be reached`, { peer });
		}
		const handler = remote.#handlers.get(protocol);
		if (handler === undefined) throw new MeshError('unavailable', `${peer} does not serve ${protocol}`, { peer });
		const [near, far] = MemoryStream.pair();
		this.#track(peer, near);
		remote.#track(this.peerId, far);
		handler(far, this.peerId);
		return near;
	}

	handle(protocol: string, on: Handler): Disposable {
		if (this.#handlers.has(protocol)) throw new MeshError('conflict', `${protocol} is already handled here`);
		this.#handlers.set(protocol, on);
		return { [Symbol.dispose]: () => void this.#handlers.delete(protocol) };
	}

	isConnected(peer: PeerId): boolean {
		return this.#connections.has(peer);
	}

	async disconnect(peer: PeerId, keep?: ByteStream): Promise<void> {
		if (keep !== undefined) {
			const streams = [...(this.#connections.get(peer) ?? [])];
			const older = streams.slice(0, Math.max(0, streams.indexOf(keep as MemoryStream)));
			for (const stream of older) stream.abort(new MeshError('unavailable', `${peer}: replaced`, { peer }));
			return;
		}
		this.drop(peer, `${this.peerId} closed the connection`);
		if (!this.#network.isCut(this.peerId, peer)) {
			this.#network.peers.get(peer)?.drop(this.peerId, `${this.peerId} closed the connection`);
		}
	}

	onPeer(listener: (event: PeerEvent) => void): Disposable {
		this.#listeners.add(listener);
		return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
	}

	async [Symbol.asyncDispose](): Promise<void> {
		if (this.#closed) return;
		this.#closed = true;
		this.#network.peers.delete(this.peerId);
		this.#handlers.clear();
		for (const peer of [...this.#connections.keys()]) await this.disconnect(peer);
	}

	crash(): void {
		this.#closed = true;
		this.#handlers.clear();
		for (const streams of this.#connections.values()) for (const stream of streams) stream.stall(true);
		for (const peer of [...this.#connections.keys()]) this.drop(peer, 'crashed');
	}

	restall(): void {
		for (const [peer, streams] of this.#connections) {
			const isCut = this.#network.isCut(this.peerId, peer);
			for (const stream of streams) stream.stall(isCut);
		}
	}

	/** Ends the connection on this side. */
	drop(peer: PeerId, why: string): void {
		const streams = this.#connections.get(peer);
		if (streams === undefined) return;
		this.#connections.delete(peer);
		for (const stream of streams) stream.abort(new MeshError('unavailable', `${peer}: ${why}`, { peer }));
		this.#emit({ type: 'disconnected', peer });
	}

	#track(peer: PeerId, stream: MemoryStream): void {
		let streams = this.#connections.get(peer);
		if (streams === undefined) {
			streams = new Set();
			this.#connections.set(peer, streams);
			this.#emit({ type: 'connected', peer });
		}
		const tracked = streams;
		tracked.add(stream);
		stream.onClose(() => tracked.delete(stream));
	}

	#emit(event: PeerEvent): void {
		for (const listener of [...this.#listeners]) listener(event);
	}
}
