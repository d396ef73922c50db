/**
 * The plain data a Raft node speaks. Terms and indices are plain numbers (exact to 2^53); members have small
 * integer ids, given once and never reused. 0 is "none".
 */
export type MemberId = number;
export const NONE: MemberId = 0;

export type EntryType = 'normal' | 'conf-change';

export interface Entry {
	readonly term: number;
	readonly index: number;
	readonly type: EntryType;
	/** Empty for a new leader's no-op. A view, not a copy: never written to. */
	readonly data: Uint8Array;
}

/** Must be durable before any message that depends on it leaves (Raft §5.2: a vote we forget is one we cast twice). */
export interface HardState {
	readonly term: number;
	/** Who got our vote in `term`; {@link NONE} for nobody. */
	readonly vote: MemberId;
	readonly commit: number;
}

/** Membership in force (thesis §4.3 joint consensus: while `votersOutgoing` is not empty, both majorities must agree). */
export interface ConfState {
	readonly voters: readonly MemberId[];
	readonly votersOutgoing: readonly MemberId[];
	readonly learners: readonly MemberId[];
	/** Demoted by the change under way; become learners when the joint state is left. */
	readonly learnersNext: readonly MemberId[];
	readonly autoLeave: boolean;
}

export interface SnapshotMeta {
	readonly index: number;
	readonly term: number;
	readonly confState: ConfState;
}

export interface ConfChangeItem {
	readonly type: 'add-voter' | 'add-learner' | 'remove';
	readonly id: MemberId;
}

/** One membership change; several items, or `transition: 'joint'`, go through joint consensus. */
export interface ConfChange {
	readonly transition: 'auto' | 'joint-implicit' | 'joint-explicit';
	readonly changes: readonly ConfChangeItem[];
	/** Opaque to Raft: who these members are (slot, generation, address). */
	readonly context: Uint8Array;
}
