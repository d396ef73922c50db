/** A clock that goes when the test says so. */
import type { Clock } from '../clock.ts';

export class TestClock implements Clock {
	#nowMs = 0;
	readonly #timers = new Set<{ readonly dueMs: number; readonly callback: () => void }>();

	nowMs(): number {
		return this.#nowMs;
	}

	after(delayMs: number, callback: () => void): () => void {
		const timer = { dueMs: this.#nowMs + delayMs, callback };
		this.#timers.add(timer);
		return () => this.#timers.delete(timer);
	}

	get pendingTimers(): number {
		return this.#timers.size;
	}

	/** Runs what falls due, in order. */
	advance(ms: number): void {
		const endMs = this.#nowMs + ms;
		for (;;) {
			const [next] = [...this.#timers].filter(({ dueMs }) => dueMs <= endMs).sort((a, b) => a.dueMs - b.dueMs);
			if (next === undefined) break;
			this.#timers.delete(next);
			this.#nowMs = Math.max(this.#nowMs, next.dueMs);
			next.callback();
		}
		this.#nowMs = endMs;
	}
}
