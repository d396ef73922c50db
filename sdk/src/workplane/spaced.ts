/** Does what is asked for often and costs more each time: soon, once for all who ask meanwhile, one after the other. */

export interface SpacedOptions {
	/** Must not reject. */
	readonly act: () => Promise<void>;
	/** Before it is done at all: changes in quick succession are one. @default 0 */
	readonly soonMs?: number;
	/** From one time to the next, as of now. */
	readonly spacingMs: () => number;
}

export class Spaced {
	readonly #options: SpacedOptions;
	#timer: NodeJS.Timeout | undefined;
	#actedAtMs = Number.NEGATIVE_INFINITY;
	#acting: Promise<void> = Promise.resolve();
	#closed = false;

	constructor(options: SpacedOptions) {
		this.#options = options;
	}

	ask(): void {
		if (this.#closed || this.#timer !== undefined) return;
		const { soonMs = 0, spacingMs } = this.#options;
		this.#arm(Math.max(performance.now() + soonMs, this.#actedAtMs + spacingMs()));
	}

	/** Timers count from when the event loop last looked at the clock: one may fire before its time. */
	#arm(dueMs: number): void {
		this.#timer = setTimeout(() => {
			if (performance.now() < dueMs) this.#arm(dueMs);
			else void this.now();
		}, dueMs - performance.now());
	}

	/** At once, or as soon as what is under way is done. */
	now(): Promise<void> {
		clearTimeout(this.#timer);
		this.#timer = undefined;
		this.#acting = this.#acting.then(() => {
			this.#actedAtMs = performance.now();
			return this.#options.act();
		});
		return this.#acting;
	}

	close(): void {
		this.#closed = true;
		clearTimeout(this.#timer);
	}
}
