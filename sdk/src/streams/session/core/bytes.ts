/** Fixed binary layouts: big endian, lengths checked, nothing optional, so that each value has one encoding. */
import { MeshError } from '../../../errors.ts';
import { concat } from '../../../wire/bytes.ts';

export const EMPTY = new Uint8Array(0);

/** Names and labels here are ASCII by construction; anything else would have two spellings. */
export function ascii(text: string): Uint8Array {
	const bytes = new Uint8Array(text.length);
	for (let i = 0; i < text.length; i++) {
		const code = text.charCodeAt(i);
		if (code > 0x7e || code < 0x20) throw new MeshError('invalid_input', `'${text}' is not printable ASCII`);
		bytes[i] = code;
	}
	return bytes;
}

/** In time that depends on the length only. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
	if (a.byteLength !== b.byteLength) return false;
	let difference = 0;
	for (let i = 0; i < a.byteLength; i++) difference |= (a[i] as number) ^ (b[i] as number);
	return difference === 0;
}

export function malformed(what: string): MeshError {
	return new MeshError('invalid_input', `BMS/1: malformed ${what}`);
}

export class Writer {
	readonly #parts: Uint8Array[] = [];

	u8(value: number): this {
		return this.bytes(Uint8Array.of(value));
	}

	u16(value: number): this {
		return this.bytes(Uint8Array.of(value >>> 8, value));
	}

	u32(value: number): this {
		return this.bytes(Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value));
	}

	/** Of safe integers only. */
	u64(value: number): this {
		return this.u32(Math.floor(value / 2 ** 32)).u32(value >>> 0);
	}

	bytes(part: Uint8Array): this {
		this.#parts.push(part);
		return this;
	}

	/** With a length of one byte before it. */
	short(part: Uint8Array): this {
		if (part.byteLength > 0xff) throw new MeshError('invalid_input', `${part.byteLength} bytes where 255 are allowed`);
		return this.u8(part.byteLength).bytes(part);
	}

	/** With a length of two bytes before it. */
	long(part: Uint8Array): this {
		if (part.byteLength > 0xffff) throw new MeshError('invalid_input', `${part.byteLength} bytes where 65535 fit`);
		return this.u16(part.byteLength).bytes(part);
	}

	text(value: string): this {
		return this.short(ascii(value));
	}

	done(): Uint8Array {
		return concat(...this.#parts);
	}
}

export class Reader {
	readonly #bytes: Uint8Array;
	readonly #what: string;
	#at = 0;

	constructor(bytes: Uint8Array, what: string) {
		this.#bytes = bytes;
		this.#what = what;
	}

	/** How far we have read. */
	get at(): number {
		return this.#at;
	}

	u8(): number {
		return this.bytes(1)[0] as number;
	}

	u16(): number {
		return this.u8() * 256 + this.u8();
	}

	u32(): number {
		return this.u16() * 65_536 + this.u16();
	}

	u64(): number {
		const value = this.u32() * 2 ** 32 + this.u32();
		if (!Number.isSafeInteger(value)) throw malformed(this.#what);
		return value;
	}

	/** A view, not a copy. */
	bytes(length: number): Uint8Array {
		const end = this.#at + length;
		if (end > this.#bytes.byteLength) throw malformed(this.#what);
		const part = this.#bytes.subarray(this.#at, end);
		this.#at = end;
		return part;
	}

	short(lengthMax: number): Uint8Array {
		return this.bytes(this.#length(this.u8(), lengthMax));
	}

	long(lengthMax: number): Uint8Array {
		return this.bytes(this.#length(this.u16(), lengthMax));
	}

	text(lengthMax: number): string {
		const bytes = this.short(lengthMax);
		let text = '';
		for (const code of bytes) {
			if (code > 0x7e || code < 0x20) throw malformed(this.#what);
			text += String.fromCharCode(code);
		}
		return text;
	}

	/** Nothing may follow. */
	end(): void {
		if (this.#at !== this.#bytes.byteLength) throw malformed(this.#what);
	}

	#length(length: number, lengthMax: number): number {
		if (length > lengthMax) throw malformed(this.#what);
		return length;
	}
}
