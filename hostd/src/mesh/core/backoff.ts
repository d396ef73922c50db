/** How long to wait before the next try: doubling, with chance handed in so that many do not try at once. */
export interface Backoff {
	/** Milliseconds until the next try, given chance in [0, 1). */
	next(random: number): number;
	reset(): void;
}

export function createBackoff(minMs: number, maxMs: number): Backoff {
	let tries = 0;
	return {
		next(random) {
			const ceilingMs = Math.min(maxMs, minMs * 2 ** Math.min(tries++, 30));
			return Math.max(minMs, Math.floor(ceilingMs * (0.5 + random / 2)));
		},
		reset() {
			tries = 0;
		},
	};
}
