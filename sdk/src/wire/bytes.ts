/** Byte strings joined into one. */

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
