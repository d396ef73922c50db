/**
 * One Raft node, without disk, network or clock (Ongaro's thesis; behaviour of etcd's raft library).
 *
 * `step(event, nowMs)` returns one batch of effects. A driver owes the node this order:
 *
 *   1. `messages`           may leave at once. They promise nothing of this node's disk: a leader replicates while its
 *                           own write is under way, because it counts itself only when that write is reported.
 *   2. `persist`            write term, vote, commit and entries (and install the snapshot) as one unit.
 *   3. `persist.messages`   leave only when that write, and every earlier one, is durable: a vote we forget is a vote
 *                           we may cast twice, an acknowledged entry we forget was committed on too few disks.
 *      `persist.done`       is stepped back at the same moment. An empty persist still waits for the earlier ones.
 *   4. `apply`              entries, in order, to the state machine; then step `{type: 'applied', index}`.
 *                           Independent of 2 and 3 (what is applied is already durable here), so both may overlap.
 *   5. `reads`, `proposals` answer callers. A read is served once the state machine has applied its index.
 *
 * Several batches may be under way; writes complete and entries apply in the order handed out. After a failed write
 * the node must not be stepped again. After a crash a new node starts from what is durable: `hardState`, `snapshot`,
 * `entries`, and the membership as of `appliedIndex` (an in-memory state machine restarts from its snapshot and gets
 * the committed entries, membership changes among them, handed out again).
 *
 * Time enters as `nowMs` (monotonic, any origin): step a `tick` at `nextDeadlineMs()`. Randomness is handed in.
 *
 * The first members of a group write `bootstrapLog(members)` to their empty disks, all the same, and start from it; a
 * member added later starts with nothing, campaigns for nothing, and learns everything from the leader.
 */
export type { BootstrapMember } from './bootstrap.ts';
export { bootstrapLog } from './bootstrap.ts';
export { decodeConfChange, encodeConfChange, LEAVE_JOINT } from './conf-change.ts';
export type { RaftConfig, RaftOptions } from './config.ts';
export { EMPTY_CONF_STATE, resolveRaftConfig } from './config.ts';
export type {
	PersistEffect,
	PersistedEvent,
	ProgressState,
	ProgressStatus,
	ProposalRefusal,
	ProposalResult,
	RaftEffects,
	RaftEvent,
	RaftNode,
	RaftStatus,
	ReadResult,
	Role,
} from './events.ts';
export type * from './messages.ts';
export { createRaftNode } from './node.ts';
export type * from './types.ts';
export { NONE } from './types.ts';
