/**
 * Sessions on TCP connections: noise first, which proves the peer ID, then the session over it. Everything after, the
 * multiplexer included, is records of one stream.
 */
import { yamux } from '@chainsafe/libp2p-yamux';
import type {
	AbortOptions,
	ConnectionEncrypter,
	MessageStream,
	MultiaddrConnection,
	SecureConnectionOptions,
	SecuredConnection,
	StreamMuxerFactory,
} from '@libp2p/interface';
import { noise } from '@libp2p/noise';
import { AbstractMessageStream, type SendResult } from '@libp2p/utils';
import { Uint8ArrayList } from 'uint8arraylist';
import { MeshError } from '../../errors.ts';
import type { PeerId } from '../../wire/ids.ts';
import {
	type Channel,
	cutOff,
	type Pipe,
	RecordSplitter,
	type Role,
	type Session,
	type Sessions,
} from '../session/index.ts';
import { addressOf } from './address.ts';
import type { ConnectionGate } from './gate.ts';

/** Two of the largest messages may wait, no more. */
const HANDSHAKE_BYTES_MAX = 64 * 1024;
export const TCP_SESSION = '/beemesh/session/tcp/1';
type NoiseComponents = Parameters<ReturnType<typeof noise>>[0];

/** Put between noise and the session; only tests have something to put there. */
export type MessageTap = (stream: MessageStream) => MessageStream;

export function secureTcp<P>(sessions: Sessions<P>, gate: ConnectionGate, tap: MessageTap = (stream) => stream) {
	return (components: NoiseComponents): ConnectionEncrypter => {
		const inner = noise()(components) as ConnectionEncrypter;
		const secure = async (
			role: Role,
			connection: MessageStream,
			secured: SecuredConnection,
			options: SecureConnectionOptions | undefined,
		): Promise<SecuredConnection> => {
			const below = tap(secured.connection);
			const pipe = new MessagePipe(below);
			const remote = secured.remotePeer.toString() as PeerId;
			try {
				gate.requireSpokenTo(secured.remotePeer);
				const { session, rest } = await sessions.open(pipe, {
					role,
					protocol: TCP_SESSION,
					remote,
					address: addressOf(connection as MultiaddrConnection),
					signal: options?.signal,
				});
				return { ...secured, connection: new RecordMessageStream(below, pipe, session, rest) };
			} catch (error) {
				below.abort(error as Error);
				throw error;
			}
		};
		return {
			// Its own name: a peer without sessions finds no common protocol, rather than a handshake that fails.
			protocol: '/beemesh/noise/1',
			secureOutbound: async (connection, options) =>
				secure('initiator', connection, await inner.secureOutbound(connection, options), options),
			secureInbound: async (connection, options) =>
				secure('responder', connection, await inner.secureInbound(connection, options), options),
		};
	};
}

/** yamux, whose streams end with an error, not in order, when the connection fails under them. */
export function loudYamux(): (components: unknown) => StreamMuxerFactory {
	return () => {
		const factory = yamux()() as StreamMuxerFactory;
		return {
			protocol: factory.protocol,
			createStreamMuxer: (connection) => {
				// Before the muxer's own listener, which takes every close for an orderly one.
				connection.addEventListener('close', ({ error }) => {
					for (const stream of [...muxer.streams]) stream.abort(error ?? cutOff());
				});
				const muxer = factory.createStreamMuxer(connection);
				return muxer;
			},
		};
	};
}

/** Reads and writes a message stream by pulling, until its records are read by {@link RecordMessageStream}. */
class MessagePipe implements Pipe {
	readonly #stream: MessageStream;
	readonly #chunks: Uint8Array[] = [];
	#bytes = 0;
	#isOver = false;
	#wake: (() => void) | undefined;
	#sink: ((chunk: Uint8Array) => void) | undefined;

	constructor(stream: MessageStream) {
		this.#stream = stream;
		stream.addEventListener('message', ({ data }) => {
			const chunk = data.subarray();
			if (this.#sink !== undefined) return this.#sink(chunk);
			this.#chunks.push(chunk);
			this.#bytes += chunk.byteLength;
			// A handshake that is not finished has no use for more.
			if (this.#bytes > HANDSHAKE_BYTES_MAX) stream.abort(new MeshError('unauthorized', 'BMS/1: too much at once'));
			this.#wake?.();
		});
		const over = (): void => {
			this.#isOver = true;
			this.#wake?.();
		};
		stream.addEventListener('close', over);
		stream.addEventListener('remoteCloseWrite', over);
	}

	async read(): Promise<Uint8Array | undefined> {
		for (;;) {
			const chunk = this.#chunks.shift();
			if (chunk !== undefined) {
				this.#bytes -= chunk.byteLength;
				return chunk;
			}
			if (this.#isOver) return undefined;
			await new Promise<void>((resolve) => {
				this.#wake = resolve;
			});
		}
	}

	async write(bytes: Uint8Array): Promise<void> {
		if (!this.#stream.send(bytes)) await this.#stream.onDrain();
	}

	/** From now on chunks go there, those that wait first. */
	handOver(sink: (chunk: Uint8Array) => void): void {
		this.#sink = sink;
		for (const chunk of this.#chunks.splice(0)) sink(chunk);
	}
}

class RecordMessageStream<P> extends AbstractMessageStream {
	readonly #below: MessageStream;
	readonly #session: Session<P>;
	readonly #channel: Channel;
	readonly #splitter = new RecordSplitter();

	constructor(below: MessageStream, pipe: MessagePipe, session: Session<P>, rest: Uint8Array) {
		super({
			log: below.log.newScope('session'),
			inactivityTimeout: below.inactivityTimeout,
			maxReadBufferLength: below.maxReadBufferLength,
			direction: below.direction,
		});
		this.#below = below;
		this.#session = session;
		this.#channel = session.openBase((record) => void below.send(record));
		session.onEnd((error) => this.abort(error));
		below.addEventListener('close', ({ error }) => {
			session.end(error ?? cutOff());
		});
		below.addEventListener('remoteCloseWrite', () => session.end(cutOff()));
		below.addEventListener('drain', () => this.safeDispatchEvent('drain'));
		this.#receive(rest);
		pipe.handOver((chunk) => this.#receive(chunk));
		if (below.status !== 'open') session.end(cutOff());
	}

	sendData(data: Uint8ArrayList): SendResult {
		const { records, taken } = this.#channel.seal(data.subarray());
		if (taken === 0) {
			this.#channel.writable().then(
				() => this.safeDispatchEvent('drain'),
				() => undefined,
			);
			return { sentBytes: 0, canSendMore: false };
		}
		const canSendMore = this.#below.send(records);
		this.#channel.sent(records);
		return { sentBytes: taken, canSendMore };
	}

	sendReset(error: Error): void {
		this.#session.end(error);
		this.#below.abort(error);
	}

	close(options?: AbortOptions): Promise<void> {
		return this.#below.close(options);
	}

	sendPause(): void {
		this.#below.pause();
	}

	sendResume(): void {
		this.#below.resume();
	}

	/** Anything wrong ends the session, which aborts this. */
	#receive(chunk: Uint8Array): void {
		try {
			for (const record of this.#splitter.split(chunk)) {
				const data = this.#channel.open(record);
				if (data !== undefined) this.onData(new Uint8ArrayList(data));
			}
		} catch (error) {
			this.#session.end(error as Error);
		}
	}
}
