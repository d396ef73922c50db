/** libp2p behind the `Transport` interface. */
import type { Connection, Libp2p, PeerId as Libp2pPeerId, Stream } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { isMeshError, MeshError } from '../../errors.ts';
import type { PeerId } from '../../wire/ids.ts';
import type { ByteStream, DialOptions, PeerEvent, Transport } from '../transport.ts';
import type { ConnectionGate } from './gate.ts';
import { byteStream } from './stream.ts';

/** For a connection and a stream on it together. */
const DIAL_MS = 5_000;
/** For a stream on a connection that is already there; one that takes longer is taken for dead. */
const NEW_STREAM_MS = 2_000;
/** Streams of one protocol on one connection. Sessions need one; user streams share this. */
const STREAMS_PER_PROTOCOL_MAX = 256;

export class Libp2pTransport implements Transport {
	readonly kind = 'libp2p';
	readonly peerId: PeerId;
	readonly #node: Libp2p;
	readonly #gate: ConnectionGate;
	/** Over which connection a stream runs. */
	readonly #carriers = new WeakMap<ByteStream, Connection>();

	constructor(node: Libp2p, gate: ConnectionGate) {
		this.#node = node;
		this.#gate = gate;
		this.peerId = node.peerId.toString() as PeerId;
	}

	addresses(): readonly string[] {
		return this.#node.getMultiaddrs().map(String);
	}

	async dial(peer: PeerId, protocol: string, { addresses, signal }: DialOptions = {}): Promise<ByteStream> {
		const id = parsePeerId(peer);
		if (signal?.aborted) throw cancelled(peer);
		const overall = joinSignals(signal, DIAL_MS);
		using _ = this.#gate.expecting(peer);
		try {
			const existing = newestConnection(this.#node.getConnections(id));
			if (existing !== undefined) {
				const stream = await this.#openStream(existing, protocol, peer, joinSignals(overall, NEW_STREAM_MS));
				if (stream !== undefined) return stream;
				overall.throwIfAborted();
			}
			const connection = await this.#node.dial(
				addresses !== undefined && addresses.length > 0 ? addresses.map((address) => withPeer(address, peer)) : id,
				{ signal: overall, force: existing !== undefined },
			);
			const stream = await this.#openStream(connection, protocol, peer, overall);
			if (stream !== undefined) return stream;
			throw new MeshError('unavailable', `${peer} opened no stream for ${protocol} in time`, { peer });
		} catch (error) {
			if (signal?.aborted) throw cancelled(peer);
			throw dialError(peer, protocol, addresses, error);
		}
	}

	handle(protocol: string, on: (stream: ByteStream, remote: PeerId) => void): Disposable {
		// Takes effect at once; what is awaited is only the entry in the peer store.
		const registered = this.#node.handle(
			protocol,
			(stream, connection) => on(this.#carry(stream, connection), connection.remotePeer.toString() as PeerId),
			{ maxInboundStreams: STREAMS_PER_PROTOCOL_MAX, maxOutboundStreams: STREAMS_PER_PROTOCOL_MAX },
		);
		registered.catch(() => undefined);
		return {
			[Symbol.dispose]: () => {
				this.#node.unhandle(protocol).then(undefined, () => undefined);
			},
		};
	}

