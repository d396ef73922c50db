/**
 * What goes into a Raft node (events) and what comes out (one batch of effects). The order in which a driver performs
 * a batch is the contract; it is written at the top of `index.ts`.
 */
import type { Message } from './messages.ts';
import type { ConfChange, ConfState, Entry, HardState, MemberId, SnapshotMeta } from './types.ts';

export type Role = 'follower' | 'pre-candidate' | 'candidate' | 'leader';

/** Hand back, unread, once the persist effect it came with is durable. */
export interface PersistedEvent {
	readonly type: 'persisted';
	readonly term: number;
	/** Last entry of the log when the batch was made; 0 when nothing waited to become durable. */
	readonly lastIndex: number;
	readonly lastTerm: number;
	/** 0 when the batch installed no snapshot. */
	readonly snapshotIndex: number;
	/** The node's own vote and its own append acknowledgement: they count only now. */
	readonly selfMessages: readonly Message[];
}

export type RaftEvent =
	/** Time has passed. Due at `nextDeadlineMs()`; harmless at any other time. */
	| { readonly type: 'tick' }
	/** A message from a peer. For a snapshot: after its content has arrived whole and been checked. */
	| { readonly type: 'message'; readonly message: Message }
	| PersistedEvent
	/** Everything up to `index` is in the state machine. Membership changes up to it take effect now, if not before. */
	| { readonly type: 'applied'; readonly index: number }
	/** Membership changes up to `index` take effect, ahead of the `applied` that covers it. Optional. */
	| { readonly type: 'conf-applied'; readonly index: number }
	/** Payloads for consecutive entries, all or none. `id` comes back in a {@link ProposalResult}. */
	| { readonly type: 'propose'; readonly id: number; readonly payloads: readonly Uint8Array[] }
	| { readonly type: 'propose-conf-change'; readonly id: number; readonly change: ConfChange }
	/** A linearizable read (thesis §6.4). `id` comes back in a {@link ReadResult}; never reuse one within a process. */
	| { readonly type: 'read-index'; readonly id: number }
	/** Hand over leadership. On a follower the wish goes to the leader. */
	| { readonly type: 'transfer-leader'; readonly to: MemberId }
	/** Start an election now. */
	| { readonly type: 'campaign' }
	/** The follower knows by other means that its leader is gone: it may grant votes before its timeout. */
	| { readonly type: 'forget-leader' }
	/** The last message to `id` was probably lost. */
	| { readonly type: 'unreachable'; readonly id: MemberId }
	/** How the streaming of a snapshot to `id` ended. */
	| { readonly type: 'snapshot-status'; readonly id: MemberId; readonly ok: boolean }
	/**
	 * A snapshot is durable on this node: the one to send from now on. Entries up to `compactIndex` (at most the
	 * snapshot's index) leave memory.
	 */
	| { readonly type: 'compacted'; readonly snapshot: SnapshotMeta; readonly compactIndex: number };

export interface PersistEffect {
	/** Present when term, vote or commit changed. */
	readonly hardState: HardState | undefined;
	/** Contiguous. The first index may lie at or below the last one stored: the stored suffix is replaced. */
	readonly entries: readonly Entry[];
	/** Replaces state machine and log, before `entries`: install it durably. */
	readonly snapshot: SnapshotMeta | undefined;
	/** False when only the commit index moved: no `fdatasync` is needed before `done`. */
	readonly mustSync: boolean;
	/** Votes and append responses: they may leave once this batch and every earlier one are durable. */
	readonly messages: readonly Message[];
	/** Step this once durable, in the order of the batches. */
	readonly done: PersistedEvent;
}

export type ProposalRefusal =
	/** Nothing was appended: send it to the leader. */
	| 'not-leader'
	/** A hand-over is under way. */
	| 'transferring'
	/** The uncommitted tail of the log has reached its limit in bytes. */
	| 'quota'
	/** This node leads but was removed from the group. */
	| 'removed'
	/** An earlier membership change has not been applied yet. */
	| 'conf-change-pending'
	/** Only leaving the joint state is allowed now. */
	| 'in-joint-state'
	/** There is no joint state to leave. */
	| 'not-in-joint-state'
	/** The change itself is impossible, such as removing the last voter. */
	| 'invalid-conf-change';

/**
 * `accepted` says where the entries stand in this leader's log, not that they are committed. They are committed when
 * the entries applied at these indices carry this `term`; when another term shows up there, they were lost.
 */
export type ProposalResult =
	| {
			readonly id: number;
			readonly outcome: 'accepted';
			readonly term: number;
			readonly index: number;
			readonly count: number;
	  }
	/** Passed on to the leader inside Raft (only with `forwardProposals`); nothing more will be heard of it. */
	| { readonly id: number; readonly outcome: 'forwarded'; readonly leader: MemberId }
	| { readonly id: number; readonly outcome: 'refused'; readonly reason: ProposalRefusal; readonly leader: MemberId };

/** `ready`: once the state machine has applied up to `index`, reading it locally is linearizable. */
export type ReadResult =
	| { readonly id: number; readonly outcome: 'ready'; readonly index: number }
	/** No leader is known, or leadership moved while the read waited. Ask again. */
	| { readonly id: number; readonly outcome: 'refused'; readonly leader: MemberId };

/** One batch of effects, to be performed in the order of its fields (see `index.ts`). */
export interface RaftEffects {
	/** May leave at once, before anything is durable. */
	readonly messages: readonly Message[];
	readonly persist: PersistEffect | undefined;
	/** Committed and durable here. Apply in order, then step `applied` with the last index. */
	readonly apply: readonly Entry[];
	readonly reads: readonly ReadResult[];
	readonly proposals: readonly ProposalResult[];
	/** Present when role or leader changed. */
	readonly leadership: { readonly role: Role; readonly leader: MemberId } | undefined;
	/** Present when membership changed. */
	readonly confState: ConfState | undefined;
}

export type ProgressState = 'probe' | 'replicate' | 'snapshot';

/** How far the leader believes one member to be. */
export interface ProgressStatus {
	readonly id: MemberId;
	readonly state: ProgressState;
	readonly matchIndex: number;
	readonly nextIndex: number;
	readonly isLearner: boolean;
	readonly isPaused: boolean;
	readonly isRecentlyActive: boolean;
	/** Index of the snapshot under way; 0 for none. */
	readonly pendingSnapshotIndex: number;
	readonly inflightCount: number;
	readonly isInflightFull: boolean;
}

export interface RaftStatus {
	readonly id: MemberId;
	readonly role: Role;
	/** 0 when unknown. */
	readonly leader: MemberId;
	readonly term: number;
	readonly vote: MemberId;
	readonly commitIndex: number;
	readonly appliedIndex: number;
	readonly firstIndex: number;
	readonly lastIndex: number;
	/** Last index known durable on this node. */
	readonly stableIndex: number;
	readonly confState: ConfState;
	/** Being handed over to; 0 for nobody. */
	readonly transferee: MemberId;
	/** Leader only, ascending ids, itself included; empty on others. */
	readonly progress: readonly ProgressStatus[];
}

export interface RaftNode {
	readonly id: MemberId;
	/** Takes in one event or several and hands out everything that follows from them. */
	step(events: RaftEvent | readonly RaftEvent[], nowMs: number): RaftEffects;
	/** When to step a `tick` at the latest; undefined when time does not matter to this node (a learner). */
	nextDeadlineMs(): number | undefined;
	status(): RaftStatus;
	/** `step` in two halves, for a driver that gathers many events before it takes one batch. */
	absorb(event: RaftEvent, nowMs: number): void;
	hasEffects(): boolean;
	drain(): RaftEffects;
}
