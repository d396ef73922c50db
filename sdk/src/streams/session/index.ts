/**
 * `BMS/1`, the session inside every connection: post-quantum handshake with certificates, then records. `Sessions` makes
 * and keeps them for a libp2p node; `secureStream` opens one on any byte stream. Specified in docs/session.md.
 */

export type { Channel } from './channel.ts';
export { BATCH_BYTES, cutOff } from './channel.ts';
export type {
	HandshakeLimits,
	Plane,
	RefusalReason,
	RekeyLimits,
	Role,
	SessionIdentity,
	VerifiedPeer,
} from './core/index.ts';
export { broken, decodeVarint, EMPTY, encodeVarint, RecordSplitter } from './core/index.ts';
export type { Pipe } from './handshake.ts';
export type { SecureStream, SecureStreamOptions } from './secure-stream.ts';
export { secureStream } from './secure-stream.ts';
export type { Session } from './session.ts';
export type { Refused, SessionInfo, SessionRegistry, SessionsOptions } from './sessions.ts';
export { Sessions } from './sessions.ts';
