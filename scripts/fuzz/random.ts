/**
 * Randomness of one case: a SHAKE256 stream over seed and case number. A case is the same on any machine, with any
 * number of workers, whichever cases ran before.
 */
import { createHash } from 'node:crypto';

const BLOCK_BYTES = 1024;

export class CaseRandom {
	readonly #name: string;
	#block = new Uint8Array(0);
	#at = 0;
	#blocks = 0;

	constructor(seed: number, index: number) {
		this.#name = `${seed}/${index}`;
	}

	bytes(length: number): Uint8Array {
		const bytes = new Uint8Array(length);
		for (let done = 0; done < length; ) {
			if (this.#at === this.#block.byteLength) this.#refill();
			const part = this.#block.subarray(this.#at, this.#at + length - done);
			bytes.set(part, done);
			done += part.byteLength;
			this.#at += part.byteLength;
		}
		return bytes;
	}

	/** 0 ≤ n < limit. Its bias is below one in a million, which no fuzzer notices. */
	below(limit: number): number {
		const [a = 0, b = 0, c = 0, d = 0] = this.bytes(4);
		return (a * 2 ** 24 + b * 2 ** 16 + c * 2 ** 8 + d) % limit;
	}

	chance(percent: number): boolean {
		return this.below(100) < percent;
	}

	pick<T>(values: readonly [T, ...T[]]): T {
		return values[this.below(values.length)] ?? values[0];
	}

	#refill(): void {
		const hash = createHash('shake256', { outputLength: BLOCK_BYTES }).update(`${this.#name}/${this.#blocks++}`);
		this.#block = new Uint8Array(hash.digest());
		this.#at = 0;
	}
}
