/** Time as drivers take it, and the one timer that a quiet core needs. */

export interface Clock {
	/** Milliseconds since the epoch. */
	nowMs(): number;
	/** Calls back once; returns how to stop it. Does not keep the process alive. */
	after(ms: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
	nowMs: () => Date.now(),
	after(ms, callback) {
		const timer = setTimeout(callback, ms);
		timer.unref();
		return () => clearTimeout(timer);
	},
};

/** Longest time that a timer can be set for. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** A timer at a core's next deadline: set it again after every step. */
export interface Alarm {
	set(deadlineMs: number | undefined): void;
}

export function createAlarm(clock: Clock, ring: () => void): Alarm {
	let setFor: number | undefined;
	let stop: (() => void) | undefined;
	return {
		set(deadlineMs) {
			if (deadlineMs === setFor) return;
			stop?.();
			stop = undefined;
			setFor = deadlineMs;
			if (deadlineMs === undefined) return;
			const ms = Math.min(TIMER_MAX_MS, Math.max(0, Math.ceil(deadlineMs - clock.nowMs())));
			stop = clock.after(ms, () => {
				setFor = undefined;
				stop = undefined;
				ring();
			});
		},
	};
}
