/** The QUIC transport of libp2p with our settings and our streams. */
import { quic } from '@chainsafe/libp2p-quic';
import type {
	CreateListenerOptions,
	Transport,
	Upgrader,
	UpgraderOptions,
	UpgraderWithoutEncryptionOptions,
} from '@libp2p/interface';
import { replaceMuxer } from './quic-muxer.ts';

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

export function quicTransport(config: QuicConfig = {}): ReturnType<typeof quic> {
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
			dial.call(transport, address, { ...options, upgrader: withMuxer(options.upgrader) });
		transport.createListener = (options: CreateListenerOptions) =>
			createListener.call(transport, { ...options, upgrader: withMuxer(options.upgrader) });
		return transport;
	};
}

/** The upgrader, handing on our muxer where a transport brings the stock one. */
function withMuxer(upgrader: Upgrader): Upgrader {
	const swap = (options: UpgraderOptions): UpgraderWithoutEncryptionOptions => {
		const { muxerFactory } = options;
		const swapped = muxerFactory === undefined ? options : { ...options, muxerFactory: replaceMuxer(muxerFactory) };
		// The QUIC transport always skips encryption and names the peer: TLS has done both.
		return swapped as UpgraderWithoutEncryptionOptions;
	};
	return {
		upgradeInbound: (connection, options) => upgrader.upgradeInbound(connection, swap(options)),
		upgradeOutbound: (connection, options) => upgrader.upgradeOutbound(connection, swap(options)),
		createInboundAbortSignal: (signal) => upgrader.createInboundAbortSignal(signal),
		getStreamMuxers: () => upgrader.getStreamMuxers(),
		getConnectionEncrypters: () => upgrader.getConnectionEncrypters(),
	};
}
