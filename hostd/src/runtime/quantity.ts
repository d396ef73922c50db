/** Kubernetes quantities (`500m`, `64Mi`, `1e3`) as plain numbers. Pure. */
import { MeshError } from '@beemesh/sdk/wire';

const SUFFIX: Readonly<Record<string, number>> = {
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

/** Parses a quantity; `field` is the path named in the refusal. */
export function parseQuantity(text: string, field: string): number {
	const match = /^([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:([eE][+-]?[0-9]{1,3})|(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]))?$/.exec(text);
	const value = match ? Number(`${match[1]}${match[2] ?? ''}`) * (SUFFIX[match[3] ?? ''] ?? Number.NaN) : Number.NaN;
	if (!Number.isFinite(value)) {
		throw new MeshError('invalid_input', `${field}: '${text}' is not a quantity such as 500m, 64Mi or 2`);
	}
	return value;
}
