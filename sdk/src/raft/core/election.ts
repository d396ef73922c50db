/** Campaigns and votes (Raft §5.2, §5.4.1; pre-vote and stickiness: thesis §9.6, §4.2.3). */
import type { VoteMessage, VoteResponse } from './messages.ts';
import { jointVote } from './quorum.ts';
import { appendOwn, broadcastAppend } from './replication.ts';
import type { RaftState } from './state.ts';
import type { MemberId } from './types.ts';
import { NONE } from './types.ts';

const NO_OP = [{ type: 'normal', data: new Uint8Array(0) }] as const;

type Campaign = 'pre-vote' | 'election' | 'transfer';

/** Starts a campaign unless this node leads, may not lead, or does not know yet who votes. */
export function startElection(state: RaftState, isTransfer: boolean): void {
	if (state.isLeader || !state.isPromotable || hasUnappliedConfChange(state)) return;
	if (isTransfer) campaign(state, 'transfer');
	else campaign(state, state.config.preVote ? 'pre-vote' : 'election');
}

/** A committed change not in force here yet: our idea of a majority may be outdated. */
function hasUnappliedConfChange(state: RaftState): boolean {
	const { log } = state;
	for (let index = log.appliedIndex + 1; index <= log.commitIndex; index++) {
		if (log.entryAt(index)?.type === 'conf-change') return true;
	}
	return false;
}

function campaign(state: RaftState, kind: Campaign): void {
	const isPreVote = kind === 'pre-vote';
	if (isPreVote) state.becomePreCandidate();
	else state.becomeCandidate();
	// A pre-vote asks for the term that would follow, and leaves our own alone.
	const term = isPreVote ? state.currentTerm + 1 : state.currentTerm;
	const { id: from, log } = state;
	for (const to of state.membership.voterIds) {
		if (to === from) {
			// Our own vote counts when it is durable, like anybody's.
			const type = isPreVote ? 'pre-vote-response' : 'vote-response';
			state.send({ type, from, to, term, reject: false, commit: 0, commitTerm: 0 });
			continue;
		}
		const type = isPreVote ? 'pre-vote' : 'vote';
		const { lastIndex, lastTerm } = log;
		state.send({ type, from, to, term, lastIndex, lastTerm, transfer: kind === 'transfer' });
	}
}

/** The term of the message is our own by now, or it is a pre-vote for a later one. */
export function answerVote(state: RaftState, vote: VoteMessage): void {
	const type = vote.type === 'vote' ? 'vote-response' : 'pre-vote-response';
	const { from, term } = vote;
	// Learners vote, too: one that was promoted and does not know it yet may be needed for the majority.
	if (!state.mayGrant(vote)) {
		rejectVote(state, type, from);
		return;
	}
	// With the term that was asked for: a pre-candidate of an older term would drop an answer of its own.
	state.send({ type, from: state.id, to: from, term, reject: false, commit: 0, commitTerm: 0 });
	if (vote.type === 'vote') {
		state.electionStartMs = state.nowMs;
		state.votedFor = from;
	}
}

export function rejectVote(state: RaftState, type: VoteResponse['type'], to: MemberId): void {
	const { id: from, currentTerm: term, log, config } = state;
	const commit = config.sharesCommitInVotes ? log.commitIndex : 0;
	state.send({ type, from, to, term, reject: true, commit, commitTerm: log.termAt(commit) ?? 0 });
}

/**
 * Membership takes effect when its entry is known to be committed. Members who miss that knowledge may need votes of
 * members who were removed meanwhile, who have longer logs, and who do not campaign themselves: nobody could win.
 * What a rejecting voter knows to be committed ends this. It is a fact whatever its term: equal index and term mean
 * equal logs up to there.
 */
export function learnCommit(state: RaftState, answer: VoteResponse): void {
	if (!answer.reject || state.isLeader || !state.log.holds(answer.commit, answer.commitTerm)) return;
	state.log.commitTo(answer.commit);
}

/** For candidates of either kind. */
export function countVote(state: RaftState, answer: VoteResponse): void {
	const expected = state.role === 'pre-candidate' ? 'pre-vote-response' : 'vote-response';
	if (answer.type !== expected) return;
	if (!state.votes.has(answer.from)) state.votes.set(answer.from, !answer.reject);
	const result = jointVote(state.membership, (id) => state.votes.get(id));
	if (result === 'lost') state.becomeFollower(state.currentTerm, NONE);
	if (result !== 'won') return;
	if (state.role === 'pre-candidate') campaign(state, 'election');
	else lead(state);
}

/** The no-op commits what earlier terms left behind, and tells this leader what is committed (Raft §5.4.2, §8). */
function lead(state: RaftState): void {
	state.becomeLeader();
	appendOwn(state, NO_OP);
	broadcastAppend(state);
}
