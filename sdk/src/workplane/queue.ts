/** What listeners and loops share: an emitter, and a queue that is read with `for await`. */

export class Emitter<E extends object> {
	readonly #listeners = new Map<keyof E, Set<(event: never) => void>>();

	on<K extends keyof E>(type: K, listener: (event: E[K]) => void, signal?: AbortSignal): Disposable {
		let set = this.#listeners.get(type);
		if (set === undefined) this.#listeners.set(type, (set = new Set()));
		const listeners = set;
		listeners.add(listener);
		const off = (): void => {
			listeners.delete(listener);
			signal?.removeEventListener('abort', off);
		};
		if (signal?.aborted) off();
		else signal?.addEventListener('abort', off, { once: true });
		return { [Symbol.dispose]: off };
	}

	emit<K extends keyof E>(type: K, event: E[K]): void {
		for (const listener of [...(this.#listeners.get(type) ?? [])]) (listener as (event: E[K]) => void)(event);
	}
}

/** Items wait here until read. A reader that falls `limit` behind loses the oldest. */
export class Queue<T> implements AsyncIterable<T> {
	readonly #items: T[] = [];
	readonly #limit: number;
	readonly #onEnd: (() => void) | undefined;
	#wake: (() => void) | undefined;
	#ended = false;

	constructor(options: { readonly limit?: number; readonly onEnd?: () => void } = {}) {
		this.#limit = options.limit ?? 1024;
		this.#onEnd = options.onEnd;
	}

	push(item: T): void {
		if (this.#ended) return;
		if (this.#items.length >= this.#limit) this.#items.shift();
		this.#items.push(item);
		this.#wake?.();
	}

	/** Lets the reader finish what is queued, then ends it. */
	end(): void {
		if (this.#ended) return;
		this.#ended = true;
		this.#onEnd?.();
		this.#wake?.();
	}

	async *[Symbol.asyncIterator](): AsyncIterator<T> {
		try {
			for (;;) {
				while (this.#items.length > 0) yield this.#items.shift() as T;
				if (this.#ended) return;
				await new Promise<void>((resolve) => {
					this.#wake = resolve;
				});
			}
		} finally {
			this.end();
		}
	}
}
