/** Alterations that know the encodings they alter, so that decoders are met at their edges and not only at random. */
import { ML_DSA_65, ML_KEM_768 } from '../../../sdk/src/identity/suite/backend.ts';
import type { CaseRandom } from '../random.ts';

// A signature of ML-DSA-65 (FIPS 204 §7.2): challenge, 5 × 256 coefficients of 20 bits, 55 hints with 6 counters.
const CHALLENGE_BYTES = 48;
const Z_END = CHALLENGE_BYTES + 5 * 640;
const HINTS_MAX = 55;
// A key of ML-KEM-768 (FIPS 203 §5.1): 3 × 256 coefficients of 12 bits, then the seed of the matrix.
const COEFFICIENTS = 768;
const MODULUS = 3329;

export function flipBit(random: CaseRandom, bytes: Uint8Array, from = 0, to = bytes.byteLength): Uint8Array {
	const altered = bytes.slice();
	const at = from + random.below(to - from);
	altered[at] = (altered[at] ?? 0) ^ (1 << random.below(8));
	return altered;
}

/** A few bytes more or less, or none at all. */
export function resize(random: CaseRandom, bytes: Uint8Array): Uint8Array {
	const length = random.chance(10) ? 0 : bytes.byteLength + random.pick([-64, -32, -1, 1, 32, 64]);
	const altered = new Uint8Array(Math.max(0, length));
	altered.set(bytes.subarray(0, altered.byteLength));
	return altered;
}

export function alterMlDsaSignature(random: CaseRandom, signature: Uint8Array): Uint8Array {
	const altered = signature.slice();
	const hints = altered.subarray(Z_END);
	switch (random.below(10)) {
		case 0:
			return flipBit(random, signature, 0, CHALLENGE_BYTES);
		case 1:
			return flipBit(random, signature, CHALLENGE_BYTES, Z_END);
		case 2:
			return flipBit(random, signature, Z_END);
		case 3: {
			// Two coefficients of z at an end of their range, beyond the norm of FIPS 204 algorithm 8.
			const at = CHALLENGE_BYTES + 5 * random.below(640);
			return altered.fill(random.pick([0x00, 0xff]), at, at + 5);
		}
		case 4: {
			// Two hints in the wrong order, or one given twice.
			const at = random.below(HINTS_MAX - 1);
			const [first = 0, second = 0] = hints.subarray(at);
			hints.set(random.chance(50) ? [second, first] : [first, first], at);
			return altered;
		}
		case 5:
			hints[HINTS_MAX + random.below(6)] = random.pick([0, 1, HINTS_MAX, HINTS_MAX + 1, 0xff]);
			return altered;
		case 6: {
			// What follows the last hint must be zero.
			const used = hints[HINTS_MAX + 5] ?? 0;
			if (used < HINTS_MAX) hints[used + random.below(HINTS_MAX - used)] = 1 + random.below(255);
			return altered;
		}
		case 7:
			hints.fill(0);
			return altered;
		case 8:
			return resize(random, signature);
		default:
			return random.bytes(ML_DSA_65.signature);
	}
}

/** With one coefficient set, mostly to a value at or beyond the modulus, or of another length, or just random. */
export function alterMlKemKey(random: CaseRandom, key: Uint8Array): Uint8Array {
	const kind = random.below(10);
	if (kind === 0) return resize(random, key);
	if (kind === 1) return random.bytes(ML_KEM_768.publicKey);
	if (kind === 2) return new Uint8Array(ML_KEM_768.publicKey).fill(random.pick([0x00, 0xff]));
	if (kind === 3) return flipBit(random, key);
	const edges = [0, MODULUS - 1, MODULUS, MODULUS + 1, 0xfff] as const;
	const value = random.chance(60) ? random.pick(edges) : random.below(4096);
	return setCoefficient(key, random.below(COEFFICIENTS), value);
}

function setCoefficient(key: Uint8Array, coefficient: number, value: number): Uint8Array {
	const altered = key.slice();
	const at = 3 * (coefficient >> 1);
	const [low = 0, middle = 0, high = 0] = altered.subarray(at);
	const bytes =
		coefficient % 2 === 0
			? [value & 0xff, (middle & 0xf0) | (value >> 8), high]
			: [low, (middle & 0x0f) | ((value & 0x0f) << 4), value >> 4];
	altered.set(bytes, at);
	return altered;
}

export function alterMlKemCiphertext(random: CaseRandom, ciphertext: Uint8Array): Uint8Array {
	switch (random.below(8)) {
		case 0:
			return resize(random, ciphertext);
		case 1:
			return random.bytes(ML_KEM_768.ciphertext);
		case 2:
			return new Uint8Array(ML_KEM_768.ciphertext).fill(random.pick([0x00, 0xff]));
		default:
			return flipBit(random, ciphertext);
	}
}
