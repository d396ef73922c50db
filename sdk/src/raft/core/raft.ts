/**
 * One node's reaction to a message and to time. Terms are settled here, before roles see the message: a newer term
 * makes a follower of anybody, an older one is answered only as far as it helps its sender (Raft §5.1).
 */

import { encodeConfChange, LEAVE_JOINT } from './conf-change.ts';
import { answerVote, countVote, learnCommit, rejectVote, startElection } from './election.ts';
import { acceptFromLeader, stepFollower } from './follower.ts';
import { checkQuorum, propose, stepLeader } from './leader.ts';
import type { Message } from './messages.ts';
import { applyConfChanges } from './reconfigure.ts';
import { broadcastHeartbeat, releaseUncommitted } from './replication.ts';
import type { RaftState } from './state.ts';
import { NONE } from './types.ts';

const LEAVE = { type: 'conf-change', data: encodeConfChange(LEAVE_JOINT) } as const;

export function stepMessage(state: RaftState, message: Message): void {
	if (message.type === 'vote-response' || message.type === 'pre-vote-response') learnCommit(state, message);
	// Forwarded requests belong to no term.
	if (message.term !== 0) {
		if (message.term > state.currentTerm && !enterTerm(state, message)) return;
		if (message.term < state.currentTerm) {
			answerOldTerm(state, message);
			return;
		}
	}
	if (message.type === 'vote' || message.type === 'pre-vote') {
		answerVote(state, message);
	} else if (state.role === 'leader') {
		stepLeader(state, message);
	} else if (state.role === 'follower') {
		stepFollower(state, message);
	} else {
		stepCandidate(state, message);
	}
}

/** False when the message must be ignored. */
function enterTerm(state: RaftState, message: Message): boolean {
	const { type, term } = message;
	if (type === 'vote' || type === 'pre-vote') {
		// A removed node, or one that was cut off, must not depose a leader that everybody else hears.
		if (!message.transfer && state.isLeaderAlive()) return false;
	}
	// Asking does not raise our term; neither does a yes to our own question about the next term.
	if (type === 'pre-vote' || (type === 'pre-vote-response' && !message.reject)) return true;
	const isFromLeader = type === 'append' || type === 'heartbeat' || type === 'snapshot';
	state.becomeFollower(term, isFromLeader ? message.from : NONE);
	return true;
}

function answerOldTerm(state: RaftState, message: Message): void {
	const { id: from, currentTerm: term } = state;
	const { type, from: to } = message;
	const isCautious = state.config.checkQuorum || state.config.preVote;
	if ((type === 'append' || type === 'heartbeat') && isCautious) {
		// A leader of an older term whose followers ignore our campaigns would otherwise never hear of our term, and
		// we would stay stuck behind it.
		state.send({ type: 'append-response', from, to, term, index: 0, reject: false, hintIndex: 0, hintTerm: 0 });
	} else if (type === 'pre-vote') {
		// A pre-candidate that is behind must learn the term, or it asks for ever with an old one.
		rejectVote(state, 'pre-vote-response', to);
	}
}

function stepCandidate(state: RaftState, message: Message): void {
	switch (message.type) {
		case 'append':
		case 'heartbeat':
		case 'snapshot':
			// Somebody else won this term.
			state.becomeFollower(message.term, message.from);
			acceptFromLeader(state, message);
			return;
		case 'vote-response':
		case 'pre-vote-response':
			countVote(state, message);
			return;
		default:
	}
}

export function tick(state: RaftState): void {
	if (state.isLeader) tickLeader(state);
	else if (state.isPromotable && state.electionElapsedMs >= state.randomizedTimeoutMs) {
		state.electionStartMs = state.nowMs;
		startElection(state, false);
	}
}

function tickLeader(state: RaftState): void {
	const { electionTimeoutMs, heartbeatMs } = state.config;
	if (state.electionElapsedMs >= electionTimeoutMs) {
		state.electionStartMs = state.nowMs;
		if (state.config.checkQuorum) checkQuorum(state);
		// The chosen successor did not make it: lead on, or the group would have no leader that takes proposals.
		state.transferee = NONE;
	}
	if (state.isLeader && state.nowMs - state.heartbeatStartMs >= heartbeatMs) {
		state.heartbeatStartMs = state.nowMs;
		broadcastHeartbeat(state);
	}
}

export function nextDeadlineMs(state: RaftState): number | undefined {
	const { electionTimeoutMs, heartbeatMs } = state.config;
	if (state.isLeader) {
		return Math.min(state.heartbeatStartMs + heartbeatMs, state.electionStartMs + electionTimeoutMs);
	}
	return state.isPromotable ? state.electionStartMs + state.randomizedTimeoutMs : undefined;
}

/** The state machine holds everything up to `index`. */
export function applied(state: RaftState, index: number): void {
	applyConfChanges(state, index);
	const appliedIndex = Math.max(index, state.log.appliedIndex);
	releaseUncommitted(state, state.log.appliedTo(appliedIndex));
	leaveJointIfDue(state);
}

/** A joint state that leaves by itself is left by whoever leads once the change that entered it is applied. */
export function leaveJointIfDue(state: RaftState): void {
	if (!state.isLeader || !state.membership.autoLeave || state.isConfChangePending()) return;
	propose(state, [LEAVE]);
}
