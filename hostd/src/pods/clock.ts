/** Time for the pod manager; tests bring their own. */
export interface Clock {
	now(): number;
	/** Calls back once; disposing cancels. */
	after(delayMs: number, callback: () => void): Disposable;
}

export const systemClock: Clock = {
	now: () => Date.now(),
	after(delayMs, callback) {
		const timer = setTimeout(callback, delayMs);
		return { [Symbol.dispose]: () => clearTimeout(timer) };
	},
};
