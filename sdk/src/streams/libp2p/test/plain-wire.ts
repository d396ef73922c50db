/** A wire without sessions, TLS and noise only: the stranger in tests, and the rival in benchmarks. */
import { yamux } from '@chainsafe/libp2p-yamux';
import { noise } from '@libp2p/noise';
import { tcp } from '@libp2p/tcp';
import { ConnectionGate } from '../gate.ts';
import { quicTransport } from '../quic.ts';
import type { Wire } from '../wire.ts';

export function plainWire(): Wire {
	const gate = new ConnectionGate();
	return {
		gate,
		transports: [quicTransport(async (native) => native, gate), tcp()],
		connectionEncrypters: [noise()],
		streamMuxers: [yamux()],
	};
}
