/** The QUIC transport of libp2p with our settings and our streams. */
import { setMaxListeners } from 'node:events';
import { quic } from '@chainsafe/libp2p-quic';
import type {
	CreateListenerOptions,
	Listener,
	MultiaddrConnection,
	Transport,
	Upgrader,
	UpgraderOptions,
	UpgraderWithoutEncryptionOptions,
} from '@libp2p/interface';
import { isMeshError, MeshError } from '../../errors.ts';
import type { PeerId } from '../../wire/ids.ts';
import type { Role } from '../session/index.ts';
import type { ConnectionGate } from './gate.ts';
import type { NativeConnection } from './native.ts';
import { nativeOf, quicMuxer } from './quic-muxer.ts';

export interface QuicConfig {
	/** Silence after which a connection counts as lost. Default 3 s. */
	readonly idleTimeoutMs?: number;
	/** Default 1 s: three chances before the idle timeout. */
	readonly keepAliveMs?: number;
}

const IDLE_TIMEOUT_MS = 3_000;
const KEEP_ALIVE_MS = 1_000;
const HANDSHAKE_TIMEOUT_MS = 3_000;
/** Streams a remote may have open at once on one connection. */
const STREAMS_MAX = 512;
/** Window of one stream: what a paused reader of raw bytes costs, and the bound of bulk over distance. */
const STREAM_BYTES = 1024 * 1024;
const CONNECTION_BYTES = 16 * 1024 * 1024;
const SOCKET_BYTES = 1024 * 1024;
/**
 * TLS handshakes that a listener answers at once. The stock one answers them in turn, so that whoever begins one and falls
 * silent, as a process does that is killed, keeps everybody else out until the idle timeout. With 64, twenty peers that
 * hammer cost a host 50 MiB more.
 */
const ACCEPTS_MAX = 16;

/** Puts something between a connection and its streams before libp2p sees it, or throws to have it closed. */
export type QuicLayer = (
	native: NativeConnection,
	connection: MultiaddrConnection,
	options: { readonly role: Role; readonly remote: PeerId; readonly signal?: AbortSignal | undefined },
) => Promise<NativeConnection>;

export function quicTransport(
	layer: QuicLayer,
	gate: ConnectionGate,
	config: QuicConfig = {},
): ReturnType<typeof quic> {
	const make = quic({
		handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
		maxIdleTimeout: config.idleTimeoutMs ?? IDLE_TIMEOUT_MS,
		keepAliveInterval: config.keepAliveMs ?? KEEP_ALIVE_MS,
		maxConcurrentStreamLimit: STREAMS_MAX,
		maxStreamData: STREAM_BYTES,
		maxConnectionData: CONNECTION_BYTES,
		receiveBufferSize: SOCKET_BYTES,
		sendBufferSize: SOCKET_BYTES,
	});
	return (components) => {
		const transport = make(components);
		const { dial, createListener } = transport;
		transport.dial = (address, options): ReturnType<Transport['dial']> =>
			dial.call(transport, address, { ...options, upgrader: withLayer(options.upgrader, layer, gate) });
		transport.createListener = (options: CreateListenerOptions) =>
			answeringMany(createListener.call(transport, { ...options, upgrader: withLayer(options.upgrader, layer, gate) }));
		return transport;
	};
}

/** As the stock transport has it. */
interface StockListener extends Listener {
	readonly state: { readonly status: string; readonly controller?: AbortController };
	/** Answers one handshake after the other, until the listener closes. */
	awaitInboundConnections(): Promise<void>;
}

function answeringMany(listener: Listener): Listener {
	if (!isStock(listener)) throw notStock();
	const { listen } = listener;
	listener.listen = async (address) => {
		await listen.call(listener, address);
		const { controller } = listener.state;
		if (controller === undefined) throw notStock();
		setMaxListeners(ACCEPTS_MAX, controller.signal);
		// The listener has begun the first.
		for (let i = 1; i < ACCEPTS_MAX; i++) void listener.awaitInboundConnections();
	};
	return listener;
}

function isStock(listener: Listener): listener is StockListener {
	return 'awaitInboundConnections' in listener && 'state' in listener;
}

function notStock(): MeshError {
	return new MeshError('internal', 'the QUIC transport is not the one that this was made for');
}

/** The upgrader, handing on our muxer over the layer in place of the transport's own. */
function withLayer(upgrader: Upgrader, layer: QuicLayer, gate: ConnectionGate): Upgrader {
	const swap = async (connection: MultiaddrConnection, options: UpgraderOptions, role: Role) => {
		// The QUIC transport always skips encryption and names the peer: TLS has done both.
		const { muxerFactory, remotePeer, signal } = options as UpgraderWithoutEncryptionOptions;
		const native = muxerFactory === undefined ? undefined : nativeOf(muxerFactory);
		if (native === undefined || remotePeer === undefined) throw notStock();
		// Before the handshake, which costs us more than the limits do; libp2p would ask after it.
		if (role === 'responder') gate.admit(connection, remotePeer);
		else gate.requireSpokenTo(remotePeer);
		try {
			const layered = await layer(native, connection, { role, remote: remotePeer.toString() as PeerId, signal });
			if (role === 'responder') gate.handshakeOver(remotePeer, false);
			return { ...options, muxerFactory: quicMuxer(layered) } as UpgraderWithoutEncryptionOptions;
		} catch (error) {
			// Being too busy, or stopping, is no fault of the peer's.
			const isItsFault = isMeshError(error, 'unauthorized') || isMeshError(error, 'unavailable');
			if (role === 'responder' && isItsFault) gate.handshakeOver(remotePeer, true);
			throw error;
		}
	};
	return {
		upgradeInbound: async (connection, options) =>
			upgrader.upgradeInbound(connection, await swap(connection, options, 'responder')),
		upgradeOutbound: async (connection, options) =>
			upgrader.upgradeOutbound(connection, await swap(connection, options, 'initiator')),
		createInboundAbortSignal: (signal) => upgrader.createInboundAbortSignal(signal),
		getStreamMuxers: () => upgrader.getStreamMuxers(),
		getConnectionEncrypters: () => upgrader.getConnectionEncrypters(),
	};
}
