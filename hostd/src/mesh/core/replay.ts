/**
 * Remembers (sender, nonce) for longer than twice the accepted skew, so that a captured message counts once. A sender
 * whose memory is full is refused rather than forgotten: an attacker must not be able to flush his own traces.
 */

export interface ReplayConfig {
	/** Default 5.5 min: twice the skew of 30 s, and room for slow clocks. */
	readonly windowMs: number;
	/** Default 2,048. */
	readonly noncesPerSenderMax: number;
	/** Senders remembered at a time; beyond that new ones are refused. Default 65,536. */
	readonly sendersMax: number;
}

export const DEFAULT_REPLAY: ReplayConfig = { windowMs: 330_000, noncesPerSenderMax: 2048, sendersMax: 65_536 };

export type ReplayVerdict = 'fresh' | 'replayed' | 'full';

export interface ReplayCache {
	/** Looks up; changes nothing that matters. Call before the costly checks. */
	check(sender: string, nonce: string, nowMs: number): ReplayVerdict;
	/** Remembers. Call once everything else has been verified: a forgery must not spend somebody's nonce. */
	commit(sender: string, nonce: string, nowMs: number): ReplayVerdict;
}

export function createReplayCache(config: ReplayConfig = DEFAULT_REPLAY): ReplayCache {
	// Insertion order is order of time, so expiry takes from the front.
	const senders = new Map<string, Map<string, number>>();

	const prune = (sender: string, nowMs: number): Map<string, number> | undefined => {
		const seen = senders.get(sender);
		if (seen === undefined) return undefined;
		for (const [nonce, atMs] of seen) {
			if (nowMs - atMs < config.windowMs) break;
			seen.delete(nonce);
		}
		if (seen.size > 0) return seen;
		senders.delete(sender);
		return undefined;
	};

	const check = (sender: string, nonce: string, nowMs: number): ReplayVerdict => {
		const seen = prune(sender, nowMs);
		if (seen?.has(nonce)) return 'replayed';
		if (seen !== undefined) return seen.size >= config.noncesPerSenderMax ? 'full' : 'fresh';
		if (senders.size < config.sendersMax) return 'fresh';
		for (const other of [...senders.keys()]) prune(other, nowMs);
		return senders.size < config.sendersMax ? 'fresh' : 'full';
	};

	return {
		check,
		commit(sender, nonce, nowMs) {
			const verdict = check(sender, nonce, nowMs);
			if (verdict !== 'fresh') return verdict;
			const seen = senders.get(sender) ?? new Map<string, number>();
			seen.set(nonce, nowMs);
			senders.set(sender, seen);
			return 'fresh';
		},
	};
}
