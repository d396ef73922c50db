/**
 * Streams between processes, and typed calls on them. `createRpcNode` joins peers over a transport, `openSession`
 * speaks over any byte stream, `secureStream` makes one private and tells who is at the other end, `listenUnix` and
 * `dialUnix` give such streams on one machine.
 */
export type * from './rpc/contract.ts';
export { contract, rpc } from './rpc/contract.ts';
export { durationMs } from './rpc/duration.ts';
export type { Heartbeats } from './rpc/heartbeat.ts';
export type { RpcNodeOptions } from './rpc/node.ts';
export { createRpcNode } from './rpc/node.ts';
export type { HandlerFailure, ServicesOptions } from './rpc/services.ts';
export { createServices } from './rpc/services.ts';
export type { OpenSessionOptions } from './rpc/session.ts';
export { openSession } from './rpc/session.ts';
export type * from './rpc/session.types.ts';
export type {
	HandshakeLimits,
	Plane,
	RekeyLimits,
	SecureStream,
	SecureStreamOptions,
	SessionIdentity,
	SessionInfo,
	SessionRegistry,
	SessionsOptions,
	VerifiedPeer,
} from './session/index.ts';
export { Sessions, secureStream } from './session/index.ts';
export type { UnixListener } from './socket.ts';
export { dialUnix, listenUnix, socketStream } from './socket.ts';
export type * from './transport.ts';
