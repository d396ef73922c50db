/** Commands and values of apps as msgpack. Only what members of the group wrote is ever decoded. */
import { Packr } from 'msgpackr/pack';

// Byte strings are copied out: a view would keep the whole message it came in alive.
const packr = new Packr({ useRecords: false, copyBuffers: true });

export function packValue(value: unknown): Uint8Array {
	return packr.pack(value);
}

/** Throws for bytes that are not msgpack. Byte strings come out as plain `Uint8Array`s. */
export function unpackValue(bytes: Uint8Array): unknown {
	return packr.unpack(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}
