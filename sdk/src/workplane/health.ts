/** Readiness of this replica: what the app says, what its checks find, and what still has to open. */
import { durationMs } from '../streams/rpc/duration.ts';
import type { Health } from './types.ts';

const EVERY_MS = 1000;
const TIMEOUT_MS = 1000;
/** As Kubernetes' `failureThreshold`. */
const FAILURES_MAX = 3;

export class HealthState implements Health {
	readonly #onChange: (ready: boolean) => void;
	readonly #reasons = new Set<string>(['starting']);
	readonly #stops = new Set<() => void>();
	#ready = false;

	constructor(onChange: (ready: boolean) => void) {
		this.#onChange = onChange;
	}

	get ready(): boolean {
		return this.#ready;
	}

	/** Holds readiness back until lifted: a reason is a name. */
	hold(reason: string): void {
		this.#reasons.add(reason);
		this.#update();
	}

	lift(reason: string): void {
		this.#reasons.delete(reason);
		this.#update();
	}

	setReady(ready: boolean): void {
		if (ready) this.lift('set by the app');
		else this.hold('set by the app');
	}

	check(
		name: string,
		probe: (signal: AbortSignal) => unknown,
		options: Parameters<Health['check']>[2] = {},
	): Disposable {
		const everyMs = durationMs(options.every ?? EVERY_MS);
		const timeoutMs = durationMs(options.timeout ?? TIMEOUT_MS);
		const reason = `check ${name}`;
		let failures = 0;
		let timer: NodeJS.Timeout | undefined;
		let stopped = false;
		const run = async (): Promise<void> => {
			try {
				const signal = AbortSignal.timeout(timeoutMs);
				await Promise.race([probe(signal), aborted(signal)]);
				failures = 0;
				if (!stopped) this.lift(reason);
			} catch {
				if (++failures >= FAILURES_MAX && !stopped) this.hold(reason);
			}
			if (!stopped) timer = setTimeout(() => void run(), everyMs);
		};
		const stop = (): void => {
			stopped = true;
			clearTimeout(timer);
			this.#stops.delete(stop);
			this.lift(reason);
		};
		this.#stops.add(stop);
		void run();
		return { [Symbol.dispose]: stop };
	}

	close(): void {
		this.hold('draining');
		for (const stop of [...this.#stops]) stop();
	}

	#update(): void {
		const ready = this.#reasons.size === 0;
		if (ready === this.#ready) return;
		this.#ready = ready;
		this.#onChange(ready);
	}
}

function aborted(signal: AbortSignal): Promise<never> {
	return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
}
