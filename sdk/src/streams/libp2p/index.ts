/** Streams over libp2p: QUIC first, TCP where UDP is blocked. */

export type { RefusalReason, Refused, SessionIdentity, SessionRegistry } from '../session/index.ts';
export { type DhtOptions, dhtServiceOf } from './dht.ts';
export type { DhtRules, StoredRecord } from './dht-store.ts';
export type { ConnectionLimits } from './gate.ts';
export { metered, type StreamMeter } from './meter.ts';
export type { BaseServices, Libp2pNode, Libp2pNodeOptions } from './node.ts';
export { createLibp2pNode, peerIdFromSeed } from './node.ts';
export type { QuicConfig } from './quic.ts';
export { byteStream } from './stream.ts';
export { newestConnection } from './transport.ts';
