/** How bytes go from peer to peer beneath libp2p's protocols: QUIC first, TCP where UDP is blocked. */

import { tcp } from '@libp2p/tcp';
import type { Libp2pOptions } from 'libp2p';
import type { Sessions } from '../session/index.ts';
import { ConnectionGate, type ConnectionGateOptions } from './gate.ts';
import type { NativeConnection } from './native.ts';
import { type QuicConfig, quicTransport } from './quic.ts';
import { secureQuic } from './secure-quic.ts';
import { loudYamux, type MessageTap, secureTcp } from './secure-tcp.ts';

export interface Wire extends Required<Pick<Libp2pOptions, 'transports' | 'connectionEncrypters' | 'streamMuxers'>> {
	/** Who may connect; asked by the transports and by libp2p. */
	readonly gate: ConnectionGate;
}

/** Between TLS or noise and the session: where a test sees what an attacker without those would. */
export interface Taps {
	readonly quic?: (native: NativeConnection) => NativeConnection;
	readonly tcp?: MessageTap;
}

export interface WireOptions {
	readonly quic?: QuicConfig | undefined;
	readonly taps?: Taps;
	readonly gate?: ConnectionGateOptions;
}

/** Every connection begins with a session; no protocol sees one that has none. */
export function secureWire<P>(sessions: Sessions<P>, { quic, taps = {}, gate: limits }: WireOptions = {}): Wire {
	const gate = new ConnectionGate(limits);
	const layer = secureQuic(sessions);
	const tap = taps.quic ?? ((native) => native);
	return {
		gate,
		transports: [quicTransport((native, ...rest) => layer(tap(native), ...rest), gate, quic), tcp()],
		connectionEncrypters: [secureTcp(sessions, gate, taps.tcp)],
		streamMuxers: [loudYamux() as Wire['streamMuxers'][number]],
	};
}
