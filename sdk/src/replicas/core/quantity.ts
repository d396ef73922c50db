/** Kubernetes quantities (`500m`, `64Mi`, `1e3`) as plain numbers. */
const SCALE: Readonly<Record<string, number>> = {
	n: 1e-9,
	u: 1e-6,
	m: 1e-3,
	'': 1,
	k: 1e3,
	M: 1e6,
	G: 1e9,
	T: 1e12,
	P: 1e15,
	E: 1e18,
	Ki: 2 ** 10,
	Mi: 2 ** 20,
	Gi: 2 ** 30,
	Ti: 2 ** 40,
	Pi: 2 ** 50,
	Ei: 2 ** 60,
};
const QUANTITY = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d{1,3})|([KMGTPE]i|[numkMGTPE])?)$/;

/** The number a quantity stands for, or undefined when it is none. */
export function parseQuantity(text: string): number | undefined {
	const match = QUANTITY.exec(text);
	if (match === null) return undefined;
	const [, digits, exponent, suffix] = match;
	const value = exponent === undefined ? Number(digits) * (SCALE[suffix ?? ''] ?? Number.NaN) : Number(`${digits}e${exponent}`);
	return Number.isFinite(value) ? value : undefined;
}
