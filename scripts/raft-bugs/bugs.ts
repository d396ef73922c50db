/**
 * Bugs to plant in the Raft core, one at a time: the classic ones, and small ones of the kind that a hurried change makes.
 * Each replaces a piece of source that stands in its file exactly once.
 */

export interface Bug {
	readonly name: string;
	/** In `sdk/src/raft/`. */
	readonly file: string;
	readonly from: string;
	readonly to: string;
}

const bugs = (file: string, list: readonly (readonly [name: string, from: string, to: string])[]): Bug[] =>
	list.map(([name, from, to]) => ({ name, file, from, to }));

export const BUGS: readonly Bug[] = [
	...bugs('core/state.ts', [
		[
			'commits entries of older terms by counting (figure 8)',
			'return this.log.holds(index, this.currentTerm);',
			'return this.log.termAt(index) !== undefined;',
		],
		['votes twice in one term', 'return (isRepeated || isFree || isFuturePreVote) && this', 'return this'],
		[
			'votes for logs that lack committed entries',
			'return this.log.isUpToDate(vote.lastIndex, vote.lastTerm);',
			'return true;',
		],
		[
			'grants votes while it hears a leader of the term',
			'this.votedFor === NONE && this.leader === NONE',
			'this.votedFor === NONE',
		],
		['refuses to repeat its vote', 'const isRepeated = this.votedFor === vote.from;', 'const isRepeated = false;'],
		[
			'refuses pre-votes for later terms once it has voted',
			"vote.type === 'pre-vote' && vote.term > this.currentTerm",
			"vote.type === 'pre-vote' && this.votedFor === NONE",
		],
		['forgets to reset the vote with the term', 'this.votedFor = NONE;\n\t\t}', '}'],
		['clears the vote within a term', 'if (term !== this.currentTerm) {', '{'],
		['campaigns without raising the term', 'this.#reset(this.currentTerm + 1);', 'this.#reset(this.currentTerm);'],
		['a candidate does not vote for itself', 'this.votedFor = this.id;', ''],
		[
			'raises the term for a pre-vote',
			"this.votes = new Map();\n\t\tthis.#loseLeader();\n\t\tthis.role = 'pre-candidate';",
			"this.#reset(this.currentTerm + 1);\n\t\tthis.role = 'pre-candidate';",
		],
		['keeps the votes of its last campaign', 'this.votes = new Map();\n\t\tfor (const', 'for (const'],
		[
			'trusts match indices of an earlier term',
			'this.membership.progress.set(id, progress);',
			'progress.matchIndex = old.matchIndex;\n\t\t\tthis.membership.progress.set(id, progress);',
		],
		['overlapping membership changes (2015)', 'return this.pendingConfIndex > this.log.appliedIndex;', 'return false;'],
		['a new leader forgets changes in its tail', 'this.pendingConfIndex = this.log.lastIndex;', ''],
		[
			'reads before its no-op is committed',
			'return this.log.holds(this.log.commitIndex, this.currentTerm);',
			'return true;',
		],
		[
			'sends votes before they are durable',
			"type === 'append-response' || type === 'vote-response' || type === 'pre-vote-response'",
			"type === 'append-response'",
		],
		[
			'acknowledges entries before they are durable',
			"type === 'append-response' || type === 'vote-response' || type === 'pre-vote-response'",
			"type === 'vote-response' || type === 'pre-vote-response'",
		],
		[
			'ignores stickiness to a leader',
			'this.config.checkQuorum && this.leader !== NONE && this.electionElapsedMs < this.config.electionTimeoutMs',
			'false',
		],
		['sticks to a leader for ever', '&& this.electionElapsedMs < this.config.electionTimeoutMs', ''],
		[
			'does not hear its leader',
			'this.electionStartMs = this.nowMs;\n\t\tif (leader === this.leader) return;',
			'if (leader === this.leader) return;',
		],
		['a node that is installing a snapshot campaigns', ' && this.log.incomingSnapshot === undefined', ''],
		['a learner campaigns', '!progress.isLearner && ', ''],
	]),
	...bugs('core/election.ts', [
		[
			'campaigns with membership changes unapplied',
			'!state.isPromotable || hasUnappliedConfChange(state)',
			'!state.isPromotable',
		],
		[
			'a pre-vote asks for its own term',
			'const term = isPreVote ? state.currentTerm + 1 : state.currentTerm;',
			'const term = state.currentTerm;',
		],
		['does not record whom it voted for', 'state.votedFor = from;', ''],
		[
			'answers a vote with a term of its own',
			'state.send({ type, from: state.id, to: from, term, reject',
			'state.send({ type, from: state.id, to: from, term: state.currentTerm, reject',
		],
		['counts rejections as votes', '!answer.reject);', 'true);'],
		['lets a member change its vote', 'if (!state.votes.has(answer.from)) ', ''],
		[
			'leads without an election after its pre-vote',
			"if (state.role === 'pre-candidate') campaign(state, 'election');\n\telse lead(state);",
			'lead(state);',
		],
		['a new leader appends no no-op', 'appendOwn(state, NO_OP);', ''],
		['counts answers to its pre-vote as votes', 'if (answer.type !== expected) return;', ''],
	]),
	...bugs('core/raft.ts', [
		[
			'ignores newer terms in answers',
			"if (type === 'pre-vote' || (type === 'pre-vote-response' && !message.reject)) return true;",
			"if (type === 'pre-vote' || type === 'pre-vote-response' || type === 'append-response') return true;",
		],
		[
			'takes messages of older terms',
			'\t\t\tanswerOldTerm(state, message);\n\t\t\treturn;',
			'\t\t\tanswerOldTerm(state, message);',
		],
		['says nothing to a leader of an older term', "(type === 'append' || type === 'heartbeat') && isCautious", 'false'],
		[
			'a candidate ignores the leader of its term',
			'state.becomeFollower(message.term, message.from);\n\t\t\tacceptFromLeader',
			'acceptFromLeader',
		],
		['never leaves the joint state', 'propose(state, [LEAVE]);', ''],
		[
			'campaigns before its timeout',
			'state.electionElapsedMs >= state.randomizedTimeoutMs',
			'state.electionElapsedMs > 0',
		],
		[
			'a hand-over that leaves no leader',
			'state.transferee = NONE;\n\t}\n\tif (state.isLeader && state.nowMs',
			'}\n\tif (state.isLeader && state.nowMs',
		],
		['leads without a quorum', 'if (state.config.checkQuorum) checkQuorum(state);', ''],
	]),
	...bugs('core/follower.ts', [
		[
			'looks at entries below what is committed',
			'if (prevIndex < log.commitIndex) {',
			'if (prevIndex + 1 < log.firstIndex) {',
		],
		[
			'acknowledges more than it holds',
			'acknowledge(state, from, lastMatching);',
			'acknowledge(state, from, log.lastIndex);',
		],
		[
			'acknowledges a snapshot that it ignored',
			'isRestored ? state.log.lastIndex : state.log.commitIndex',
			'message.snapshot.index',
		],
		['asks for votes in its hand-over as anybody would', 'startElection(state, true);', 'startElection(state, false);'],
	]),
	...bugs('core/log.ts', [
		[
			'truncates on a late append',
			'if (conflict >= 0) this.append(conflict === 0 ? entries : entries.slice(conflict));',
			'if (entries.length > 0 && prevIndex >= this.commitIndex) this.append(entries);',
		],
		[
			'appends without the consistency check',
			'if (!this.holds(prevIndex, prevTerm)) return undefined;',
			'if (prevIndex > this.lastIndex) return undefined;',
		],
		[
			'commits beyond what the leader has sent',
			'this.commitTo(Math.min(leaderCommit, lastNew));',
			'this.commitTo(Math.min(leaderCommit, this.lastIndex));',
		],
		[
			'takes entries that were replaced since for durable',
			'if (index <= this.stableIndex || !this.holds(index, term)) return;',
			'if (index <= this.stableIndex || index > this.lastIndex) return;',
		],
		[
			'compares logs by length first',
			'lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex)',
			'lastIndex >= this.lastIndex',
		],
		['a log as long as its own is not up to date', 'lastIndex >= this.lastIndex)', 'lastIndex > this.lastIndex)'],
		[
			'applies what is not durable',
			'return allowUnstable ? this.commitIndex : Math.min(this.commitIndex, this.stableIndex);',
			'return this.commitIndex;',
		],
		[
			'a snapshot with the term of the one before',
			'this.#compactedTerm = snapshot.term;\n\t\tthis.commitIndex',
			'this.commitIndex',
		],
		['keeps durable what was replaced', 'this.stableIndex = Math.min(this.stableIndex, keep);', ''],
	]),
	...bugs('core/replication.ts', [
		[
			'a heartbeat commits what the member does not hold',
			'Math.min(progress.matchIndex, state.log.commitIndex)',
			'state.log.commitIndex',
		],
		[
			'the leader counts itself before its write',
			'const index = state.quorumIndex();',
			'const own = state.membership.progress.get(state.id);\n\tif (own !== undefined) own.matchIndex = state.log.lastIndex;\n\tconst index = state.quorumIndex();',
		],
		['sends snapshots to whoever is silent', 'if (!progress.isRecentlyActive) return false;', ''],
		['a full window never empties', "progress.state !== 'replicate' || !progress.inflights.isFull", 'true'],
	]),
	...bugs('core/leader.ts', [
		[
			'ignores the conflict term of a rejection',
			'message.hintTerm > 0 ? state.log.findConflictByTerm(message.hintIndex, message.hintTerm).index : message.hintIndex',
			'message.index - 1',
		],
		['takes proposals during a hand-over', "if (state.transferee !== NONE) return 'transferring';", ''],
		[
			'hands over to whoever lags',
			'from === state.transferee && progress.matchIndex === state.log.lastIndex',
			'from === state.transferee',
		],
		['a removed leader takes proposals', "if (!state.membership.progress.has(state.id)) return 'removed';", ''],
		['takes a change within a joint state', "if (isJoint && !leaves) return 'in-joint-state';", ''],
		[
			'answers reads without asking a quorum',
			'if (!state.membership.isSoleVoter(state.id)) broadcastHeartbeat(state);',
			'for (const id of state.peerIds) state.leaderReads.acknowledge(id, state.leaderReads.sequence);',
		],
	]),
	...bugs('core/quorum.ts', [
		['a majority of one too few', 'Math.floor(indices.length / 2) + 1)', 'Math.ceil(indices.length / 2))'],
		[
			'half of the votes win',
			'const quorum = Math.floor(voters.size / 2) + 1;',
			'const quorum = Math.ceil(voters.size / 2);',
		],
		[
			'the outgoing half of a joint state forgotten',
			'return Math.min(majorityIndex(voters.incoming, indexOf), majorityIndex(voters.outgoing, indexOf));',
			'return majorityIndex(voters.incoming, indexOf);',
		],
		[
			'one half of a joint state wins a vote',
			"if (incoming === 'lost' || outgoing === 'lost') return 'lost';\n\treturn 'pending';",
			'return incoming;',
		],
	]),
	...bugs('core/membership.ts', [
		[
			'a learner counted in a quorum',
			'next.learners.add(id);\n\t\tnext.progress.set(id, newProgress(true, context));',
			'next.learners.add(id);\n\t\tnext.incoming.add(id);\n\t\tnext.progress.set(id, newProgress(true, context));',
		],
		[
			'forgets members of the outgoing half',
			'if (!next.outgoing.has(id)) next.progress.delete(id);',
			'next.progress.delete(id);',
		],
		['a newcomer counts as silent', 'progress.isRecentlyActive = true;', ''],
	]),
	...bugs('core/reconfigure.ts', [
		[
			'a snapshot goes backwards',
			'if (snapshot.index <= log.commitIndex) return false;',
			'if (snapshot.index < log.firstIndex) return false;',
		],
		[
			'keeps the members of before a snapshot',
			'state.membership = restoreMembership(snapshot.confState, state.changeContext());',
			'',
		],
		[
			'a removed leader leads on',
			'if (state.config.stepDownOnRemoval) state.becomeFollower(state.currentTerm, NONE);',
			'',
		],
	]),
	...bugs('core/progress.ts', [
		[
			'goes back below what a member holds',
			'Math.max(Math.min(rejectedIndex, hintIndex + 1), this.matchIndex + 1)',
			'Math.min(rejectedIndex, hintIndex + 1)',
		],
		['late rejections count', 'if (rejectedIndex <= this.matchIndex) return false;', ''],
		[
			'a member’s index goes backwards',
			'if (index <= this.matchIndex) return false;',
			'if (index === this.matchIndex) return false;',
		],
	]),
	...bugs('core/reads.ts', [
		['an answer to an earlier run counts', 'if (nonce !== this.nonce) return [];', ''],
		['confirms a read by its own word', '(id) => this.#acknowledged.get(id)),', '() => last),'],
	]),
	...bugs('core/node.ts', [
		[
			'syncs nothing but entries',
			'entries.length > 0 || snapshot !== undefined || hardState.term !== last.term || hardState.vote !== last.vote',
			'entries.length > 0',
		],
		['an old write makes new entries durable (A-B-A)', 'if (event.term === state.currentTerm) state', 'state'],
	]),
	...bugs('sessions.ts', [
		['applies a retried command again', 'const isRepeat = session.results.has(sequence);', 'const isRepeat = false;'],
		[
			'the session table is not in the snapshot',
			'sessions: [...this.sessions].map(',
			'sessions: [...new Map<number, Session<R>>()].map(',
		],
		['forgets results that nobody has acknowledged', 'if (sequence >= ackedBelow) return;', ''],
	]),
];
