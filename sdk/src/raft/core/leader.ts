/** What a leader does with proposals, reads, answers and wishes for a hand-over. */
import { decodeConfChange, isLeaveJoint } from './conf-change.ts';
import type { ProposalRefusal } from './events.ts';
import type { AppendResponse, HeartbeatResponse, Message } from './messages.ts';
import type { Progress } from './progress.ts';
import type { ReadOrigin } from './reads.ts';
import { whyImpossible } from './reconfigure.ts';
import {
	appendOwn,
	broadcastAppend,
	broadcastHeartbeat,
	maybeCommit,
	type NewEntry,
	sendAppend,
} from './replication.ts';
import type { RaftState } from './state.ts';
import type { ConfChange, MemberId } from './types.ts';
import { NONE } from './types.ts';

const BLANK: NewEntry = { type: 'normal', data: new Uint8Array(0) };

export function stepLeader(state: RaftState, message: Message): void {
	if (message.type === 'propose') {
		propose(state, message.entries);
		return;
	}
	if (message.type === 'read-index') {
		const { from, nonce, sequence } = message;
		state.leaderReads.add({ type: 'remote', from, nonce, sequence });
		return;
	}
	if (message.type === 'transfer-leader') {
		transferLeadership(state, message.transferee);
		return;
	}
	const progress = state.membership.progress.get(message.from);
	// A member that was removed, or that this leader does not know yet.
	if (progress === undefined) return;
	if (message.type === 'append-response') {
		progress.isRecentlyActive = true;
		if (message.reject) backtrack(state, progress, message);
		else advance(state, progress, message);
	} else if (message.type === 'heartbeat-response') {
		heardFrom(state, progress, message);
	}
}

/** Appends and replicates. Returns why not, where it was refused. */
export function propose(state: RaftState, news: readonly NewEntry[]): ProposalRefusal | undefined {
	if (!state.membership.progress.has(state.id)) return 'removed';
	if (state.transferee !== NONE) return 'transferring';
	let refusal: ProposalRefusal | undefined;
	const { pendingConfIndex } = state;
	const entries = news.map((entry, i) => {
		if (entry.type === 'normal') return entry;
		refusal = whyNotChange(state, decodeConfChange(entry.data));
		// The slot in the batch is kept: whoever proposed counts entries.
		if (refusal !== undefined) return BLANK;
		state.pendingConfIndex = state.log.lastIndex + i + 1;
		return entry;
	});
	if (refusal === 'invalid-conf-change' && news.length === 1) return refusal;
	if (!appendOwn(state, entries)) {
		state.pendingConfIndex = pendingConfIndex;
		return 'quota';
	}
	broadcastAppend(state);
	return refusal;
}

function whyNotChange(state: RaftState, change: ConfChange): ProposalRefusal | undefined {
	if (!state.config.validateConfChanges) return undefined;
	const { isJoint } = state.membership;
	const leaves = isLeaveJoint(change);
	if (state.isConfChangePending()) return 'conf-change-pending';
	if (isJoint && !leaves) return 'in-joint-state';
	if (!isJoint && leaves) return 'not-in-joint-state';
	return whyImpossible(state, change) === undefined ? undefined : 'invalid-conf-change';
}

/** The member's log differs: step back to where the two may meet, at most once per term (Raft §5.3). */
function backtrack(state: RaftState, progress: Progress, message: AppendResponse): void {
	// The member's term at the hint is known; nothing of ours with a higher term can match at or below it.
	const next =
		message.hintTerm > 0 ? state.log.findConflictByTerm(message.hintIndex, message.hintTerm).index : message.hintIndex;
	if (!progress.maybeDecrease(message.index, next)) return;
	if (progress.state === 'replicate') progress.becomeProbe();
	sendAppend(state, message.from, true);
}

function advance(state: RaftState, progress: Progress, message: AppendResponse): void {
	const { from, index } = message;
	const isRecovering = progress.matchIndex === index && progress.state === 'probe';
	if (!progress.maybeUpdate(index) && !isRecovering) return;
	if (progress.state === 'probe') {
		progress.becomeReplicate();
	} else if (progress.state === 'replicate') {
		progress.inflights.freeTo(index);
	} else if (progress.matchIndex + 1 >= state.log.firstIndex) {
		// However it got there, the log continues from where the member is.
		progress.becomeReplicate();
	}
	if (maybeCommit(state)) broadcastAppend(state);
	else if (from !== state.id && progress.canBumpCommit(state.log.commitIndex)) sendAppend(state, from, true);
	// The window may have room for several messages now.
	if (from !== state.id) while (sendAppend(state, from, false));
	if (from === state.transferee && progress.matchIndex === state.log.lastIndex) sendTimeoutNow(state, from);
}

