/**
 * Streams on a QUIC connection of the native addon, in place of the stock muxer, which reads 4 KiB at a time, does
 * not stop reading when its reader pauses (and then aborts the stream at 4 MiB), and takes a reset for an orderly
 * end. This one reads up to 64 KiB at a time, lets QUIC's own flow control hold back the sender of a paused reader, and
 * tells resets apart. To be dropped when the stock muxer does the same.
 */
import type { MultiaddrConnection, Stream, StreamMuxerFactory } from '@libp2p/interface';
import { AbstractStream, type AbstractStreamInit, AbstractStreamMuxer, type SendResult } from '@libp2p/utils';
import { Uint8ArrayList } from 'uint8arraylist';
import { MeshError } from '../../errors.ts';
import { type NativeConnection, type NativeStream, nativeConnection } from './native.ts';

/** The native connection that a stock factory holds; undefined where it holds it differently. */
export function nativeOf(stock: StreamMuxerFactory): NativeConnection | undefined {
	const { init } = stock as StreamMuxerFactory & { readonly init?: { readonly connection?: unknown } };
	return nativeConnection(init?.connection);
}

export function quicMuxer(native: NativeConnection): StreamMuxerFactory {
	return {
		protocol: 'quic',
		createStreamMuxer: (maConn) => new QuicMuxer(maConn as MultiaddrConnection, native),
	};
}

class QuicMuxer extends AbstractStreamMuxer<QuicStream> {
	readonly #native: NativeConnection;

	constructor(maConn: MultiaddrConnection, native: NativeConnection) {
		super(maConn, { protocol: 'quic', name: 'quic-muxer' });
		this.#native = native;
		void this.#accept();
	}

	async onCreateStream(): Promise<QuicStream> {
		return this.#wrap(await this.#native.outboundStream(), 'outbound');
	}

	/** Streams carry all data; the connection itself has none. */
	onData(): void {}

	async #accept(): Promise<void> {
		try {
			while (this.status === 'open') this.onRemoteStream(this.#wrap(await this.#native.inboundStream(), 'inbound'));
		} catch {
			// The connection is gone; its close event ends the streams.
		}
	}

	#wrap(native: NativeStream, direction: Stream['direction']): QuicStream {
		const id = native.id();
		const log = this.log.newScope(`${direction}:${id}`);
		const init = { id, direction, log, maxReadBufferLength: Number.POSITIVE_INFINITY };
		return new QuicStream(init, native, () => this.#native.error);
	}
}

class QuicStream extends AbstractStream {
	readonly #native: NativeStream;
	readonly #connectionError: () => Error | undefined;
	#isPaused = false;
	#resume: (() => void) | undefined;

	constructor(init: AbstractStreamInit, native: NativeStream, connectionError: () => Error | undefined) {
		super(init);
		this.#native = native;
		this.#connectionError = connectionError;
		this.addEventListener('close', () => this.#wake());
		void this.#read();
	}

	// One native write at a time keeps the order; the next batch gathers meanwhile.
	sendData(data: Uint8ArrayList): SendResult {
		this.#native.write(data.subarray()).then(
			() => this.safeDispatchEvent('drain'),
			(error: Error) => this.#failed(error),
		);
		return { sentBytes: data.byteLength, canSendMore: false };
	}

	sendReset(): void {
		// Either half may be over already, which is what a reset wants.
		this.#native.resetWrite().then(undefined, () => undefined);
		this.#native.stopRead().then(undefined, () => undefined);
	}

	sendCloseWrite(): Promise<void> {
		return this.#native.finishWrite();
	}

	sendCloseRead(): Promise<void> {
		return this.#native.stopRead();
	}

	/** A connection that goes away under a stream has not ended it: the reader must not take this for the end. */
	override onTransportClosed(error?: Error): void {
		const isCutOff = error === undefined && this.remoteWriteStatus !== 'closed';
		super.onTransportClosed(
			isCutOff ? (this.#connectionError() ?? new MeshError('unavailable', 'the connection was lost')) : error,
		);
	}

	sendPause(): void {
		this.#isPaused = true;
	}

	sendResume(): void {
		this.#isPaused = false;
		this.#wake();
	}

	#wake(): void {
		const resume = this.#resume;
		this.#resume = undefined;
		resume?.();
	}

	async #read(): Promise<void> {
		try {
			for (;;) {
				// What is not read fills QUIC's window, which holds the sender back.
				while (this.#isPaused && this.status === 'open') {
					await new Promise<void>((resolve) => {
						this.#resume = resolve;
					});
				}
				const chunk = await this.#native.read();
				if (chunk === null) break;
				this.onData(new Uint8ArrayList(chunk));
			}
			this.onRemoteCloseWrite();
		} catch (error) {
			this.#failed(error as Error);
		}
	}

	/** The addon tells errors apart by their words only. */
	#failed(error: Error): void {
		if (this.status !== 'open' && this.status !== 'closing') return;
		if (/reset by peer|stopped by peer/.test(error.message)) this.onRemoteReset();
		else if (/connection lost/.test(error.message)) this.onTransportClosed();
		else this.abort(error);
	}
}
