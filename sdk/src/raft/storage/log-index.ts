/**
 * Which indices a log holds, and of which terms, without the entries. Both stores check batches against it, so that
 * a gap or a write below the snapshot is refused before it reaches a disk.
 */
import { EMPTY_CONF_STATE } from '../core/config.ts';
import type { Entry, SnapshotMeta } from '../core/types.ts';
import type { LogBatch } from './log-store.ts';

export const NO_SNAPSHOT: SnapshotMeta = { index: 0, term: 0, confState: EMPTY_CONF_STATE };

interface TermRun {
	readonly first: number;
	readonly term: number;
}

export class LogIndex {
	snapshot: SnapshotMeta = NO_SNAPSHOT;
	lastIndex = 0;
	/** Ascending; the first may begin below the snapshot. */
	private runs: TermRun[] = [];

	clone(): LogIndex {
		const copy = new LogIndex();
		copy.snapshot = this.snapshot;
		copy.lastIndex = this.lastIndex;
		copy.runs = this.runs.slice();
		return copy;
	}

	/** Undefined for an index that the log does not hold. */
	termAt(index: number): number | undefined {
		if (index === this.snapshot.index) return this.snapshot.term;
		if (index < this.snapshot.index || index > this.lastIndex) return undefined;
		return this.runs.findLast((run) => run.first <= index)?.term;
	}

	/**
	 * Takes a batch in: snapshot first (Raft §7: what follows it stays only if the log agrees about its last entry),
	 * then entries (§5.3: from the first one's index on they replace what was there). A snapshot that is not newer
	 * than ours changes nothing. Throws a `RangeError` for a batch that does not fit; nothing is changed then.
	 */
	append(batch: LogBatch): { readonly keepsSuffix: boolean } {
		const next =
			batch.snapshot !== undefined && batch.snapshot.index > this.snapshot.index ? batch.snapshot : undefined;
		const keepsSuffix = next === undefined || this.termAt(next.index) === next.term;
		const base = next ?? this.snapshot;
		const entries = batch.entries ?? [];
		const first = entries[0];
		if (first !== undefined) {
			const last = keepsSuffix ? this.lastIndex : base.index;
			const before = first.index - 1 === base.index ? base.term : this.termAt(first.index - 1);
			refuseMisfit(entries, first, { base: base.index, last, termBefore: before ?? 0 });
		}
		if (next !== undefined) this.compact(next, keepsSuffix);
		if (first !== undefined) this.replaceFrom(first.index, entries);
		return { keepsSuffix };
	}

	restartAfter(index: number): void {
		this.snapshot = { ...NO_SNAPSHOT, index };
		this.runs = [];
		this.lastIndex = index;
	}

	private compact(snapshot: SnapshotMeta, keepsSuffix: boolean): void {
		this.snapshot = snapshot;
		if (!keepsSuffix) {
			this.runs = [];
			this.lastIndex = snapshot.index;
			return;
		}
		const covering = this.runs.findLastIndex((run) => run.first <= snapshot.index);
		if (covering > 0) this.runs.splice(0, covering);
	}

	private replaceFrom(index: number, entries: readonly Entry[]): void {
		while (this.runs.length > 0 && (this.runs.at(-1) as TermRun).first >= index) this.runs.pop();
		for (const entry of entries) {
			if (this.runs.at(-1)?.term !== entry.term) this.runs.push({ first: entry.index, term: entry.term });
		}
		this.lastIndex = index + entries.length - 1;
	}
}

function refuseMisfit(
	entries: readonly Entry[],
	first: Entry,
	log: { readonly base: number; readonly last: number; readonly termBefore: number },
): void {
	if (first.index <= log.base) throw new RangeError(`entry ${first.index} is covered by snapshot ${log.base}`);
	if (first.index > log.last + 1) throw new RangeError(`entry ${first.index} leaves a gap after ${log.last}`);
	let { termBefore } = log;
	entries.forEach((entry, i) => {
		if (entry.index !== first.index + i)
			throw new RangeError(`entry ${entry.index} stands where ${first.index + i} belongs`);
		if (entry.term < termBefore)
			throw new RangeError(`entry ${entry.index} of term ${entry.term} follows term ${termBefore}`);
		termBefore = entry.term;
	});
}
