/**
 * Kubernetes quantities (`500m`, `1.5`, `128Mi`, `2e3`) as whole numbers, rounded up, without floating point: a request
 * must never shrink because 1.1 has no exact binary form.
 */
import { MeshError } from '../../errors.ts';

const SHAPE = /^\+?(\d+\.?\d*|\.\d+)(?:[eE]([+-]?\d{1,3})|([numkMGTPE])|([KMGTPE])i)?$/;
const DECIMAL: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
const BINARY = 'KMGTPE';

/** The quantity times `scale` (a power of ten, given by its exponent), rounded up. Throws `invalid_input` naming `field`. */
export function parseQuantity(text: string, field: string, scaleExponent = 0): number {
	const match = SHAPE.exec(text);
	if (match === null) {
		throw new MeshError('invalid_input', `${field}: '${text}' is not a quantity such as 500m, 1.5 or 128Mi`);
	}
	const [, number = '', exponent, decimal, binary] = match;
	const point = number.indexOf('.');
	const fractionDigits = point < 0 ? 0 : number.length - point - 1;
	let mantissa = BigInt(number.replace('.', '') || '0');
	let power = scaleExponent - fractionDigits;
	if (exponent !== undefined) power += Number(exponent);
	if (decimal !== undefined) power += DECIMAL[decimal] ?? 0;
	if (binary !== undefined) mantissa *= 1024n ** BigInt(BINARY.indexOf(binary) + 1);
	if (power > 64) throw tooLarge(text, field);
	const value = power >= 0 ? mantissa * 10n ** BigInt(power) : divideUp(mantissa, 10n ** BigInt(-power));
	if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw tooLarge(text, field);
	return Number(value);
}

/** Thousandths of a core. */
export function parseCpuMillis(text: string, field: string): number {
	return parseQuantity(text, field, 3);
}

function divideUp(a: bigint, b: bigint): bigint {
	return (a + b - 1n) / b;
}

function tooLarge(text: string, field: string): MeshError {
	return new MeshError('invalid_input', `${field}: '${text}' is larger than any machine`);
}
