/** Byte strings copied and joined. */

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

/** A plain Uint8Array of its own memory. Not `slice()`: that of a Buffer, as sockets and ciphers give, is a view. */
export function copyOf(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
	return new Uint8Array(bytes);
}
