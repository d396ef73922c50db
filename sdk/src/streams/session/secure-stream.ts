/**
 * A session over any byte stream: the handshake, then one record layer for both directions. For unix sockets, and for the
 * relay of the owner's tool through an entry host, which forwards and cannot read.
 */
import { MeshError } from '../../errors.ts';
import { copyOf } from '../../wire/bytes.ts';
import type { PeerId } from '../../wire/ids.ts';
import type { ByteStream } from '../transport.ts';
import { type Channel, cutOff } from './channel.ts';
import { RecordSplitter, type Role, type SessionIdentity } from './core/index.ts';
import type { Pipe } from './handshake.ts';
import type { Session } from './session.ts';
import { Sessions } from './sessions.ts';

export interface SecureStreamOptions<P> {
	readonly role: Role;
	readonly identity: SessionIdentity<P>;
	/** What the session is for; both sides must name the same. */
	readonly protocol: string;
	/** Peer IDs of the two ends, where they have one. Each side must see the same two. */
	readonly self?: PeerId | undefined;
	readonly remote?: PeerId | undefined;
	/** Shared limits and memory for many streams of one identity. Default: of this stream alone. */
	readonly sessions?: Sessions<P>;
	readonly signal?: AbortSignal;
}

export interface SecureStream<P> extends ByteStream {
	/** Whom the other side proved to be. */
	readonly principal: P;
	/** CID of its certificate. */
	readonly cid: string;
}

/** Read bytes that wait for the reader before we stop reading. */
const UNREAD_BYTES_HIGH = 256 * 1024;

/** Rejects, and aborts the stream, with `unauthorized`, `exhausted`, `unavailable` or `cancelled`. */
export async function secureStream<P>(stream: ByteStream, options: SecureStreamOptions<P>): Promise<SecureStream<P>> {
	const { role, identity, protocol, self, remote, signal } = options;
	const sessions = options.sessions ?? new Sessions({ identity, self });
	const pipe = pipeOf(stream);
	try {
		const { session, rest } = await sessions.open(pipe, { role, protocol, remote, signal });
		return new RecordStream(stream, pipe, session, rest);
	} catch (error) {
		stream.abort(error as Error);
		throw error;
	}
}

function pipeOf(stream: ByteStream): Pipe {
	const source = stream.source[Symbol.asyncIterator]();
	return {
		read: async () => {
			const { done, value } = await source.next();
			return done === true ? undefined : value;
		},
		write: (bytes) => (stream.write(bytes) ? undefined : stream.drained()),
	};
}

class RecordStream<P> implements SecureStream<P> {
	readonly principal: P;
	readonly cid: string;
	readonly source: AsyncIterable<Uint8Array>;
	readonly #inner: ByteStream;
	readonly #session: Session<P>;
	readonly #channel: Channel;
	/** Plaintext that waits for the next phase. */
	#held: Uint8Array[] = [];
	#flushing: Promise<void> | undefined;
	#closing: Promise<void> | undefined;
	readonly #unread: Uint8Array[] = [];
	#unreadBytes = 0;
	#wakeReader: (() => void) | undefined;
	#wakePump: (() => void) | undefined;
	#isOver = false;
	#error: Error | undefined;
	readonly #closeListeners: ((error?: Error) => void)[] = [];

