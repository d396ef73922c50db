/**
 * Sessions on QUIC connections: the handshake runs on the first stream, which stays open for control records; every
 * other stream begins with its opener's number for it and is records from then on.
 */
import type { MultiaddrConnection } from '@libp2p/interface';
import { MeshError } from '../../errors.ts';
import {
	BATCH_BYTES,
	broken,
	type Channel,
	cutOff,
	decodeVarint,
	EMPTY,
	encodeVarint,
	type Pipe,
	RecordSplitter,
	type Session,
	type Sessions,
} from '../session/index.ts';
import { addressOf } from './address.ts';
import type { NativeStream } from './native.ts';
import type { QuicLayer } from './quic.ts';

/** Writes of this size are bulk. */
const SCRATCH_FROM_BYTES = 32 * 1024;

export const QUIC_SESSION = '/beemesh/session/quic/1';

export function secureQuic<P>(sessions: Sessions<P>): QuicLayer {
	return async (native, connection, { role, remote, signal }) => {
		const base = new BaseStream(role === 'initiator' ? native.outboundStream() : native.inboundStream());
		const address = addressOf(connection);
		const { session, rest } = await sessions.open(base, { role, protocol: QUIC_SESSION, remote, address, signal });
		runBase(session, base, rest);
		tie(session, connection);
		return {
			get error() {
				return session.error;
			},
			inboundStream: async () => SecureNativeStream.inbound(await native.inboundStream(), session),
			outboundStream: async () => SecureNativeStream.outbound(await native.outboundStream(), session),
		};
	};
}

/** A session and its connection live and die together. */
function tie<P>(session: Session<P>, connection: MultiaddrConnection): void {
	session.onEnd((error) => connection.abort(error));
	connection.addEventListener('close', ({ error }) =>
		session.end(error ?? new MeshError('unavailable', 'the connection was closed')),
	);
	if (connection.status !== 'open') session.end(new MeshError('unavailable', 'the connection was lost'));
}

/** The first stream, once it is there. */
class BaseStream implements Pipe {
	readonly #stream: Promise<NativeStream>;
	#tail: Promise<void> = Promise.resolve();

	constructor(stream: Promise<NativeStream>) {
		this.#stream = stream;
		stream.catch(() => undefined);
	}

