/**
 * What Raft nodes say to each other: plain data, one type per message of the paper. A message belongs to the group
 * its transport addresses; `from` and `to` are member ids, `term` is the sender's (for a pre-vote: the term it would
 * campaign in; 0 for a forwarded request, which belongs to no term).
 */
import type { Entry, EntryType, MemberId, SnapshotMeta } from './types.ts';

interface Envelope {
	readonly from: MemberId;
	readonly to: MemberId;
	readonly term: number;
}

/** AppendEntries (Raft §5.3). With no entries it probes the follower or carries a newer commit index. */
export interface AppendMessage extends Envelope {
	readonly type: 'append';
	/** The entry right before `entries`; the follower accepts only when it holds exactly that one. */
	readonly prevIndex: number;
	readonly prevTerm: number;
	readonly entries: readonly Entry[];
	readonly commit: number;
}

export interface AppendResponse extends Envelope {
	readonly type: 'append-response';
	/** Accepted: the last index known to match. Rejected: the `prevIndex` that did not. */
	readonly index: number;
	readonly reject: boolean;
	/** On rejection: the follower's best guess where the logs may meet, and its term there (fast backtracking, §5.3). */
	readonly hintIndex: number;
	readonly hintTerm: number;
}

/** RequestVote (§5.2), and the pre-vote that asks whether it would be granted (thesis §9.6). */
export interface VoteMessage extends Envelope {
	readonly type: 'vote' | 'pre-vote';
	readonly lastIndex: number;
	readonly lastTerm: number;
	/** A hand-over ordered by the leader: leader stickiness does not apply (thesis §4.2.3). */
	readonly transfer: boolean;
}

export interface VoteResponse extends Envelope {
	readonly type: 'vote-response' | 'pre-vote-response';
	readonly reject: boolean;
	/**
	 * With a rejection: what the voter knows to be committed, and the term of that entry; 0 for nothing. A candidate
	 * that holds this entry learns of a membership in which it may win (see `learnCommit`).
	 */
	readonly commit: number;
	readonly commitTerm: number;
}

export interface HeartbeatMessage extends Envelope {
	readonly type: 'heartbeat';
	/** Never above what the follower is known to hold. */
	readonly commit: number;
	/** Highest read of this leader that waits for a quorum; 0 for none. Counted by the leader in its term. */
	readonly readSequence: number;
}

export interface HeartbeatResponse extends Envelope {
	readonly type: 'heartbeat-response';
	readonly readSequence: number;
}

/** InstallSnapshot (§7). Carries the description; the driver streams the content beside it. */
export interface SnapshotMessage extends Envelope {
	readonly type: 'snapshot';
	readonly snapshot: SnapshotMeta;
}

/** Hand-over: campaign at once (thesis §3.10). */
export interface TimeoutNowMessage extends Envelope {
	readonly type: 'timeout-now';
}

/** A follower asks the leader for a read index (thesis §6.4); one message stands for all reads of its batch. */
export interface ReadIndexRequest extends Envelope {
	readonly type: 'read-index';
	/** Names one run of the asking process, so that an answer to its former life is never taken for a new one. */
	readonly nonce: number;
	readonly sequence: number;
}

export interface ReadIndexResponse extends Envelope {
	readonly type: 'read-index-response';
	readonly nonce: number;
	readonly sequence: number;
	readonly index: number;
}

/** A proposal on its way to the leader. Only with `forwardProposals`; drivers normally forward above Raft. */
export interface ProposeMessage extends Envelope {
	readonly type: 'propose';
	readonly entries: readonly { readonly type: EntryType; readonly data: Uint8Array }[];
}

/** A request to hand over to `from`'s choice `transferee`, on its way to the leader. */
export interface TransferLeaderMessage extends Envelope {
	readonly type: 'transfer-leader';
	readonly transferee: MemberId;
}

export type Message =
	| AppendMessage
	| AppendResponse
	| VoteMessage
	| VoteResponse
	| HeartbeatMessage
	| HeartbeatResponse
	| SnapshotMessage
	| TimeoutNowMessage
	| ReadIndexRequest
	| ReadIndexResponse
	| ProposeMessage
	| TransferLeaderMessage;
