/**
 * `BMS/1` without I/O: the handshake (initiator, responder), the key schedule, lanes of records, phases, limits. Bytes
 * and time come in, effects go out; randomness and cryptography are handed in. The specification is docs/session.md.
 */
export { EMPTY } from './bytes.ts';
export type { Aead, EphemeralKey, SessionCrypto, SuiteId } from './crypto.ts';
export { SUITES, TAG_BYTES } from './crypto.ts';
export type { Established, Handshake, HandshakeConfig, HandshakeEffect, HandshakeEvent } from './handshake.ts';
export type { Plane, SessionIdentity, VerifiedPeer } from './identity.ts';
export { Initiator } from './initiator.ts';
export type { Lane, Role } from './key-schedule.ts';
export { ReceiveLane, SendLane } from './lane.ts';
export type { Address, HandshakeLimits, Pending } from './limits.ts';
export { HandshakeGuard, resolveLimits } from './limits.ts';
export { encodeAlert } from './messages.ts';
export type { PhaseEffect, RekeyConfig, RekeyLimits } from './phases.ts';
export { Phases, resolveRekey } from './phases.ts';
export type { SealedRecord } from './records.ts';
export {
	broken,
	HEADER_BYTES,
	OVERHEAD_BYTES,
	PLAINTEXT_BYTES_MAX,
	RECORD,
	RECORD_BYTES_MAX,
	RecordSplitter,
} from './records.ts';
export { REFUSAL_REASONS, type RefusalReason, refusalReasonOf } from './refusal-reason.ts';
export { Responder } from './responder.ts';
export { decodeVarint, encodeVarint, StreamNumbers } from './stream-numbers.ts';
export { Tickets } from './tickets.ts';
