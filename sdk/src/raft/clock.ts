/** Time as the driver and the group take it. Tests hand in a virtual one; nothing else here reads a clock. */
export interface Clock {
	/** Milliseconds that never go back, from any origin. Elections and deadlines run on it. */
	nowMs(): number;
	/** Milliseconds since the epoch, which people and NTP may set. Only stamped into the log, never waited for. */
	wallMs(): number;
	/** Calls back once, unless disposed before. Does not keep the process alive. */
	after(delayMs: number, callback: () => void): Disposable;
}

export const systemClock: Clock = {
	nowMs: () => performance.now(),
	wallMs: () => Date.now(),
	after(delayMs, callback) {
		const timer = setTimeout(callback, delayMs);
		timer.unref();
		return { [Symbol.dispose]: () => clearTimeout(timer) };
	},
};
