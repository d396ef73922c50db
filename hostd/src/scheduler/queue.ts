/** A queue that one reader iterates: what is pushed is seen in order, then the end or the error. */
export class EventQueue<T> {
	readonly #items: T[] = [];
	#ended = false;
	#wake: (() => void) | undefined;

	push(item: T): void {
		if (this.#ended) return;
		this.#items.push(item);
		this.#wake?.();
	}

	end(): void {
		this.#ended = true;
		this.#wake?.();
	}

	async *[Symbol.asyncIterator](): AsyncGenerator<T> {
		for (;;) {
			while (this.#items.length > 0) yield this.#items.shift() as T;
			if (this.#ended) return;
			await new Promise<void>((resolve) => {
				this.#wake = resolve;
			});
		}
	}
}
