/** Every kill and what came of it, told by the journal of the replicas that live on. */
import type { Journal, Running } from './journal.ts';

export type KillKind = 'kill' | 'stop' | 'pair' | 'again' | 'host';

export interface Kill {
	readonly kind: KillKind;
	readonly workload: string;
	readonly slot: number;
	readonly gen: number;
	readonly replicaId: string;
	/** When it stopped answering. */
	readonly atMs: number;
	/** The first survivor's verdict. */
	lostAtMs: number | undefined;
	/** The next generation of its slot became a member. */
	admittedAtMs: number | undefined;
	readyAtMs: number | undefined;
	/** It was itself ready again, started in place by its host. */
	backAtMs: number | undefined;
}

export interface Spread {
	readonly count: number;
	readonly p50: number;
	readonly p99: number;
	readonly max: number;
}

export class Ledger {
	readonly kills: Kill[] = [];
	/** Replicas by workload, slot and generation, of all that were admitted or ran. */
	readonly #holders = new Map<string, Set<string>>();

	constructor(journal: Journal) {
		journal.onLine(({ atMs, message, fields }, run) => {
			if (run === undefined) return;
			const { slot, gen, replicaId } = fields as { slot: number; gen: number; replicaId: string };
			if (message === 'campaign: lost') {
				const lost = this.#since(run.workload, atMs).filter((kill) => kill.replicaId === fields['lost']);
				for (const kill of lost) kill.lostAtMs ??= atMs;
			}
			if (message === 'replica admitted' || message === 'campaign: runs') {
				const at = `${run.workload} slot ${slot} generation ${gen}`;
				this.#holders.set(at, (this.#holders.get(at) ?? new Set()).add(replicaId));
				const ofSlot = this.#since(run.workload, atMs).filter((kill) => kill.slot === slot && kill.gen < gen);
				// One that came back in place and was killed again was replaced because of the later kill.
				for (const [i, kill] of ofSlot.entries())
					if (kill.backAtMs === undefined || i === ofSlot.length - 1) kill.admittedAtMs ??= atMs;
			}
			if (message === 'campaign: ready') {
				const ofSlot = this.#since(run.workload, atMs).filter((kill) => kill.slot === slot);
				for (const kill of ofSlot) {
					if (kill.gen < gen) kill.readyAtMs ??= atMs;
					else if (kill.gen === gen) kill.backAtMs ??= atMs;
				}
			}
		});
	}

	add(kind: KillKind, { workload, slot, gen, replicaId }: Running): void {
		const open = { lostAtMs: undefined, admittedAtMs: undefined, readyAtMs: undefined, backAtMs: undefined };
		this.kills.push({ kind, workload, slot, gen, replicaId, atMs: Date.now(), ...open });
	}

	/** What two replicas have held. */
	duplicates(): string[] {
		return [...this.#holders].filter(([, holders]) => holders.size > 1).map(([at]) => at);
	}

	#since(workload: string, atMs: number): Kill[] {
		return this.kills.filter((kill) => kill.workload === workload && kill.atMs <= atMs);
	}
}

export function spread(valuesMs: readonly number[]): Spread {
	const sorted = [...valuesMs].sort((a, b) => a - b);
	const at = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
	return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: sorted.at(-1) ?? 0 };
}

/** From the survivors' verdict to the admission of the next generation, where there was one. */
export function admittedAfterLoss(kills: readonly Kill[]): number[] {
	return kills.flatMap(({ lostAtMs, admittedAtMs }) =>
		lostAtMs === undefined || admittedAtMs === undefined ? [] : [admittedAtMs - lostAtMs],
	);
}
