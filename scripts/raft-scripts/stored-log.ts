/** What a node of a script has on its disk, as etcd-io/raft's `MemoryStorage` keeps it: an offset, and entries after it. */
import type { Entry, SnapshotMeta } from '../../sdk/src/raft/core/types.ts';

/** Told to the script, as etcd words it. */
export class ScriptError extends Error {}

export class StoredLog {
	#snapshotIndex = 0;
	#offset = 0;
	#entries: Entry[] = [];

	get firstIndex(): number {
		return this.#offset + 1;
	}

	get lastIndex(): number {
		return this.#offset + this.#entries.length;
	}

	get entries(): readonly Entry[] {
		return this.#entries;
	}

	/** Replaces what stood at the first index and after it. What is compacted stays so. */
	append(entries: readonly Entry[]): void {
		const fresh = entries.filter(({ index }) => index > this.#offset);
		const first = fresh[0];
		if (first === undefined) return;
		if (first.index > this.lastIndex + 1)
			throw new Error(`missing log entry [last: ${this.lastIndex}, append at: ${first.index}]`);
		this.#entries = [...this.#entries.slice(0, first.index - this.firstIndex), ...fresh];
	}

	/** Throws {@link ScriptError}. */
	restore({ index }: SnapshotMeta): void {
		if (this.#snapshotIndex !== 0 && this.#snapshotIndex >= index)
			throw new ScriptError('requested index is older than the existing snapshot');
		this.#snapshotIndex = index;
		this.#offset = index;
		this.#entries = [];
	}

	/** Throws {@link ScriptError}. */
	compact(index: number): void {
		if (index <= this.#offset) throw new ScriptError('requested index is unavailable due to compaction');
		if (index > this.lastIndex) throw new Error(`compact ${index} is out of bound lastindex(${this.lastIndex})`);
		this.#entries = this.#entries.slice(index - this.#offset);
		this.#offset = index;
	}
}
