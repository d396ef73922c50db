/** Numbers that look random and come again with the same seed (mulberry32). */
export interface Random {
	/** From 0 up to, not including, `end`. */
	below(end: number): number;
	between(low: number, high: number): number;
	pick<T>(items: readonly T[]): T;
}

export function seededRandom(seed: number): Random {
	let state = seed >>> 0;
	const next = (): number => {
		state = (state + 0x6d2b79f5) >>> 0;
		let t = state;
		t = Math.imul(t ^ (t >>> 15), t | 1);
		t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
		return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
	};
	const below = (end: number): number => Math.floor(next() * end);
	return {
		below,
		between: (low, high) => low + below(high - low),
		pick(items) {
			const item = items[below(items.length)];
			if (item === undefined) throw new Error('nothing to pick from');
			return item;
		},
	};
}
