/**
 * Hand-packed little-endian bytes: a writer over one growing buffer, and a reader that never reads past its end.
 * Used for log records and for messages, which share the layout of entries.
 */
import { Buffer } from 'node:buffer';

const TWO_32 = 0x1_0000_0000;

export class ByteWriter {
	private buffer: Buffer;
	length = 0;

	constructor(capacity = 1024) {
		this.buffer = Buffer.allocUnsafe(capacity);
	}

	/** Forgets what was written and keeps the memory. Views taken before are overwritten by what comes next. */
	reset(): void {
		this.length = 0;
	}

	/** What was written, without a copy. Valid until the next write. */
	view(from = 0): Uint8Array {
		return this.buffer.subarray(from, this.length);
	}

	/** What was written, as bytes that nobody else holds. */
	take(): Uint8Array {
		return Uint8Array.prototype.slice.call(this.buffer, 0, this.length);
	}

	u8(value: number): void {
		this.reserve(1);
		this.buffer[this.length++] = value;
	}

	u32(value: number): void {
		this.reserve(4);
		this.buffer.writeUInt32LE(value, this.length);
		this.length += 4;
	}

	/** A natural number below 2^53. */
	u53(value: number): void {
		this.reserve(8);
		this.buffer.writeUInt32LE(value % TWO_32, this.length);
		this.buffer.writeUInt32LE(Math.floor(value / TWO_32), this.length + 4);
		this.length += 8;
	}

	raw(bytes: Uint8Array): void {
		this.reserve(bytes.length);
		this.buffer.set(bytes, this.length);
		this.length += bytes.length;
	}

	/** Length, then the bytes. */
	bytes(bytes: Uint8Array): void {
		this.u32(bytes.length);
		this.raw(bytes);
	}

	list(values: readonly number[]): void {
		this.u32(values.length);
		for (const value of values) this.u53(value);
	}

	zeros(count: number): void {
		this.reserve(count);
		this.buffer.fill(0, this.length, this.length + count);
		this.length += count;
	}

	/** Overwrites four bytes that were written before. */
	patchU32(at: number, value: number): void {
		this.buffer.writeUInt32LE(value, at);
	}

	private reserve(count: number): void {
		const need = this.length + count;
		if (need <= this.buffer.length) return;
		const grown = Buffer.allocUnsafe(Math.max(need, this.buffer.length * 2));
		this.buffer.copy(grown, 0, 0, this.length);
		this.buffer = grown;
	}
}

/** Thrown by {@link ByteReader} for bytes that cannot be what they claim. Caught where the bytes came in. */
export class MalformedBytes extends Error {
	override readonly name = 'MalformedBytes';
}

export class ByteReader {
	private readonly view: DataView;
	private readonly source: Uint8Array;
	position: number;
	readonly end: number;

	constructor(bytes: Uint8Array, from = 0, end = bytes.length) {
		this.source = bytes;
		this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
		this.position = from;
		this.end = end;
	}

	get left(): number {
		return this.end - this.position;
	}

	u8(): number {
		return this.view.getUint8(this.advance(1));
	}

	u32(): number {
		return this.view.getUint32(this.advance(4), true);
	}

	u53(): number {
		const at = this.advance(8);
		const high = this.view.getUint32(at + 4, true);
		if (high >= 0x20_0000) throw new MalformedBytes(`number above 2^53 at byte ${at}`);
		return high * TWO_32 + this.view.getUint32(at, true);
	}

	/** A view, not a copy. */
	raw(count: number): Uint8Array {
		const at = this.advance(count);
		return this.source.subarray(at, at + count);
	}

	bytes(): Uint8Array {
		return this.raw(this.u32());
	}

	list(): number[] {
		const count = this.u32();
		if (count * 8 > this.left) throw new MalformedBytes(`list of ${count} numbers in ${this.left} bytes`);
		const values: number[] = [];
		for (let i = 0; i < count; i++) values.push(this.u53());
		return values;
	}

	bool(): boolean {
		const value = this.u8();
		if (value > 1) throw new MalformedBytes(`flag ${value} at byte ${this.position - 1}`);
		return value === 1;
	}

	/** Bytes left over mean that we and the writer disagree about the layout. */
	finish(): void {
		if (this.left !== 0) throw new MalformedBytes(`${this.left} bytes left over at byte ${this.position}`);
	}

	private advance(count: number): number {
		const at = this.position;
		if (count > this.end - at) throw new MalformedBytes(`${count} bytes wanted at byte ${at} of ${this.end}`);
		this.position = at + count;
		return at;
	}
}
