/**
 * Peers that dialed this host and were refused: counted by reason, and told to the operator, each with its reason once a
 * minute. Peer IDs cost nothing, so beyond so many in a minute the rest is only counted.
 */
import type { Refused } from '@beemesh/sdk/streams/libp2p';
import type { Logger, Metrics } from '@beemesh/sdk/telemetry';
import type { Clock } from './clock.ts';

const QUIET_MS = 60_000;
const NAMED_MAX = 256;

export function createRefusalLog(components: {
	readonly logger: Logger;
	readonly metrics: Metrics;
	readonly clock: Pick<Clock, 'nowMs'>;
}): (refusal: Refused) => void {
	const { logger, metrics, clock } = components;
	/** Logged in the last minute, oldest first; how often since. */
	const named = new Map<string, { readonly atMs: number; repeats: number }>();
	let saidFullAtMs = Number.NEGATIVE_INFINITY;

	return ({ remote, address, reason, error }) => {
		metrics.count('beemesh_sessions_refused_total', { reason });
		const nowMs = clock.nowMs();
		const key = `${reason} ${remote ?? address}`;
		const known = named.get(key);
		if (known !== undefined && nowMs < known.atMs + QUIET_MS) {
			known.repeats++;
			return;
		}
		named.delete(key);
		for (const [other, { atMs }] of named) {
			if (nowMs < atMs + QUIET_MS) break;
			named.delete(other);
		}
		if (named.size >= NAMED_MAX) {
			if (nowMs < saidFullAtMs + QUIET_MS) return;
			saidFullAtMs = nowMs;
			logger.warn('more peers are refused than are named here: see beemesh_sessions_refused_total', { reason });
			return;
		}
		named.set(key, { atMs: nowMs, repeats: 0 });
		// One that goes away in mid-handshake may have been stopped; the rest is for somebody to mend.
		const say = reason === 'unfinished' ? logger.info : logger.warn;
		say.call(logger, 'refused a peer that dialed us', {
			peer: remote ?? 'unknown',
			address: address ?? 'loopback',
			reason,
			error,
			...(known === undefined || known.repeats === 0 ? {} : { repeats: known.repeats }),
		});
	};
}
