/** How bytes go from peer to peer beneath libp2p's protocols: QUIC first, TCP where UDP is blocked. */

import { tcp } from '@libp2p/tcp';
import type { Libp2pOptions } from 'libp2p';
import type { Sessions } from '../session/index.ts';
import type { NativeConnection } from './native.ts';
import { type QuicConfig, quicTransport } from './quic.ts';
import { secureQuic } from './secure-quic.ts';
import { loudYamux, type MessageTap, secureTcp } from './secure-tcp.ts';

export type Wire = Required<Pick<Libp2pOptions, 'transports' | 'connectionEncrypters' | 'streamMuxers'>>;

/** Between TLS or noise and the session: where a test sees what an attacker without those would. */
export interface Taps {
	readonly quic?: (native: NativeConnection) => NativeConnection;
	readonly tcp?: MessageTap;
}

/** Every connection begins with a session; no protocol sees one that has none. */
export function secureWire<P>(sessions: Sessions<P>, quic?: QuicConfig, taps: Taps = {}): Wire {
	const layer = secureQuic(sessions);
	const tap = taps.quic ?? ((native) => native);
	return {
		transports: [quicTransport((native, ...rest) => layer(tap(native), ...rest), quic), tcp()],
		connectionEncrypters: [secureTcp(sessions, taps.tcp)],
		streamMuxers: [loudYamux() as Wire['streamMuxers'][number]],
	};
}
