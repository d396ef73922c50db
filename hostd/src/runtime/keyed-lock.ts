/** Runs the operations on one key one after the other, those on different keys side by side. */
export class KeyedLock {
	readonly #tails = new Map<string, Promise<unknown>>();

	async run<T>(key: string, operation: () => Promise<T>): Promise<T> {
		const before = this.#tails.get(key) ?? Promise.resolve();
		const mine = before.then(operation, operation);
		const tail = mine.catch(() => undefined);
		this.#tails.set(key, tail);
		try {
			return await mine;
		} finally {
			if (this.#tails.get(key) === tail) this.#tails.delete(key);
		}
	}
}