	constructor(inner: ByteStream, pipe: Pipe, session: Session<P>, rest: Uint8Array) {
		this.#inner = inner;
		this.#session = session;
		this.principal = session.principal;
		this.cid = session.cid;
		this.#channel = session.openBase((record) => void inner.write(record));
		this.source = { [Symbol.asyncIterator]: () => this.#read() };
		session.onEnd((error) => this.#over(error));
		inner.onClose((error) => this.#innerClosed(error));
		void this.#pump(pipe, rest);
	}

	write(chunk: Uint8Array): boolean {
		if (this.#isOver || this.#closing !== undefined || chunk.byteLength === 0) return true;
		if (this.#flushing === undefined) {
			const { rest, canSendMore } = this.#seal(chunk);
			if (rest.byteLength === 0) return canSendMore;
			this.#held.push(copyOf(rest));
			this.#flushing = this.#flush();
		} else {
			this.#held.push(copyOf(chunk));
		}
		return false;
	}

	async drained(): Promise<void> {
		await this.#flushing;
		if (this.#error !== undefined) throw this.#error;
		await this.#inner.drained();
	}

	close(): Promise<void> {
		this.#closing ??= this.#close();
		return this.#closing;
	}

	abort(error: Error): void {
		this.#session.end(error);
	}

	onClose(listener: (error?: Error) => void): void {
		if (this.#isOver) queueMicrotask(() => listener(this.#error));
		else this.#closeListeners.push(listener);
	}

	/** Seals and sends what the phase allows. */
	#seal(chunk: Uint8Array): { readonly rest: Uint8Array; readonly canSendMore: boolean } {
		let rest = chunk;
		let canSendMore = true;
		while (rest.byteLength > 0 && !this.#isOver) {
			const { records, taken } = this.#channel.seal(rest);
			if (taken === 0) break;
			rest = rest.subarray(taken);
			canSendMore = this.#inner.write(records);
			this.#channel.sent(records);
		}
		return { rest, canSendMore };
	}

	async #flush(): Promise<void> {
		try {
			for (;;) {
				const chunk = this.#held.shift();
				if (chunk === undefined) break;
				const { rest } = this.#seal(chunk);
				if (rest.byteLength === 0) continue;
				this.#held.unshift(rest);
				await this.#channel.writable();
			}
		} catch (error) {
			this.#held = [];
			this.#session.end(error as Error);
		} finally {
			this.#flushing = undefined;
		}
	}

	async #close(): Promise<void> {
		await this.#flushing;
		if (this.#isOver) return;
		this.#inner.write(this.#channel.sealEnd());
		await this.#endIfDone();
	}

	/** The stream below stays open in both directions until both halves are over: control records still need it. */
	async #endIfDone(): Promise<void> {
		if (!this.#channel.hasSentEnd || !this.#channel.hasReceivedEnd) return;
		await this.#inner.close();
	}

	async #pump(pipe: Pipe, first: Uint8Array): Promise<void> {
		const splitter = new RecordSplitter();
		try {
			let chunk: Uint8Array | undefined = first;
			while (chunk !== undefined) {
				for (const record of splitter.split(chunk)) this.#take(this.#channel.open(record));
				while (this.#unreadBytes > UNREAD_BYTES_HIGH && !this.#isOver) {
					await new Promise<void>((resolve) => {
						this.#wakePump = resolve;
					});
				}
				chunk = await pipe.read();
			}
			if (!splitter.isAtBoundary || !this.#channel.hasReceivedEnd) throw cutOff();
			await this.#inner.close();
		} catch (error) {
			this.#session.end(error as Error);
		}
	}

	#take(data: Uint8Array | undefined): void {
		if (data !== undefined) {
			this.#unread.push(data);
			this.#unreadBytes += data.byteLength;
		}
		if (this.#channel.hasReceivedEnd) void this.#endIfDone();
		this.#wakeReader?.();
	}

	async *#read(): AsyncGenerator<Uint8Array> {
		for (;;) {
			const chunk = this.#unread.shift();
			if (chunk !== undefined) {
				this.#unreadBytes -= chunk.byteLength;
				if (this.#unreadBytes <= UNREAD_BYTES_HIGH) this.#wakePump?.();
				yield chunk;
			} else if (this.#channel.hasReceivedEnd) return;
			else if (this.#error !== undefined) throw this.#error;
			else if (this.#isOver) return;
			else {
				await new Promise<void>((resolve) => {
					this.#wakeReader = resolve;
				});
			}
		}
	}

	/** The stream below is gone: in order only when both ends were told. */
	#innerClosed(error: Error | undefined): void {
		const isOrderly = error === undefined && this.#channel.hasSentEnd && this.#channel.hasReceivedEnd;
		if (isOrderly) this.#over(undefined);
		this.#session.end(error ?? (isOrderly ? done() : cutOff()));
	}

	#over(error: Error | undefined): void {
		if (this.#isOver) return;
		this.#isOver = true;
		this.#error = error;
		if (error !== undefined) this.#inner.abort(error);
		this.#wakeReader?.();
		this.#wakePump?.();
		for (const listener of this.#closeListeners.splice(0)) listener(error);
	}
}

function done(): MeshError {
	return new MeshError('unavailable', 'the stream is closed');
}
