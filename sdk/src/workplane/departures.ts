/**
 * Sends replicas away one after the other, each out of the Raft groups and of the epoch before it goes; ourselves
 * last, because who goes cannot see to the others.
 */
import type { Logger } from '../telemetry/index.ts';
import type { ReplicaId, SlotGen } from '../wire/index.ts';

export type Departing = SlotGen & { readonly replicaId: ReplicaId };

export interface DeparturesOptions {
	readonly self: ReplicaId;
	/** Resolves when no group and no epoch counts on it any more, and it has been told. */
	readonly dismiss: (replica: Departing, reason: string) => Promise<void>;
	readonly log: Logger;
}

export class Departures {
	readonly #options: DeparturesOptions;
	readonly #waiting = new Map<ReplicaId, { readonly replica: Departing; readonly reason: string }>();
	#isRunning = false;

	constructor(options: DeparturesOptions) {
		this.#options = options;
	}

	/** A second request for the same replica changes nothing until the first has been carried out. */
	add(replica: Departing, reason: string): void {
		this.#waiting.set(replica.replicaId, { replica, reason });
		if (!this.#isRunning) void this.#run();
	}

	async #run(): Promise<void> {
		const { self, dismiss, log } = this.#options;
		this.#isRunning = true;
		// All that are sent away together are known before the first goes.
		await Promise.resolve();
		while (this.#waiting.size > 0) {
			const all = [...this.#waiting.values()];
			const { replica, reason } = all.find((one) => one.replica.replicaId !== self) ?? (all[0] as (typeof all)[number]);
			const { slot, gen, replicaId } = replica;
			log.info('replica asked to leave', { slot, gen, reason });
			try {
				await dismiss(replica, reason);
			} catch (error) {
				log.warn('replica not sent away', { slot, gen, reason, error });
			}
			this.#waiting.delete(replicaId);
		}
		this.#isRunning = false;
	}
}
