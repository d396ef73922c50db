/**
 * The log in memory: every entry since the last compaction, and how far it is handed out for writing, durable,
 * committed, handed out for applying, and applied.
 *
 * Invariants: appliedIndex <= applyingIndex <= commitIndex <= lastIndex;
 *             stableIndex <= writingIndex <= lastIndex; compactedIndex <= appliedIndex.
 */
import { MeshError } from '../../errors.ts';
import { invariant } from './invariant.ts';
import type { Entry, SnapshotMeta } from './types.ts';

export interface RaftLogConfig {
	readonly snapshot: SnapshotMeta;
	readonly entries: readonly Entry[];
	readonly commitIndex: number;
	readonly appliedIndex: number;
	readonly applyingBytesMax: number;
	readonly entryBytes: (entry: Entry) => number;
}

interface HandedOut {
	readonly lastIndex: number;
	readonly bytes: number;
	readonly payloadBytes: number;
}

export class RaftLog {
	commitIndex: number;
	applyingIndex: number;
	appliedIndex: number;
	/** Everything up to here is durable. */
	stableIndex: number;
	/** Everything up to here was handed out for writing. */
	writingIndex: number;
	/** Durable here, to be sent to members whose next entry is compacted. */
	snapshot: SnapshotMeta;
	/** Received, not durable yet. */
	incomingSnapshot: SnapshotMeta | undefined;

	#entries: Entry[];
	#compactedIndex: number;
	#compactedTerm: number;
	#isSnapshotWriting = false;
	#applyingBytes = 0;
	/** Batches handed out for applying, oldest first. */
	readonly #handedOut: HandedOut[] = [];
	#isApplyPaused = false;
	readonly #applyingBytesMax: number;
	readonly #entryBytes: (entry: Entry) => number;

	constructor(config: RaftLogConfig) {
		this.snapshot = config.snapshot;
		this.#entries = [...config.entries];
		this.#compactedIndex = config.snapshot.index;
		this.#compactedTerm = config.snapshot.term;
		this.#applyingBytesMax = config.applyingBytesMax;
		this.#entryBytes = config.entryBytes;
		this.commitIndex = Math.max(config.commitIndex, config.snapshot.index);
		this.appliedIndex = config.appliedIndex;
		this.applyingIndex = config.appliedIndex;
		this.stableIndex = this.lastIndex;
		this.writingIndex = this.lastIndex;
	}

	get firstIndex(): number {
		return this.#compactedIndex + 1;
	}

	get lastIndex(): number {
		return this.#compactedIndex + this.#entries.length;
	}

	get lastTerm(): number {
		return this.#entries.at(-1)?.term ?? this.#compactedTerm;
	}

	/** Undefined when the entry is compacted or does not exist yet. */
	termAt(index: number): number | undefined {
		if (index === this.#compactedIndex) return this.#compactedTerm;
		return this.#entries[index - this.#compactedIndex - 1]?.term;
	}

	entryAt(index: number): Entry | undefined {
		return this.#entries[index - this.#compactedIndex - 1];
	}

	holds(index: number, term: number): boolean {
		return this.termAt(index) === term;
	}

	/** Raft §5.4.1: a log whose last entry is newer in term, or as new and at least as long. */
	isUpToDate(lastIndex: number, lastTerm: number): boolean {
		return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);
	}

