/** All chance of one simulated run comes from one seed, so that a failure replays. */
export interface Random {
	/** Uniform in [0, 1). */
	(): number;
	/** Integer in [low, high]. */
	int(low: number, high: number): number;
	chance(probability: number): boolean;
	pick<T>(items: readonly T[]): T;
	shuffle<T>(items: readonly T[]): T[];
}

/** sfc32: small, fast, and good enough to pass the usual batteries. */
export function randomFrom(seed: number): Random {
	let a = seed >>> 0;
	let b = Math.floor(seed / 2 ** 32) >>> 0;
	let c = 0x9e3779b9;
	let counter = 1;
	const next = () => {
		const sum = (a + b + counter) | 0;
		counter = (counter + 1) | 0;
		a = b ^ (b >>> 9);
		b = (c + (c << 3)) | 0;
		c = ((c << 21) | (c >>> 11)) + sum;
		return (sum >>> 0) / 2 ** 32;
	};
	// Neighbouring seeds start alike; after a few rounds they have nothing in common.
	for (let i = 0; i < 12; i++) next();
	const int = (low: number, high: number) => low + Math.floor(next() * (high - low + 1));
	return Object.assign(next, {
		int,
		chance: (probability: number) => next() < probability,
		pick: <T>(items: readonly T[]): T => {
			if (items.length === 0) throw new Error('nothing to pick from');
			return items[int(0, items.length - 1)] as T;
		},
		shuffle: <T>(items: readonly T[]): T[] => {
			const result = [...items];
			for (let i = result.length - 1; i > 0; i--) {
				const j = int(0, i);
				[result[i], result[j]] = [result[j] as T, result[i] as T];
			}
			return result;
		},
	});
}
