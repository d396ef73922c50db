/**
 * Which replica a call goes to: of two at random the one with less latency-weighted load (Mitzenmacher 2001, "the power
 * of two choices"), and a budget that keeps retries from multiplying an overload.
 */
import type { PeerId } from '../wire/index.ts';

const WEIGHT = 0.2;
/** A replica never called yet is taken for a fast one, so that it gets its first call. */
const UNKNOWN_MS = 1;
const FAILURES_MAX = 3;
const EJECT_MS = 1000;

interface Load {
	ewmaMs: number;
	inflight: number;
	failures: number;
	ejectedUntilMs: number;
}

export class Balancer {
	readonly #loads = new Map<PeerId, Load>();

	/** One of the candidates; those that failed of late only when there are no others. */
	pick<T extends { readonly peer: PeerId }>(candidates: readonly T[], nowMs = performance.now()): T | undefined {
		const healthy = candidates.filter(({ peer }) => (this.#loads.get(peer)?.ejectedUntilMs ?? 0) <= nowMs);
		const pool = healthy.length > 0 ? healthy : candidates;
		if (pool.length <= 1) return pool[0];
		const first = Math.floor(Math.random() * pool.length);
		const second = (first + 1 + Math.floor(Math.random() * (pool.length - 1))) % pool.length;
		const [a, b] = [pool[first], pool[second]];
		if (a === undefined || b === undefined) return a ?? b;
		return this.#cost(a.peer) <= this.#cost(b.peer) ? a : b;
	}

	/** Counts a call; call the result when it ends (only the first time counts). `failed`: the replica could not answer. */
	begin(peer: PeerId): (failed: boolean) => void {
		const load = this.#load(peer);
		const startMs = performance.now();
		let ended = false;
		load.inflight++;
		return (failed) => {
			if (ended) return;
			ended = true;
			load.inflight--;
			const nowMs = performance.now();
			if (failed) {
				if (++load.failures >= FAILURES_MAX) load.ejectedUntilMs = nowMs + EJECT_MS;
				return;
			}
			load.failures = 0;
			load.ejectedUntilMs = 0;
			load.ewmaMs = load.ewmaMs === 0 ? nowMs - startMs : load.ewmaMs * (1 - WEIGHT) + (nowMs - startMs) * WEIGHT;
		};
	}

	/** Forgets replicas that are gone. */
	retain(peers: ReadonlySet<PeerId>): void {
		for (const peer of this.#loads.keys()) if (!peers.has(peer)) this.#loads.delete(peer);
	}

	#cost(peer: PeerId): number {
		const load = this.#loads.get(peer);
		return (load?.ewmaMs || UNKNOWN_MS) * ((load?.inflight ?? 0) + 1);
	}

	#load(peer: PeerId): Load {
		let load = this.#loads.get(peer);
		if (load === undefined) this.#loads.set(peer, (load = { ewmaMs: 0, inflight: 0, failures: 0, ejectedUntilMs: 0 }));
		return load;
	}
}

/** Retries allowed: 20 % of calls, and 10 per second on top. */
export class RetryBudget {
	#tokens = 10;
	#filledMs = performance.now();

	onCall(): void {
		this.#tokens = Math.min(100, this.#tokens + 0.2);
	}

	take(nowMs = performance.now()): boolean {
		this.#tokens = Math.min(100, this.#tokens + ((nowMs - this.#filledMs) / 1000) * 10);
		this.#filledMs = nowMs;
		if (this.#tokens < 1) return false;
		this.#tokens--;
		return true;
	}
}
