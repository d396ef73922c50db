/**
 * Decides when a silent remote is gone. A transport over UDP cannot tell a killed process from a quiet one for
 * seconds, so whoever is silent for a while is pinged, and gone when two pings stay unanswered. Anything received
 * counts as an answer, so busy sessions cost nothing.
 */
export interface Heartbeats {
	/** Silence after which a remote is pinged, and again after as long. */
	readonly pingEveryMs: number;
	/** Unanswered pings that make a verdict. */
	readonly misses: number;
}

export const HEARTBEATS: Heartbeats = { pingEveryMs: 500, misses: 2 };

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
	readonly #tickMs: number;
	#lastMs = performance.now();
	/** No silence is counted from before this moment. */
	#awakeMs = 0;

	constructor(config: Heartbeats, watched: () => Iterable<W>, onDead: (watched: W, silentMs: number) => void) {
		this.#config = config;
		this.#watched = watched;
		this.#onDead = onDead;
		// Twice per interval, so that a verdict is late by half an interval at most.
		this.#tickMs = config.pingEveryMs / 2;
		this.#timer = setInterval(() => this.#tick(performance.now()), this.#tickMs);
		this.#timer.unref();
	}

	stop(): void {
		clearInterval(this.#timer);
	}

	#tick(nowMs: number): void {
		// If we could not run, what the others sent may still be unread: judge them from now on only.
		if (nowMs - this.#lastMs > this.#tickMs * 2) this.#awakeMs = nowMs;
		this.#lastMs = nowMs;
		const { pingEveryMs, misses } = this.#config;
		for (const watched of this.#watched()) {
			if (!watched.open) continue;
			const heardMs = Math.max(watched.heardMs, this.#awakeMs);
			const silentMs = nowMs - heardMs;
			if (silentMs < pingEveryMs) continue;
			const pings = this.#pings.get(watched);
			const count = pings?.sinceMs === heardMs ? pings.count : 0;
			if (count >= misses && silentMs >= pingEveryMs * misses) {
				this.#onDead(watched, silentMs);
				continue;
			}
			this.#pings.set(watched, { sinceMs: heardMs, count: count + 1 });
			watched.ping(pingEveryMs * misses).then(undefined, () => undefined);
		}
	}
}