	isConnected(peer: PeerId): boolean {
		return newestConnection(this.#node.getConnections(parsePeerId(peer))) !== undefined;
	}

	async disconnect(peer: PeerId, keep?: ByteStream): Promise<void> {
		// In the order in which they were opened.
		const connections = [...this.#node.getConnections(parsePeerId(peer))];
		const kept = keep === undefined ? undefined : this.#carriers.get(keep);
		const olderCount = kept === undefined ? 0 : Math.max(0, connections.indexOf(kept));
		for (const connection of keep === undefined ? connections : connections.slice(0, olderCount)) {
			connection.abort(new MeshError('unavailable', `disconnected from ${peer}`, { peer }));
		}
	}

	onPeer(listener: (event: PeerEvent) => void): Disposable {
		const onConnect = ({ detail }: CustomEvent<Libp2pPeerId>): void =>
			listener({ type: 'connected', peer: detail.toString() as PeerId });
		const onDisconnect = ({ detail }: CustomEvent<Libp2pPeerId>): void =>
			listener({ type: 'disconnected', peer: detail.toString() as PeerId });
		this.#node.addEventListener('peer:connect', onConnect);
		this.#node.addEventListener('peer:disconnect', onDisconnect);
		return {
			[Symbol.dispose]: () => {
				this.#node.removeEventListener('peer:connect', onConnect);
				this.#node.removeEventListener('peer:disconnect', onDisconnect);
			},
		};
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#node.stop();
	}

	#carry(stream: Stream, connection: Connection): ByteStream {
		const carried = byteStream(stream);
		this.#carriers.set(carried, connection);
		return carried;
	}

	/** Undefined when the connection turned out to be dead; it is closed then. */
	async #openStream(
		connection: Connection,
		protocol: string,
		peer: PeerId,
		signal: AbortSignal,
	): Promise<ByteStream | undefined> {
		try {
			const options = { signal, maxOutboundStreams: STREAMS_PER_PROTOCOL_MAX };
			return this.#carry(await connection.newStream(protocol, options), connection);
		} catch (error) {
			const { name } = error as Error;
			if (name === 'UnsupportedProtocolError') {
				throw new MeshError('unavailable', `${peer} does not serve ${protocol}`, { peer, cause: error });
			}
			if (name === 'TooManyOutboundProtocolStreamsError') {
				throw new MeshError('exhausted', `too many streams for ${protocol} are open to ${peer}`, {
					peer,
					cause: error,
				});
			}
			connection.abort(new MeshError('unavailable', `${peer} did not open a stream`, { peer, cause: error }));
			return undefined;
		}
	}
}

/** Of several with one peer. After a peer restarted, its old connection looks open until it times out. */
export function newestConnection(connections: readonly Connection[]): Connection | undefined {
	let newest: Connection | undefined;
	for (const connection of connections) {
		if (connection.status !== 'open') continue;
		if (newest === undefined || connection.timeline.open >= newest.timeline.open) newest = connection;
	}
	return newest;
}

function parsePeerId(peer: PeerId): Libp2pPeerId {
	try {
		return peerIdFromString(peer);
	} catch (cause) {
		throw new MeshError('invalid_input', `'${peer}' is not a peer ID`, { cause });
	}
}

/** The address with the peer ID it must prove, so that nobody else answers for it. */
function withPeer(address: string, peer: PeerId): Multiaddr {
	try {
		const parsed = multiaddr(address);
		return parsed.getComponents().some(({ name }) => name === 'p2p') ? parsed : parsed.encapsulate(`/p2p/${peer}`);
	} catch (cause) {
		throw new MeshError('invalid_input', `'${address}' is not a multiaddr such as /ip4/127.0.0.1/udp/7000/quic-v1`, {
			cause,
		});
	}
}

function joinSignals(signal: AbortSignal | undefined, timeoutMs: number): AbortSignal {
	const timeout = AbortSignal.timeout(timeoutMs);
	return signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
}

function cancelled(peer: PeerId): MeshError {
	return new MeshError('cancelled', `dialing ${peer} was cancelled`, { peer, applied: 'no' });
}

function dialError(
	peer: PeerId,
	protocol: string,
	addresses: readonly string[] | undefined,
	cause: unknown,
): MeshError {
	if (isMeshError(cause)) return cause;
	const where =
		addresses === undefined || addresses.length === 0 ? 'with the addresses known' : `at ${addresses.join(', ')}`;
	const causes: readonly Error[] = cause instanceof AggregateError ? cause.errors : [cause as Error];
	// Of several addresses one may be stale; that a peer refused us counts before that another did not answer.
	const refusal =
		causes.find((error) => isMeshError(error, 'unauthorized')) ?? causes.find((error) => isMeshError(error));
	if (isMeshError(refusal) && refusal.code !== 'cancelled') return refusal;
	const reasons = causes.map(({ message }) => message);
	if (reasons.some((reason) => /but connected to/.test(reason))) {
		return new MeshError('unauthorized', `another peer than ${peer} answers ${where}`, { peer, cause });
	}
	// Over TCP libp2p keeps nothing of an error but its message.
	const refused = reasons.find((reason) => /^BMS\/1: .*(refused|does not verify)/.test(reason));
	if (refused !== undefined) return new MeshError('unauthorized', refused, { peer, cause });
	return new MeshError('unavailable', `${peer} cannot be reached ${where} for ${protocol}: ${reasons.join('; ')}`, {
		peer,
		cause,
	});
}
