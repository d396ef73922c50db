/** A libp2p stream as a byte stream: pull instead of events, with backpressure both ways. */
import type { Stream } from '@libp2p/interface';
import { MeshError } from '../../errors.ts';
import type { ByteStream } from '../transport.ts';

/** Received bytes that wait for the reader before the stream is paused. */
const UNREAD_BYTES_HIGH = 256 * 1024;

export function byteStream(stream: Stream): ByteStream {
	const queue: Uint8Array[] = [];
	let unread = 0;
	let ended = false;
	let closed = false;
	let failure: Error | undefined;
	let wakeReader: (() => void) | undefined;
	let drains: { resolve: () => void; reject: (error: Error) => void }[] = [];
	const closeListeners: ((error?: Error) => void)[] = [];

	const wake = (): void => {
		wakeReader?.();
		wakeReader = undefined;
	};
	const endReading = (): void => {
		ended = true;
		wake();
	};
	stream.addEventListener('message', ({ data }) => {
		const chunk = data.subarray();
		queue.push(chunk);
		unread += chunk.byteLength;
		if (unread > UNREAD_BYTES_HIGH && stream.readStatus === 'readable') stream.pause();
		wake();
	});
	stream.addEventListener('end', endReading);
	// Registered for good: a listener that comes after the event it waits for would wait for ever.
	stream.addEventListener('drain', () => {
		const waiting = drains;
		drains = [];
		for (const { resolve } of waiting) resolve();
	});
	const onClose = (error?: Error): void => {
		if (closed) return;
		closed = true;
		failure = error;
		if (error !== undefined) endReading();
		const waiting = drains;
		drains = [];
		for (const { reject } of waiting) reject(error ?? gone());
		for (const listener of closeListeners.splice(0)) listener(error);
	};
	stream.addEventListener('close', ({ error }) => onClose(error === undefined ? undefined : lost(error)));
	if (stream.readableEnded) endReading();
	if (stream.status !== 'open' && stream.status !== 'closing') onClose(gone());

	async function* read(): AsyncGenerator<Uint8Array> {
		for (;;) {
			const chunk = queue.shift();
			if (chunk !== undefined) {
				unread -= chunk.byteLength;
				if (unread < UNREAD_BYTES_HIGH / 2 && stream.readStatus === 'paused') stream.resume();
				yield chunk;
			} else if (failure !== undefined) throw failure;
			else if (ended) return;
			else {
				await new Promise<void>((resolve) => {
					wakeReader = resolve;
				});
			}
		}
	}

	return {
		write: (chunk) => {
			try {
				return stream.send(chunk);
			} catch {
				// Closed under us; the close event says why.
				return true;
			}
		},
		drained: () => {
			if (closed) return Promise.reject(failure ?? gone());
			if (!stream.writableNeedsDrain) return Promise.resolve();
			return new Promise((resolve, reject) => drains.push({ resolve, reject }));
		},
		source: { [Symbol.asyncIterator]: read },
		close: async () => {
			try {
				await stream.close();
			} catch (error) {
				if (!closed) throw lost(error as Error);
			}
		},
		abort: (error) => stream.abort(error),
		onClose: (listener) => {
			if (closed) queueMicrotask(() => listener(failure));
			else closeListeners.push(listener);
		},
	};
}

function gone(): MeshError {
	return new MeshError('unavailable', 'the stream is closed');
}

function lost(cause: Error): MeshError {
	return cause instanceof MeshError
		? cause
		: new MeshError('unavailable', `the stream ended: ${cause.message}`, { cause });
}
