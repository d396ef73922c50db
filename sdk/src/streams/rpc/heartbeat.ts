/**
 * Decides when a silent remote is gone. A transport over UDP cannot tell a killed process from a quiet one for
 * seconds (measured: 4 s at an idle timeout of 3 s), so whoever is silent for an interval is pinged, and gone when the
 * answer does not come within the next. Anything received counts as an answer, so busy sessions cost nothing.
 */
export interface Heartbeats {
	/** An interval of silence after which a remote is pinged; each further one brings another ping. */
	readonly pingEveryMs: number;
	/** Silent intervals in a row that make a verdict. At least 2: the first is only the question. */
	readonly misses: number;
}

export const HEARTBEATS: Heartbeats = { pingEveryMs: 500, misses: 2 };

/** A verdict is late by a fifth of an interval at most. */
const TICKS_PER_INTERVAL = 5;

/** What is watched: a link. */
export interface Watched {
	readonly open: boolean;
	readonly heardMs: number;
	ping(timeoutMs: number): Promise<unknown>;
}

export class HeartbeatWatch<W extends Watched> {
	readonly #config: Heartbeats;
	readonly #watched: () => Iterable<W>;
	readonly #onDead: (watched: W, silentMs: number) => void;
	readonly #pings = new WeakMap<W, { sinceMs: number; count: number }>();
	readonly #timer: NodeJS.Timeout;
	#lastMs = performance.now();
	/** No silence is counted from before this moment. */
	#awakeMs = 0;

	constructor(config: Heartbeats, watched: () => Iterable<W>, onDead: (watched: W, silentMs: number) => void) {
		this.#config = config;
		this.#watched = watched;
		this.#onDead = onDead;
		this.#timer = setInterval(() => this.#tick(performance.now()), config.pingEveryMs / TICKS_PER_INTERVAL);
		this.#timer.unref();
	}

	stop(): void {
		clearInterval(this.#timer);
	}

	#tick(nowMs: number): void {
		const { pingEveryMs, misses } = this.#config;
		// If we could not run, what the others sent may still be unread: judge them from now on only.
		if (nowMs - this.#lastMs > pingEveryMs / 2) this.#awakeMs = nowMs;
		this.#lastMs = nowMs;
		for (const watched of this.#watched()) {
			if (!watched.open) continue;
			const heardMs = Math.max(watched.heardMs, this.#awakeMs);
			const silentMs = nowMs - heardMs;
			const pings = this.#pings.get(watched);
			const count = pings?.sinceMs === heardMs ? pings.count : 0;
			if (count > 0 && silentMs >= pingEveryMs * misses) this.#onDead(watched, silentMs);
			else if (silentMs >= pingEveryMs * (count + 1)) {
				this.#pings.set(watched, { sinceMs: heardMs, count: count + 1 });
				watched.ping(pingEveryMs * misses).then(undefined, () => undefined);
			}
		}
	}
}
