/**
 * Flow control of the items of one call. The sender may send while it has credit; the receiver hands credit back as
 * its consumer takes items. So a paused reader costs one window plus at most one item, loses nothing, and delays no
 * other call of the session.
 */
import { MeshError } from '../../errors.ts';
import { copyOf } from '../../wire/bytes.ts';

/** Bytes a sender may have out before the consumer took them. A quarter of the promised 1 MiB. */
export const WINDOW_BYTES = 256 * 1024;
/** Added per item, so that a million empty items are not free. */
const ITEM_BYTES = 64;

const cost = (body: Uint8Array): number => body.byteLength + ITEM_BYTES;

/** The sending end's credit. */
export class Credit {
	#bytes = WINDOW_BYTES;
	#waiting: (() => void) | undefined;
	#closed = false;

	/** Resolves to true when an item may be sent, to false when the call ended. One waiter at a time. */
	ready(): true | Promise<boolean> {
		if (this.#closed) return Promise.resolve(false);
		if (this.#bytes > 0) return true;
		return new Promise((resolve) => {
			this.#waiting = () => resolve(!this.#closed);
		});
	}

	spend(body: Uint8Array): void {
		this.#bytes -= cost(body);
	}

	grant(bytes: number): void {
		this.#bytes += bytes;
		if (this.#bytes > WINDOW_BYTES) throw new MeshError('invalid_input', 'malformed frame: more credit than was spent');
		if (this.#bytes > 0) this.#wake();
	}

	close(): void {
		this.#closed = true;
		this.#wake();
	}

	#wake(): void {
		const waiting = this.#waiting;
		this.#waiting = undefined;
		waiting?.();
	}
}

interface Waiter {
	resolve(result: IteratorResult<unknown>): void;
	reject(error: unknown): void;
}

export interface ItemReaderOptions {
	/** Decodes and validates one item. */
	decode(body: Uint8Array): unknown | Promise<unknown>;
	/** Tells the sender that this much was consumed. */
	grant(bytes: number): void;
	/** Before the first item is asked for. */
	onStart?(): void;
	/** The consumer left before the end. */
	onReturn?(): void;
}

/** The receiving end: a queue bounded by the window, read as an async iterable by one consumer. */
export class ItemReader implements AsyncIterableIterator<unknown> {
	readonly #options: ItemReaderOptions;
	#queue: Uint8Array[] = [];
	#waiters: Waiter[] = [];
	#out = 0;
	#ungranted = 0;
	#ended = false;
	#error: unknown;
	#started = false;

	constructor(options: ItemReaderOptions) {
		this.#options = options;
	}

	push(body: Uint8Array): void {
		if (this.#ended) return;
		if (this.#out >= WINDOW_BYTES) throw new MeshError('invalid_input', 'malformed frame: an item without credit');
		this.#out += cost(body);
		const waiter = this.#waiters.shift();
		if (waiter) this.#deliver(body, waiter);
		// A copy: a view would keep the whole chunk that it arrived in.
		else this.#queue.push(copyOf(body));
	}

	/** No more items. Those queued are still delivered, then the error, if there is one, once. */
	end(error?: unknown): void {
		if (this.#ended) return;
		this.#ended = true;
		this.#error = error;
		const waiters = this.#waiters;
		this.#waiters = [];
		for (const waiter of waiters) this.#finish(waiter);
	}

	next(): Promise<IteratorResult<unknown>> {
		if (!this.#started) {
			this.#started = true;
			this.#options.onStart?.();
		}
		return new Promise((resolve, reject) => {
			const body = this.#queue.shift();
			if (body !== undefined) this.#deliver(body, { resolve, reject });
			else if (this.#ended) this.#finish({ resolve, reject });
			else this.#waiters.push({ resolve, reject });
		});
	}

	async return(): Promise<IteratorResult<unknown>> {
		const early = this.#started && !this.#ended;
		this.#queue = [];
		this.#error = undefined;
		this.#started = true;
		this.end();
		if (early) this.#options.onReturn?.();
		return { done: true, value: undefined };
	}

	[Symbol.asyncIterator](): this {
		return this;
	}

	#deliver(body: Uint8Array, { resolve, reject }: Waiter): void {
		const bytes = cost(body);
		this.#out -= bytes;
		this.#ungranted += bytes;
		if (this.#ungranted >= WINDOW_BYTES / 2 && !this.#ended) {
			this.#options.grant(this.#ungranted);
			this.#ungranted = 0;
		}
		try {
			const value = this.#options.decode(body);
			if (value instanceof Promise) value.then((v) => resolve({ done: false, value: v }), reject);
			else resolve({ done: false, value });
		} catch (error) {
			reject(error);
		}
	}

	#finish({ resolve, reject }: Waiter): void {
		const error = this.#error;
		this.#error = undefined;
		if (error === undefined) resolve({ done: true, value: undefined });
		else reject(error);
	}
}
