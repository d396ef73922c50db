/**
 * A disk that finishes writes in order, each after a while, sometimes several with one sync. A crash keeps what was
 * finished and, by chance, some of the writes that were under way: the oldest ones, each whole.
 */
import type { Entry, HardState, PersistEffect, SnapshotMeta } from '../core/index.ts';
import type { Machine } from './machine.ts';
import type { Random } from './random.ts';
import type { Schedule } from './schedule.ts';

export interface StoredSnapshot {
	readonly meta: SnapshotMeta;
	readonly machine: Machine;
}

interface Write {
	readonly effect: PersistEffect;
	readonly snapshot: StoredSnapshot | undefined;
	readonly finished: () => void;
}

export class Disk {
	hardState: HardState | undefined;
	snapshot: StoredSnapshot | undefined;
	/** Contiguous, after the snapshot. */
	entries: Entry[] = [];
	isSlow = false;
	readonly #random: Random;
	readonly #schedule: Schedule;
	#pending: Write[] = [];
	#isSyncing = false;
	/** Raised by a crash, so that syncs of the past finish nothing. */
	#life = 0;

	constructor(random: Random, schedule: Schedule) {
		this.#random = random;
		this.#schedule = schedule;
	}

	write(effect: PersistEffect, snapshot: StoredSnapshot | undefined, finished: () => void): void {
		this.#pending.push({ effect, snapshot, finished });
		this.#sync();
	}

	#sync(): void {
		if (this.#isSyncing || this.#pending.length === 0) return;
		this.#isSyncing = true;
		const count = this.#random.int(1, this.#pending.length);
		const life = this.#life;
		const latencyMs = this.isSlow ? 20 + this.#random() * 200 : 0.1 + this.#random() * 2;
		this.#schedule.after(latencyMs, () => {
			if (life !== this.#life) return;
			const done = this.#pending.splice(0, count);
			for (const write of done) this.#store(write);
			this.#isSyncing = false;
			for (const { finished } of done) finished();
			this.#sync();
		});
	}

	#store({ effect, snapshot }: Write): void {
		if (effect.hardState !== undefined) this.hardState = effect.hardState;
		if (snapshot !== undefined) {
			this.snapshot = snapshot;
			this.entries = [];
		}
		const first = effect.entries[0];
		if (first === undefined) return;
		const keep = first.index - 1 - (this.snapshot?.meta.index ?? 0);
		if (keep < 0 || keep > this.entries.length) throw new Error(`a write does not fit the log at entry ${first.index}`);
		this.entries.length = keep;
		this.entries.push(...effect.entries);
	}

	/** A snapshot taken here replaces the entries it covers. */
	compact(snapshot: StoredSnapshot): void {
		const covered = snapshot.meta.index - (this.snapshot?.meta.index ?? 0);
		if (covered <= 0) return;
		this.snapshot = snapshot;
		this.entries = this.entries.slice(covered);
	}

	crash(): void {
		const survivors = this.#random.int(0, this.#pending.length);
		for (const write of this.#pending.slice(0, survivors)) this.#store(write);
		this.#pending = [];
		this.#isSyncing = false;
		this.#life += 1;
	}
}
