/**
 * A token bucket per sender. Looking is separate from spending, because on somebody's *claimed* account only a verified
 * message may spend: otherwise anybody could use up somebody else's rate with forgeries.
 */

export interface RateConfig {
	readonly perMinute: number;
	/** May come at once. */
	readonly burst: number;
}

const SENDERS_MAX = 4096;

export interface RateLimit {
	allows(sender: string, nowMs: number): boolean;
	spend(sender: string, nowMs: number): void;
}

export function createRateLimit(config: RateConfig): RateLimit {
	const buckets = new Map<string, { tokens: number; atMs: number }>();
	const tokensOf = (sender: string, nowMs: number): number => {
		const bucket = buckets.get(sender);
		if (bucket === undefined) return config.burst;
		const refilled = (Math.max(0, nowMs - bucket.atMs) * config.perMinute) / 60_000;
		return Math.min(config.burst, bucket.tokens + refilled);
	};
	return {
		allows: (sender, nowMs) => tokensOf(sender, nowMs) >= 1,
		spend(sender, nowMs) {
			const tokens = Math.max(0, tokensOf(sender, nowMs) - 1);
			buckets.delete(sender);
			buckets.set(sender, { tokens, atMs: nowMs });
			if (buckets.size <= SENDERS_MAX) return;
			// Only buckets that are full again say nothing; drop those first, then the one used longest ago.
			for (const [name] of buckets) if (tokensOf(name, nowMs) >= config.burst) buckets.delete(name);
			const [oldest] = buckets.keys();
			if (buckets.size > SENDERS_MAX && oldest !== undefined) buckets.delete(oldest);
		},
	};
}
