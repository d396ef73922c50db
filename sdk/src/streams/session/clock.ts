/** Time as the drivers of sessions use it; tests bring their own. */
export interface Clock {
	/** Monotonic: a clock that is set must not make or break a session. */
	nowMs(): number;
	/** Calls back once; returns how to stop it. Does not keep the process alive. */
	after(delayMs: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
	nowMs: () => performance.now(),
	after: (delayMs, callback) => {
		const timer = setTimeout(callback, delayMs);
		timer.unref();
		return () => clearTimeout(timer);
	},
};
