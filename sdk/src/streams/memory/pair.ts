/** Two byte streams joined in memory. What one side writes the other reads, in order, without copies or latency. */
import { MeshError } from '../../errors.ts';
import { copyOf } from '../../wire/bytes.ts';
import type { ByteStream } from '../transport.ts';

/** Bytes a side may have out before `write` asks for patience: as much as a socket would take. */
const HIGH_WATER_BYTES = 256 * 1024;

/** One half of a pair. */
export class MemoryStream implements ByteStream {
	#other: MemoryStream = this;
	#queue: Uint8Array[] = [];
	#queuedBytes = 0;
	#readEnded = false;
	#writeEnded = false;
	#error: Error | undefined;
	#closed = false;
	#stalled = false;
	#wakeReader: (() => void) | undefined;
	#drainWaiters: { resolve: () => void; reject: (error: Error) => void }[] = [];
	#onClose: ((error?: Error) => void)[] = [];
	readonly source: AsyncIterable<Uint8Array> = { [Symbol.asyncIterator]: () => this.#read() };

	static pair(): [MemoryStream, MemoryStream] {
		const a = new MemoryStream();
		const b = new MemoryStream();
		a.#other = b;
		b.#other = a;
		return [a, b];
	}

	write(chunk: Uint8Array): boolean {
		const other = this.#other;
		if (this.#closed || this.#writeEnded || chunk.byteLength === 0) return true;
		// The writer may reuse its array, and a real transport would have copied it too.
		other.#queue.push(copyOf(chunk));
		other.#queuedBytes += chunk.byteLength;
		if (!this.#stalled) other.#wake();
		return other.#queuedBytes < HIGH_WATER_BYTES;
	}

	drained(): Promise<void> {
		if (this.#closed) return Promise.reject(this.#error ?? new MeshError('unavailable', 'the stream is closed'));
		if (this.#other.#queuedBytes < HIGH_WATER_BYTES) return Promise.resolve();
		return new Promise((resolve, reject) => this.#drainWaiters.push({ resolve, reject }));
	}

	async close(): Promise<void> {
		if (this.#closed || this.#writeEnded) return;
		this.#writeEnded = true;
		this.#other.#wake();
		this.#endIfDone();
	}

	abort(error: Error): void {
		if (this.#closed) return;
		const other = this.#other;
		this.#end(error);
		// A partition eats the reset as well.
		if (!this.#stalled) other.#end(new MeshError('unavailable', 'the remote reset the stream', { cause: error }));
	}

	onClose(listener: (error?: Error) => void): void {
		if (this.#closed) queueMicrotask(() => listener(this.#error));
		else this.#onClose.push(listener);
	}

	/** Holds back what this side sends, or lets it go again. */
	stall(stalled: boolean): void {
		this.#stalled = stalled;
		if (!stalled) this.#other.#wake();
	}

	async *#read(): AsyncGenerator<Uint8Array> {
		for (;;) {
			const isCut = this.#other.#stalled === true && !this.#closed;
			const chunk = isCut ? undefined : this.#queue.shift();
			if (chunk !== undefined) {
				this.#queuedBytes -= chunk.byteLength;
				if (this.#queuedBytes < HIGH_WATER_BYTES) this.#other.#drain();
				yield chunk;
				continue;
			}
			if (this.#error !== undefined) throw this.#error;
			if (this.#closed) return;
			if (!isCut && this.#other.#writeEnded === true) {
				this.#readEnded = true;
				this.#endIfDone();
				this.#other.#endIfDone();
				return;
			}
			await new Promise<void>((resolve) => {
				this.#wakeReader = resolve;
			});
		}
	}

	#wake(): void {
		const wake = this.#wakeReader;
		this.#wakeReader = undefined;
		wake?.();
	}

	#drain(): void {
		for (const { resolve } of this.#drainWaiters.splice(0)) resolve();
	}

	/** Both halves are over: ours was ended, and theirs was read to its end. */
	#endIfDone(): void {
		if (this.#writeEnded && this.#readEnded) this.#end(undefined);
	}

	#end(error: Error | undefined): void {
		if (this.#closed) return;
		this.#closed = true;
		this.#error = error;
		if (error !== undefined) {
			this.#queue = [];
			this.#queuedBytes = 0;
		}
		this.#wake();
		for (const { reject } of this.#drainWaiters.splice(0)) {
			reject(error ?? new MeshError('unavailable', 'the stream is closed'));
		}
		for (const listener of this.#onClose.splice(0)) listener(error);
	}
}
