/** When a crashed container starts again: at once the first time, then later and later, as Kubernetes does it. */
export interface BackoffConfig {
	/** Wait before the second restart. @default 10 s */
	readonly initialMs: number;
	/** Longest wait. @default 5 min */
	readonly maxMs: number;
	/** A container that ran this long is believed healthy: its next crash counts as the first. @default 10 min */
	readonly resetAfterMs: number;
}

export const BACKOFF: BackoffConfig = { initialMs: 10_000, maxMs: 300_000, resetAfterMs: 600_000 };

/** The wait before this restart, given the wait before the previous one and how long the container ran since. */
export function nextBackoffMs(previousMs: number | undefined, ranMs: number, config: BackoffConfig): number {
	if (previousMs === undefined || ranMs >= config.resetAfterMs) return 0;
	if (previousMs === 0) return config.initialMs;
	return Math.min(previousMs * 2, config.maxMs);
}
