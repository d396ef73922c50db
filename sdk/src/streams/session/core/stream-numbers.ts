/** Numbers of streams that the other side opened: each is taken once, in about the order in which they were given. */
import { broken } from './records.ts';

/** How far behind the highest number a late one may be. Many more than can be open at once. */
const WINDOW = 4096;

export class StreamNumbers {
	#highest = 0;
	readonly #seen = new Set<number>();

	/** Throws for a number that was used, or may have been. */
	take(number: number): void {
		if (number < 1 || number <= this.#highest - WINDOW || this.#seen.has(number)) throw broken();
		this.#seen.add(number);
		if (number <= this.#highest) return;
		this.#highest = number;
		if (this.#seen.size <= 2 * WINDOW) return;
		for (const old of this.#seen) if (old <= number - WINDOW) this.#seen.delete(old);
	}
}

/** LEB128, at most 53 bits. */
export function encodeVarint(value: number): Uint8Array {
	const bytes: number[] = [];
	let rest = value;
	while (rest >= 0x80) {
		bytes.push((rest % 0x80) | 0x80);
		rest = Math.floor(rest / 0x80);
	}
	bytes.push(rest);
	return Uint8Array.from(bytes);
}

/** The value and its length; undefined when more bytes are needed. Throws for one not in its shortest form. */
export function decodeVarint(bytes: Uint8Array): { readonly value: number; readonly length: number } | undefined {
	let value = 0;
	for (let i = 0; i < 8; i++) {
		const byte = bytes[i];
		if (byte === undefined) return undefined;
		value += (byte & 0x7f) * 2 ** (7 * i);
		if (byte < 0x80) {
			if ((byte === 0 && i > 0) || !Number.isSafeInteger(value)) throw broken();
			return { value, length: i + 1 };
		}
	}
	throw broken();
}
