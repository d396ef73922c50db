/** What every construction here needs of byte strings: their length checked. */
import { MeshError } from '../../errors.ts';

/** Refuses anything but `length` bytes with `invalid_input`. */
export function requireLength(bytes: Uint8Array, length: number, what: string): void {
	if (bytes instanceof Uint8Array && bytes.byteLength === length) return;
	const got = bytes instanceof Uint8Array ? `${bytes.byteLength}` : 'something else';
	throw new MeshError('invalid_input', `${what} has ${length} bytes, not ${got}`);
}