	/** Entries in [from, to] worth at most `bytesMax`, but at least one. */
	slice(from: number, to: number, bytesMax: number): Entry[] {
		const start = from - this.#compactedIndex - 1;
		const end = to - this.#compactedIndex;
		invariant(start >= 0 && end <= this.#entries.length, `entries ${from}..${to} are not in the log`);
		let bytes = 0;
		let at = start;
		for (; at < end; at++) {
			bytes += this.#entryBytes(this.#entries[at] as Entry);
			if (bytes > bytesMax && at > start) break;
		}
		return this.#entries.slice(start, at);
	}

	/** Appends, replacing what stood at the first index and after it. Never reaches below the commit index. */
	append(entries: readonly Entry[]): void {
		const first = entries[0];
		if (first === undefined) return;
		const keep = first.index - 1;
		invariant(
			keep >= this.commitIndex,
			`entry ${first.index} would replace a committed one (commit ${this.commitIndex})`,
		);
		invariant(keep <= this.lastIndex, `entry ${first.index} would leave a gap after ${this.lastIndex}`);
		if (keep < this.lastIndex) this.#entries.length = keep - this.#compactedIndex;
		for (const entry of entries) this.#entries.push(entry);
		this.stableIndex = Math.min(this.stableIndex, keep);
		this.writingIndex = Math.min(this.writingIndex, keep);
	}

	/**
	 * The follower's half of AppendEntries (Raft §5.3). Only a conflicting entry truncates: a late or duplicated
	 * message whose entries are already here must not cut off what came after them.
	 * Returns the last index known to match the leader, or undefined when `prev` does not match.
	 */
	appendFromLeader(
		prevIndex: number,
		prevTerm: number,
		entries: readonly Entry[],
		leaderCommit: number,
	): number | undefined {
		if (!this.holds(prevIndex, prevTerm)) return undefined;
		const lastNew = prevIndex + entries.length;
		const conflict = entries.findIndex((entry) => !this.holds(entry.index, entry.term));
		if (conflict >= 0) this.append(conflict === 0 ? entries : entries.slice(conflict));
		// The leader's commit index may cover entries of ours that it did not send and that differ from its own.
		this.commitTo(Math.min(leaderCommit, lastNew));
		return lastNew;
	}

	/**
	 * The highest index at or below `index` whose term is at most `term`: nothing above it can match a log that has
	 * `term` at `index`. Term 0 when that index is not in this log.
	 */
	findConflictByTerm(index: number, term: number): { index: number; term: number } {
		for (let at = index; at > 0; at--) {
			const ours = this.termAt(at);
			if (ours === undefined) return { index: at, term: 0 };
			if (ours <= term) return { index: at, term: ours };
		}
		return { index: 0, term: 0 };
	}

	commitTo(index: number): void {
		if (index <= this.commitIndex) return;
		if (index > this.lastIndex) {
			throw new MeshError(
				'corrupt',
				`The leader knows entry ${index} to be stored here, but the log ends at ${this.lastIndex}: rejoin as a new member`,
			);
		}
		this.commitIndex = index;
	}

	/** True while entries wait to become durable, handed out or not. */
	get hasUnstable(): boolean {
		return this.lastIndex > this.stableIndex;
	}

	get hasUnwritten(): boolean {
		return this.lastIndex > this.writingIndex;
	}

	get hasUnwrittenSnapshot(): boolean {
		return this.incomingSnapshot !== undefined && !this.#isSnapshotWriting;
	}

	/** Hands out what has not been handed out for writing yet. */
	takeUnwritten(): { entries: readonly Entry[]; snapshot: SnapshotMeta | undefined } {
		const snapshot = this.#isSnapshotWriting ? undefined : this.incomingSnapshot;
		const entries = this.hasUnwritten ? this.#entries.slice(this.writingIndex - this.#compactedIndex) : [];
		this.writingIndex = this.lastIndex;
		this.#isSnapshotWriting = this.incomingSnapshot !== undefined;
		return { entries, snapshot };
	}

	/** A write ended. It proves nothing when the entry has been replaced since. */
	stableTo(index: number, term: number): void {
		if (index <= this.stableIndex || !this.holds(index, term)) return;
		this.stableIndex = index;
		this.writingIndex = Math.max(this.writingIndex, index);
	}

	hasAppliable(allowUnstable: boolean): boolean {
		if (this.#isApplyPaused || this.incomingSnapshot !== undefined) return false;
		return this.applyingIndex < this.#appliableIndex(allowUnstable);
	}

	/** Hands out committed entries within the byte limit. */
	takeAppliable(allowUnstable: boolean): readonly Entry[] {
		if (!this.hasAppliable(allowUnstable)) return [];
		const limit = this.#appliableIndex(allowUnstable);
		const entries = this.slice(this.applyingIndex + 1, limit, this.#applyingBytesMax - this.#applyingBytes);
		this.applyingIndex += entries.length;
		let bytes = 0;
		let payloadBytes = 0;
		for (const entry of entries) {
			bytes += this.#entryBytes(entry);
			payloadBytes += entry.data.byteLength;
		}
		this.#handedOut.push({ lastIndex: this.applyingIndex, bytes, payloadBytes });
		this.#applyingBytes += bytes;
		this.#isApplyPaused = this.#applyingBytes >= this.#applyingBytesMax || this.applyingIndex < limit;
		return entries;
	}

	#appliableIndex(allowUnstable: boolean): number {
		return allowUnstable ? this.commitIndex : Math.min(this.commitIndex, this.stableIndex);
	}

	/** Everything up to `index` is in the state machine. Returns the payload bytes of the batches that this ends. */
	appliedTo(index: number): number {
		invariant(
			index >= this.appliedIndex && index <= this.commitIndex,
			`applied ${index} is not between applied ${this.appliedIndex} and committed ${this.commitIndex}`,
		);
		this.appliedIndex = index;
		this.applyingIndex = Math.max(this.applyingIndex, index);
		let payloadBytes = 0;
		while (this.#handedOut.length > 0 && (this.#handedOut[0] as HandedOut).lastIndex <= index) {
			const batch = this.#handedOut.shift() as HandedOut;
			this.#applyingBytes -= batch.bytes;
			payloadBytes += batch.payloadBytes;
		}
		this.#isApplyPaused = this.#applyingBytes >= this.#applyingBytesMax;
		return payloadBytes;
	}

	/** Everything is replaced by a snapshot that came from the leader. */
	restore(snapshot: SnapshotMeta): void {
		invariant(snapshot.index > this.commitIndex, `snapshot ${snapshot.index} would go back from ${this.commitIndex}`);
		this.#entries = [];
		this.#compactedIndex = snapshot.index;
		this.#compactedTerm = snapshot.term;
		this.commitIndex = snapshot.index;
		this.stableIndex = snapshot.index;
		this.writingIndex = snapshot.index;
		this.incomingSnapshot = snapshot;
		this.#isSnapshotWriting = false;
	}

	/** Installed. An even newer one may have arrived meanwhile. */
	snapshotStable(index: number): void {
		if (this.incomingSnapshot?.index === index) {
			this.snapshot = this.incomingSnapshot;
			this.incomingSnapshot = undefined;
			this.#isSnapshotWriting = false;
		}
		this.appliedTo(Math.max(index, this.appliedIndex));
	}

	/** A snapshot was taken here; entries up to `compactIndex` leave memory. */
	compact(snapshot: SnapshotMeta, compactIndex: number): void {
		// A snapshot that a leader sent while ours was being taken is newer: snapshots never go backwards.
		if (snapshot.index < this.snapshot.index || this.incomingSnapshot !== undefined) return;
		invariant(
			snapshot.index <= this.appliedIndex,
			`snapshot ${snapshot.index} is ahead of applied ${this.appliedIndex}`,
		);
		invariant(compactIndex <= snapshot.index, `compacting to ${compactIndex}, beyond snapshot ${snapshot.index}`);
		this.snapshot = snapshot;
		this.dropTo(compactIndex);
	}

	/** Entries up to `index` leave memory, whoever may need them. Only {@link compact} knows that nobody does. */
	dropTo(index: number): void {
		if (index <= this.#compactedIndex) return;
		const term = this.termAt(index);
		invariant(term !== undefined, `entry ${index} is not in the log`);
		this.#entries = this.#entries.slice(index - this.#compactedIndex);
		this.#compactedIndex = index;
		this.#compactedTerm = term;
	}
}
