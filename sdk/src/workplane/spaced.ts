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
		const waitMs = Math.max(soonMs, this.#actedAtMs + spacingMs() - performance.now());
		this.#timer = setTimeout(() => void this.now(), waitMs);
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
