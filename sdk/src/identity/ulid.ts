import { randomBytes } from 'node:crypto';

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** A ULID (48 bits of time, 80 of chance; github.com/ulid/spec). */
export function createUlid(nowMs: number, random: Uint8Array = randomBytes(10)): string {
	let bits = BigInt(nowMs);
	for (const byte of random) bits = (bits << 8n) | BigInt(byte);
	let out = '';
	for (let i = 0; i < 26; i++, bits >>= 5n) out = ALPHABET[Number(bits & 31n)] + out;
	return out;
}
