/** Everything a log says, in memory: what the memory store is, and what recovery rebuilds from a file log. */
import type { ConfState, Entry, HardState } from '../core/types.ts';
import { LogIndex } from './log-index.ts';
import type { LogBatch, RecoveredLog } from './log-store.ts';

export class LogState {
	readonly index = new LogIndex();
	hardState: HardState | undefined;
	confState: ConfState | undefined;
	private entries: Entry[] = [];

	/** Throws a `RangeError` for a batch that does not fit; nothing is changed then. */
	append(batch: LogBatch): void {
		const entries = batch.entries ?? [];
		const before = this.index.snapshot.index;
		const { keepsSuffix } = this.index.append(batch);
		if (batch.hardState !== undefined) this.hardState = batch.hardState;
		const base = this.index.snapshot.index;
		if (!keepsSuffix) {
			this.entries = [];
			// A snapshot from a leader is ahead of what was applied here: its membership is the newer one.
			this.confState = this.index.snapshot.confState;
		} else if (base > before) this.entries = this.entries.slice(base - before);
		if (batch.confState !== undefined) this.confState = batch.confState;
		const first = entries[0];
		if (first === undefined) return;
		this.entries.length = Math.min(this.entries.length, first.index - base - 1);
		for (const entry of entries) this.entries.push(entry);
	}

	/** An empty log that goes on after `index`. For recovery, while the snapshot that covers it is yet to be read. */
	restartAfter(index: number): void {
		this.index.restartAfter(index);
		this.entries = [];
	}

	recovered(tornBytes: number): RecoveredLog {
		return {
			hardState: this.hardState,
			confState: this.confState,
			snapshot: this.index.snapshot,
			entries: this.entries.slice(),
			tornBytes,
		};
	}
}
