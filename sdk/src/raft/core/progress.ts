/**
 * The leader's view of one member: what it surely holds (`matchIndex`), what to send next (`nextIndex`), and how fast.
 *
 *   probe      the logs may differ: one message at a time until one is accepted
 *   replicate  they match: a pipeline, `nextIndex` runs ahead of acknowledgements, limited by `inflights`
 *   snapshot   the member's next entry is compacted: nothing is sent until it has a snapshot
 *
 * Invariant: matchIndex < nextIndex.
 */
import type { ProgressState } from './events.ts';
import { Inflights } from './inflights.ts';
import { invariant } from './invariant.ts';

export interface ProgressLimits {
	readonly inflightMessagesMax: number;
	readonly inflightBytesMax: number;
}

export class Progress {
	matchIndex = 0;
	nextIndex: number;
	state: ProgressState = 'probe';
	/** Index of the snapshot under way. */
	pendingSnapshotIndex = 0;
	/** Heard from since the last quorum check. */
	isRecentlyActive = false;
	/** No entries until the member answers, or until a heartbeat answer shows that it is there. */
	isAppendPaused = false;
	readonly isLearner: boolean;
	readonly inflights: Inflights;
	/** Highest commit index sent in a message that may arrive. */
	#sentCommit = 0;
	readonly #limits: ProgressLimits;

	constructor(nextIndex: number, isLearner: boolean, limits: ProgressLimits, inflights?: Inflights) {
		this.nextIndex = nextIndex;
		this.isLearner = isLearner;
		this.#limits = limits;
		this.inflights = inflights ?? new Inflights(limits.inflightMessagesMax, limits.inflightBytesMax);
	}

	/** The same progress of a member that became a learner, or ceased to be one. */
	as(isLearner: boolean): Progress {
		const copy = new Progress(this.nextIndex, isLearner, this.#limits, this.inflights);
		copy.matchIndex = this.matchIndex;
		copy.state = this.state;
		copy.pendingSnapshotIndex = this.pendingSnapshotIndex;
		copy.isRecentlyActive = this.isRecentlyActive;
		copy.isAppendPaused = this.isAppendPaused;
		copy.#sentCommit = this.#sentCommit;
		return copy;
	}

	get isPaused(): boolean {
		return this.state === 'snapshot' || this.isAppendPaused;
	}

	becomeProbe(): void {
		// After a snapshot was delivered the member may hold everything up to it.
		const snapshotIndex = this.state === 'snapshot' ? this.pendingSnapshotIndex : 0;
		this.#reset('probe');
		this.nextIndex = Math.max(this.matchIndex, snapshotIndex) + 1;
		this.#capSentCommit();
	}

	becomeReplicate(): void {
		this.#reset('replicate');
		this.nextIndex = this.matchIndex + 1;
	}

	becomeSnapshot(snapshotIndex: number): void {
		this.#reset('snapshot');
		this.pendingSnapshotIndex = snapshotIndex;
		this.nextIndex = snapshotIndex + 1;
		this.#sentCommit = snapshotIndex;
	}

	#reset(state: ProgressState): void {
		this.state = state;
		this.isAppendPaused = false;
		this.pendingSnapshotIndex = 0;
		this.inflights.clear();
	}

	#capSentCommit(): void {
		this.#sentCommit = Math.min(this.#sentCommit, this.nextIndex - 1);
	}

	sentEntries(count: number, bytes: number): void {
		invariant(this.state !== 'snapshot', 'entries sent to a member that waits for a snapshot');
		if (this.state === 'probe') {
			if (count > 0) this.isAppendPaused = true;
			return;
		}
		if (count > 0) {
			this.nextIndex += count;
			this.inflights.add(this.nextIndex - 1, bytes);
		}
		this.isAppendPaused = this.inflights.isFull;
	}

	sentCommit(commit: number): void {
		this.#sentCommit = commit;
	}

	/** True when another message would tell the member about commits it does not know of yet. */
	canBumpCommit(commit: number): boolean {
		return commit > this.#sentCommit && this.#sentCommit < this.nextIndex - 1;
	}

	/** The member holds everything up to `index`. False when that is no news. */
	maybeUpdate(index: number): boolean {
		if (index <= this.matchIndex) return false;
		this.matchIndex = index;
		this.nextIndex = Math.max(this.nextIndex, index + 1);
		this.isAppendPaused = false;
		return true;
	}

	/** The member rejected `rejectedIndex`. False for a late answer to a message that no longer matters. */
	maybeDecrease(rejectedIndex: number, hintIndex: number): boolean {
		if (this.state === 'replicate') {
			if (rejectedIndex <= this.matchIndex) return false;
			this.nextIndex = this.matchIndex + 1;
			this.#capSentCommit();
			return true;
		}
		if (this.nextIndex - 1 !== rejectedIndex) return false;
		this.nextIndex = Math.max(Math.min(rejectedIndex, hintIndex + 1), this.matchIndex + 1);
		this.#capSentCommit();
		this.isAppendPaused = false;
		return true;
	}
}
