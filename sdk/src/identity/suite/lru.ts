/** The `max` most recently used values by name. A Map keeps insertion order, so the first entry is the oldest. */
export class Lru<V> {
	readonly #entries = new Map<string, V>();
	readonly #max: number;

	constructor(max: number) {
		this.#max = max;
	}

	get(name: string): V | undefined {
		const value = this.#entries.get(name);
		if (value === undefined) return undefined;
		this.#entries.delete(name);
		this.#entries.set(name, value);
		return value;
	}

	set(name: string, value: V): void {
		this.#entries.delete(name);
		this.#entries.set(name, value);
		if (this.#entries.size <= this.#max) return;
		const [oldest] = this.#entries.keys();
		if (oldest !== undefined) this.#entries.delete(oldest);
	}
}
