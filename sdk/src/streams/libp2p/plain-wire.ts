/** A wire without sessions: TLS and noise only. For nodes that have no identity yet, and as the rival in benchmarks. */
import { yamux } from '@chainsafe/libp2p-yamux';
import { noise } from '@libp2p/noise';
import { tcp } from '@libp2p/tcp';
import { type QuicConfig, quicTransport } from './quic.ts';
import type { Wire } from './wire.ts';

export function plainWire(quic?: QuicConfig): Wire {
	return {
		transports: [quicTransport(async (native) => native, quic), tcp()],
		connectionEncrypters: [noise()],
		streamMuxers: [yamux()],
	};
}
