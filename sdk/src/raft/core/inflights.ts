/** Append messages under way to one member: a window in count and bytes, freed from the front by acknowledgements. */
import { invariant } from './invariant.ts';

export class Inflights {
	readonly #countMax: number;
	readonly #bytesMax: number;
	/** Last entry index and size of each message, oldest at `#head`. */
	#indices: number[] = [];
	#sizes: number[] = [];
	#head = 0;
	#bytes = 0;

	constructor(countMax: number, bytesMax: number) {
		this.#countMax = countMax;
		this.#bytesMax = bytesMax;
	}

	get count(): number {
		return this.#indices.length - this.#head;
	}

	/** The byte limit may be overrun by the last message: it stops the next one. */
	get isFull(): boolean {
		return this.count >= this.#countMax || this.#bytes >= this.#bytesMax;
	}

	add(lastIndex: number, bytes: number): void {
		invariant(!this.isFull, 'the window is full');
		this.#indices.push(lastIndex);
		this.#sizes.push(bytes);
		this.#bytes += bytes;
	}

	/** Everything up to `index` was acknowledged. */
	freeTo(index: number): void {
		while (this.count > 0 && (this.#indices[this.#head] as number) <= index) {
			this.#bytes -= this.#sizes[this.#head] as number;
			this.#head += 1;
		}
		// Drop the freed front once it outweighs the rest, so that the cost per message stays constant.
		if (this.#head > this.count + 16) {
			this.#indices = this.#indices.slice(this.#head);
			this.#sizes = this.#sizes.slice(this.#head);
			this.#head = 0;
		}
	}

	clear(): void {
		this.#indices = [];
		this.#sizes = [];
		this.#head = 0;
		this.#bytes = 0;
	}
}
