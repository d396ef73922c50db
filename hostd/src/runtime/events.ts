/** Fan-out of runtime events. A listener that throws must not starve the others or kill the daemon's exit watch. */
import type { RuntimeEvent } from './runtime.ts';

export class RuntimeEvents {
	readonly #listeners = new Set<(event: RuntimeEvent) => void>();

	subscribe(listener: (event: RuntimeEvent) => void): Disposable {
		const own = (event: RuntimeEvent) => listener(event);
		this.#listeners.add(own);
		return { [Symbol.dispose]: () => void this.#listeners.delete(own) };
	}

	emit(event: RuntimeEvent): void {
		for (const listener of [...this.#listeners]) {
			try {
				listener(event);
			} catch (error) {
				queueMicrotask(() => {
					throw error;
				});
			}
		}
	}
}
