import type { PeerId } from '../../wire/ids.ts';
import type { ByteStream, Transport } from '../transport.ts';
import type { Caller, Contract, Impl, Methods, SessionCallContext } from './contract.ts';

/**
 * One session per peer pair: framed calls, many in flight, on one long-lived stream (decision 7 of the architecture).
 * The first frame each way is a hello; nothing else is read before `admit` accepted it.
 */
export interface Session<P = unknown> {
	readonly remote: PeerId | 'local';
	/** What `admit` made of the remote's hello. */
	readonly principal: P;
	readonly open: boolean;
	/** Round-trip time, exponentially weighted, of calls and pings; undefined before the first. */
	readonly rttMs: number | undefined;
	/** A typed caller for this remote. */
	caller<M extends Methods>(contract: Contract<M>): Caller<M>;
	/** One-way message on a named channel (Raft, heartbeats). False: not sent, the send queue is full or closed. */
	notify(channel: string, payload: Uint8Array): boolean;
	/** Round trip answered by the remote's session layer. Rejects with `deadline` or `unavailable`. */
	ping(timeoutMs: number): Promise<number>;
	close(reason?: string): Promise<void>;
	onClose(listener: (error?: Error) => void): void;
}

/** What a session serves. One registry is shared by all sessions of a node, and may grow while they are open. */
export interface Services<P = unknown> {
	serve<M extends Methods>(
		contract: Contract<M>,
		impl: Impl<M, SessionCallContext<P>>,
		options?: { readonly concurrency?: number; readonly queue?: number },
	): ServiceHandle;
	onNotify(channel: string, listener: (payload: Uint8Array, session: Session<P>) => void): Disposable;
}

export interface ServiceHandle extends AsyncDisposable {
	readonly stats: {
		readonly calls: number;
		readonly errors: number;
		readonly inflight: number;
		readonly queued: number;
	};
	/** Refuse new calls with `draining`, resolve when those in flight ended. */
	drain(): Promise<void>;
}

export interface HelloExchange<P> {
	/** Bytes of our hello for this remote, made anew for each session. At most 64 KiB. */
	hello(remote: PeerId | 'local'): Uint8Array | Promise<Uint8Array>;
	/** Checks theirs. Throws a MeshError (`unauthorized`) to refuse; the remote sees that error. */
	admit(remote: PeerId | 'local', hello: Uint8Array): P | Promise<P>;
}

/** All sessions of one process under one protocol. */
export interface RpcNode<P = unknown> extends AsyncDisposable {
	readonly services: Services<P>;
	/** The open session with this peer, if any. */
	get(peer: PeerId): Session<P> | undefined;
	sessions(): readonly Session<P>[];
	/** Opens one, or joins an open or opening one. Simultaneous dials end as one session on both sides. */
	connect(
		peer: PeerId,
		options?: { readonly addresses?: readonly string[]; readonly signal?: AbortSignal },
	): Promise<Session<P>>;
	onSession(listener: (session: Session<P>) => void): Disposable;
}

/** `createRpcNode(...)` in `node.ts`. */
export type CreateRpcNode = <P>(options: {
	transport: Transport;
	protocol: string;
	exchange: HelloExchange<P>;
}) => RpcNode<P>;

/** `openSession(stream, ...)` in `session.ts`: over any byte stream, such as a unix socket. */
export type OpenSession = <P>(
	stream: ByteStream,
	options: { remote: PeerId | 'local'; initiator: boolean; exchange: HelloExchange<P>; services?: Services<P> },
) => Promise<Session<P>>;