	async read(): Promise<Uint8Array | undefined> {
		return (await (await this.#stream).read()) ?? undefined;
	}

	/** One native write at a time keeps the order. */
	write(bytes: Uint8Array): Promise<void> {
		this.#tail = this.#tail.then(async () => (await this.#stream).write(bytes));
		return this.#tail;
	}
}

/** Reads control records for as long as the session lasts. */
function runBase<P>(session: Session<P>, base: BaseStream, rest: Uint8Array): void {
	const channel = session.openBase((record) => {
		base.write(record).catch((error: Error) => session.end(error));
	});
	const splitter = new RecordSplitter();
	const pump = async (): Promise<void> => {
		let chunk: Uint8Array | undefined = rest;
		while (chunk !== undefined) {
			for (const record of splitter.split(chunk)) {
				// Streams carry the data; here is none.
				if (channel.open(record) !== undefined || channel.hasReceivedEnd) throw broken();
			}
			chunk = await base.read();
		}
		throw cutOff();
	};
	pump().catch((error: Error) => session.end(error));
}

/** A native stream whose bytes are records. */
class SecureNativeStream<P> implements NativeStream {
	readonly #native: NativeStream;
	readonly #session: Session<P>;
	readonly #splitter = new RecordSplitter();
	/** There once the opener's number is known. */
	#channel: Channel | undefined;
	readonly #identified = Promise.withResolvers<Channel>();
	/** Inbound: of the number, until it is whole. Outbound: of our number, until it is sent. */
	#numberBytes: Uint8Array;
	/** Where bulk is sealed: fresh memory for each batch would cost more than the cipher. */
	#scratch: Uint8Array | undefined;
	#ahead: Promise<Uint8Array | null> | undefined;
	#tail: Promise<void> = Promise.resolve();
	#isReadOver = false;
	#isWriteOver = false;

	static inbound<P>(native: NativeStream, session: Session<P>): SecureNativeStream<P> {
		return new SecureNativeStream(native, session);
	}

	static outbound<P>(native: NativeStream, session: Session<P>): SecureNativeStream<P> {
		const stream = new SecureNativeStream(native, session);
		const { number, channel } = session.openOwn((record) => stream.#emit(record));
		stream.#numberBytes = encodeVarint(number);
		stream.#identify(channel);
		return stream;
	}

	private constructor(native: NativeStream, session: Session<P>) {
		this.#native = native;
		this.#session = session;
		this.#numberBytes = EMPTY;
		this.#identified.promise.catch(() => undefined);
	}

	id(): string {
		return this.#native.id();
	}

	async read(): Promise<Uint8Array | null> {
		try {
			while (!this.#isReadOver) {
				const chunk = await (this.#ahead ?? this.#native.read());
				// Nobody wants it any more, and the session may have forgotten this stream's keys.
				if (this.#isReadOver) return null;
				// The next bytes come in while these are opened.
				this.#ahead = chunk === null ? undefined : this.#native.read();
				this.#ahead?.catch(() => undefined);
				const data = this.#open(chunk);
				if (this.#channel?.hasReceivedEnd === true) this.#readEnded();
				if (data.byteLength > 0) return data;
			}
			return null;
		} catch (error) {
			this.#identified.reject(error);
			this.#failed();
			throw error;
		}
	}

	async write(data: Uint8Array): Promise<void> {
		const channel = this.#channel ?? (await this.#identified.promise);
		let rest = data;
		try {
			while (rest.byteLength > 0) {
				if (rest.byteLength >= SCRATCH_FROM_BYTES) this.#scratch ??= new Uint8Array(BATCH_BYTES);
				const { records, taken } = channel.seal(rest, this.#scratch);
				if (taken === 0) {
					await channel.writable();
					continue;
				}
				rest = rest.subarray(taken);
				const written = this.#push(records);
				channel.sent(records);
				// Only then is the scratch free again.
				await written;
			}
		} catch (error) {
			this.#failed();
			throw error;
		}
	}

	async finishWrite(): Promise<void> {
		const channel = this.#channel ?? (await this.#identified.promise);
		try {
			await this.#push(channel.sealEnd());
			await this.#native.finishWrite();
			this.#over({ write: true });
		} catch (error) {
			this.#failed();
			throw error;
		}
	}

	resetWrite(): Promise<void> {
		this.#over({ write: true });
		return this.#native.resetWrite();
	}

	stopRead(): Promise<void> {
		this.#over({ read: true });
		return this.#native.stopRead();
	}

	/** What a chunk brings of data. Anything wrong ends the session. */
	#open(chunk: Uint8Array | null): Uint8Array {
		try {
			// The end of the stream without the record that says so: somebody cut it.
			if (chunk === null) throw cutOff();
			const rest = this.#channel === undefined ? this.#readNumber(chunk) : chunk;
			if (this.#channel === undefined) return EMPTY;
			const plaintexts: Uint8Array[] = [];
			for (const record of this.#splitter.split(rest)) {
				const data = this.#channel.open(record);
				if (data !== undefined) plaintexts.push(data);
			}
			return plaintexts.length === 1 ? (plaintexts[0] ?? EMPTY) : Buffer.concat(plaintexts);
		} catch (error) {
			this.#session.end(error as Error);
			throw error;
		}
	}

	#readNumber(chunk: Uint8Array): Uint8Array {
		const bytes = Buffer.concat([this.#numberBytes, chunk]);
		const number = decodeVarint(bytes);
		if (number === undefined) {
			this.#numberBytes = bytes;
			return EMPTY;
		}
		this.#numberBytes = EMPTY;
		this.#identify(this.#session.openRemote(number.value, (record) => this.#emit(record)));
		return bytes.subarray(number.length);
	}

	#identify(channel: Channel): void {
		this.#channel = channel;
		this.#identified.resolve(channel);
	}

	/** The authenticated end is the end; QUIC's own, which only frees the stream, may come when it likes. */
	#readEnded(): void {
		this.#over({ read: true });
		if (!this.#splitter.isAtBoundary) this.#session.end(broken());
		this.#ahead?.then(
			(more) => {
				if (more !== null) this.#session.end(broken());
			},
			() => undefined,
		);
	}

	#emit(record: Uint8Array): void {
		// The stream's own failure is told to its writer.
		this.#push(record).catch(() => undefined);
	}

	/** One native write at a time keeps the order in which the records were sealed. */
	#push(records: Uint8Array): Promise<void> {
		const bytes = this.#takeNumber(records);
		this.#tail = this.#tail.then(() => this.#native.write(bytes));
		this.#tail.catch(() => undefined);
		return this.#tail;
	}

	#takeNumber(records: Uint8Array): Uint8Array {
		if (this.#numberBytes.byteLength === 0) return records;
		const bytes = Buffer.concat([this.#numberBytes, records]);
		this.#numberBytes = EMPTY;
		return bytes;
	}

	/** A failure of either half is one of the stream, as libp2p sees it. */
	#failed(): void {
		this.#over({ read: true, write: true });
	}

	#over({ read = false, write = false }): void {
		this.#isReadOver ||= read;
		this.#isWriteOver ||= write;
		if (this.#isWriteOver) this.#scratch = undefined;
		if (this.#isReadOver && this.#isWriteOver) this.#channel?.release();
	}
}
