/** How a follower answers its leader (Raft §5.3, §7). */
import { startElection } from './election.ts';
import type { AppendMessage, HeartbeatMessage, Message, SnapshotMessage } from './messages.ts';
import { restoreSnapshot } from './reconfigure.ts';
import type { RaftState } from './state.ts';
import type { MemberId } from './types.ts';
import { NONE } from './types.ts';

export function stepFollower(state: RaftState, message: Message): void {
	switch (message.type) {
		case 'append':
		case 'heartbeat':
		case 'snapshot':
			state.followLeader(message.from);
			acceptFromLeader(state, message);
			return;
		case 'timeout-now':
			// No pre-vote: the leader itself asks, so this is no node coming back from a partition.
			startElection(state, true);
			return;
		case 'read-index-response':
			for (const id of state.forwardedReads.takeAnswered(message.nonce, message.sequence)) {
				state.readResults.push({ id, outcome: 'ready', index: message.index });
			}
			return;
		case 'propose':
		case 'transfer-leader':
			// Sent to a leader of the past.
			if (state.leader !== NONE) state.send({ ...message, to: state.leader });
			return;
		default:
	}
}

/** The sender leads the term this node is in. */
export function acceptFromLeader(state: RaftState, message: AppendMessage | HeartbeatMessage | SnapshotMessage): void {
	if (message.type === 'append') acceptAppend(state, message);
	else if (message.type === 'heartbeat') acceptHeartbeat(state, message);
	else acceptSnapshot(state, message);
}

function acknowledge(state: RaftState, to: MemberId, index: number): void {
	const { id: from, currentTerm: term } = state;
	state.send({ type: 'append-response', from, to, term, index, reject: false, hintIndex: 0, hintTerm: 0 });
}

function acceptAppend(state: RaftState, message: AppendMessage): void {
	const { log } = state;
	const { from, prevIndex, prevTerm, entries, commit } = message;
	// Committed entries never change: tell the leader where to go on instead of looking at what it sent.
	if (prevIndex < log.commitIndex) {
		acknowledge(state, from, log.commitIndex);
		return;
	}
	const lastMatching = log.appendFromLeader(prevIndex, prevTerm, entries, commit);
	if (lastMatching !== undefined) {
		acknowledge(state, from, lastMatching);
		return;
	}
	const hint = log.findConflictByTerm(Math.min(prevIndex, log.lastIndex), prevTerm);
	state.send({
		type: 'append-response',
		from: state.id,
		to: from,
		term: state.currentTerm,
		index: prevIndex,
		reject: true,
		hintIndex: hint.index,
		hintTerm: hint.term,
	});
}

function acceptHeartbeat(state: RaftState, message: HeartbeatMessage): void {
	state.log.commitTo(message.commit);
	state.send({
		type: 'heartbeat-response',
		from: state.id,
		to: message.from,
		term: state.currentTerm,
		readSequence: message.readSequence,
	});
	const sequence = state.forwardedReads.overdueAtHeartbeat();
	if (sequence !== undefined) forwardRead(state, sequence);
}

function acceptSnapshot(state: RaftState, message: SnapshotMessage): void {
	const isRestored = restoreSnapshot(state, message.snapshot);
	acknowledge(state, message.from, isRestored ? state.log.lastIndex : state.log.commitIndex);
}

/** Asks the leader for a read index. Like everything forwarded it belongs to no term. */
export function forwardRead(state: RaftState, sequence: number): void {
	const { nonce } = state.forwardedReads;
	state.send({ type: 'read-index', from: state.id, to: state.leader, term: 0, nonce, sequence });
}
