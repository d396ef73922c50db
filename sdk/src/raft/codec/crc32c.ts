/**
 * CRC32C (Castagnoli, RFC 3720 B.4), eight bytes at a time. In JavaScript because most of our records are small:
 * below 200 bytes a call into native code costs more than the sum itself.
 */
const POLYNOMIAL = 0x82f63b78;
const table = (): Uint32Array => new Uint32Array(256);
const t0 = table();
const t1 = table();
const t2 = table();
const t3 = table();
const t4 = table();
const t5 = table();
const t6 = table();
const t7 = table();

for (let n = 0; n < 256; n++) {
	let c = n;
	for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ POLYNOMIAL : c >>> 1;
	t0[n] = c;
}
const chain = [t0, t1, t2, t3, t4, t5, t6, t7];
for (let k = 1; k < 8; k++) {
	const before = chain[k - 1] as Uint32Array;
	const next = chain[k] as Uint32Array;
	for (let n = 0; n < 256; n++) {
		const c = before[n] as number;
		next[n] = (c >>> 8) ^ (t0[c & 0xff] as number);
	}
}

/** The sum of `bytes[from, to)`, continued from `seed` (the sum of what came before it; 0 to begin). */
export function crc32c(bytes: Uint8Array, seed = 0, from = 0, to = bytes.length): number {
	// The casts are for `noUncheckedIndexedAccess`: every table has 256 slots and every subscript is one byte.
	let c = ~seed;
	let i = from;
	for (const last = to - 7; i < last; i += 8) {
		const word =
			c ^
			((bytes[i] as number) |
				((bytes[i + 1] as number) << 8) |
				((bytes[i + 2] as number) << 16) |
				((bytes[i + 3] as number) << 24));
		c =
			(t7[word & 0xff] as number) ^
			(t6[(word >>> 8) & 0xff] as number) ^
			(t5[(word >>> 16) & 0xff] as number) ^
			(t4[word >>> 24] as number) ^
			(t3[bytes[i + 4] as number] as number) ^
			(t2[bytes[i + 5] as number] as number) ^
			(t1[bytes[i + 6] as number] as number) ^
			(t0[bytes[i + 7] as number] as number);
	}
	for (; i < to; i++) c = (c >>> 8) ^ (t0[(c ^ (bytes[i] as number)) & 0xff] as number);
	return ~c >>> 0;
}
