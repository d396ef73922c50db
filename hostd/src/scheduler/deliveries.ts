/** What clients seal for the winners of their awards, waited for between the award and the call that carries both. */
import { MeshError } from '@beemesh/sdk/errors';
import type { Clock } from '../mesh/index.ts';

interface Waiting {
	readonly stop: () => void;
	resolve(sealed: Uint8Array): void;
	reject(error: MeshError): void;
}

export class Deliveries {
	readonly #clock: Clock;
	readonly #timeoutMs: number;
	readonly #waiting = new Map<string, Waiting>();

	constructor(clock: Clock, timeoutMs: number) {
		this.#clock = clock;
		this.#timeoutMs = timeoutMs;
	}

	/** Rejects with `deadline` when nothing comes in time, `cancelled` when the award is over. */
	wait(awardId: string): Promise<Uint8Array> {
		const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
		const stop = this.#clock.after(this.#timeoutMs, () => {
			this.#waiting.delete(awardId);
			const message = `whoever asked for this placement has not delivered the workload within ${this.#timeoutMs} ms`;
			reject(new MeshError('deadline', message, { applied: 'no' }));
		});
		this.#waiting.set(awardId, { stop, resolve, reject });
		return promise;
	}

	/** False: nobody waits for it. */
	settle(awardId: string, sealed: Uint8Array): boolean {
		const waiting = this.#taken(awardId);
		waiting?.resolve(sealed);
		return waiting !== undefined;
	}

	drop(awardId: string): void {
		this.#taken(awardId)?.reject(new MeshError('cancelled', 'the award is over', { applied: 'no' }));
	}

	close(): void {
		for (const awardId of [...this.#waiting.keys()]) this.drop(awardId);
	}

	#taken(awardId: string): Waiting | undefined {
		const waiting = this.#waiting.get(awardId);
		this.#waiting.delete(awardId);
		waiting?.stop();
		return waiting;
	}
}