function heardFrom(state: RaftState, progress: Progress, message: HeartbeatResponse): void {
	progress.isRecentlyActive = true;
	progress.isAppendPaused = false;
	// The member lives and lacks entries, or we had stopped trusting the pipeline: find out where it stands.
	if (progress.matchIndex < state.log.lastIndex || progress.state === 'probe') sendAppend(state, message.from, true);
	if (message.readSequence === 0) return;
	state.leaderReads.acknowledge(message.from, message.readSequence);
	answerConfirmedReads(state);
}

/** Opens one round for all reads that came since the last batch. */
export function startReadRound(state: RaftState): void {
	if (!canStartReadRound(state)) return;
	state.leaderReads.startRound(state.log.commitIndex, state.id);
	if (!state.membership.isSoleVoter(state.id)) broadcastHeartbeat(state);
	answerConfirmedReads(state);
}

export function canStartReadRound(state: RaftState): boolean {
	return state.isLeader && state.leaderReads.hasWaiting && state.hasCommittedInTerm();
}

function answerConfirmedReads(state: RaftState): void {
	for (const { index, origins } of state.leaderReads.takeConfirmed(state.membership)) {
		for (const origin of origins) answerRead(state, origin, index);
	}
}

function answerRead(state: RaftState, origin: ReadOrigin, index: number): void {
	if (origin.type === 'local') {
		state.readResults.push({ id: origin.id, outcome: 'ready', index });
		return;
	}
	const { from: to, nonce, sequence } = origin;
	state.send({ type: 'read-index-response', from: state.id, to, term: state.currentTerm, nonce, sequence, index });
}

/** Thesis §3.10. Proposals stop until it succeeded or an election timeout has passed. */
export function transferLeadership(state: RaftState, wish: MemberId): void {
	const to = wish === NONE ? mostCaughtUp(state) : wish;
	const progress = state.membership.progress.get(to);
	if (progress === undefined || progress.isLearner || to === state.transferee) return;
	// Another wish replaces the one under way.
	state.transferee = NONE;
	if (to === state.id) return;
	state.electionStartMs = state.nowMs;
	state.transferee = to;
	if (progress.matchIndex === state.log.lastIndex) sendTimeoutNow(state, to);
	else sendAppend(state, to, true);
}

function mostCaughtUp(state: RaftState): MemberId {
	let best: MemberId = NONE;
	let bestMatch = -1;
	for (const id of state.peerIds) {
		const progress = state.membership.progress.get(id);
		if (progress === undefined || progress.isLearner || !progress.isRecentlyActive) continue;
		if (progress.matchIndex <= bestMatch) continue;
		best = id;
		bestMatch = progress.matchIndex;
	}
	return best;
}

function sendTimeoutNow(state: RaftState, to: MemberId): void {
	state.send({ type: 'timeout-now', from: state.id, to, term: state.currentTerm });
}

/** The driver lost touch with a member. */
export function memberUnreachable(state: RaftState, id: MemberId): void {
	const progress = state.membership.progress.get(id);
	// What the pipeline had under way is probably lost.
	if (progress?.state === 'replicate') progress.becomeProbe();
}

export function snapshotEnded(state: RaftState, id: MemberId, ok: boolean): void {
	const progress = state.membership.progress.get(id);
	if (progress?.state !== 'snapshot') return;
	if (!ok) progress.pendingSnapshotIndex = 0;
	progress.becomeProbe();
	// Sent: wait for the member's own answer. Failed: wait for a heartbeat before trying again.
	progress.isAppendPaused = true;
}

/** A leader that hears from no quorum steps down: its clients should look elsewhere (thesis §6.2). */
export function checkQuorum(state: RaftState): void {
	if (!state.membership.isQuorumActive()) state.becomeFollower(state.currentTerm, NONE);
	for (const [id, progress] of state.membership.progress) {
		if (id !== state.id) progress.isRecentlyActive = false;
	}
}
