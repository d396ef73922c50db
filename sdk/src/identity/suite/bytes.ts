/** What every construction here needs of byte strings: their length checked, and joined into one. */
import { MeshError } from '../../errors.ts';

/** Refuses anything but `length` bytes with `invalid_input`. */
export function requireLength(bytes: Uint8Array, length: number, what: string): void {
	if (bytes instanceof Uint8Array && bytes.byteLength === length) return;
	const got = bytes instanceof Uint8Array ? `${bytes.byteLength}` : 'something else';
	throw new MeshError('invalid_input', `${what} has ${length} bytes, not ${got}`);
}

/** A plain Uint8Array of its own memory, never a Buffer of a shared pool. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
	let length = 0;
	for (const part of parts) length += part.byteLength;
	const whole = new Uint8Array(length);
	let at = 0;
	for (const part of parts) {
		whole.set(part, at);
		at += part.byteLength;
	}
	return whole;
}
