/**
 * Planted bugs: the classic mistakes, one at a time, each a change to one rule of the state or of the driver. A
 * simulation that does not notice them would prove nothing.
 */
import { type RaftOptions, resolveRaftConfig } from '../core/index.ts';
import { nodeOver } from '../core/node.ts';
import { majorityIndex } from '../core/quorum.ts';
import { RaftState } from '../core/state.ts';
import type { SimulationOptions } from './simulation.ts';

export interface Mutant {
	readonly name: string;
	readonly options: Partial<SimulationOptions>;
	/** Where the search starts. A rare bug starts shortly before a seed that once showed it. @default 1 */
	readonly fromSeed?: number;
}

function over(State: typeof RaftState): Partial<SimulationOptions> {
	return { createNode: (options: RaftOptions) => nodeOver(new State(resolveRaftConfig(options))) };
}

class CountsOldTerms extends RaftState {
	override mayCommit(index: number): boolean {
		return this.log.termAt(index) !== undefined;
	}
}

class VotesTwice extends RaftState {
	override mayGrant(...[vote]: Parameters<RaftState['mayGrant']>): boolean {
		return this.isCandidateUpToDate(vote);
	}
}

class VotesForOldLogs extends RaftState {
	override isCandidateUpToDate(): boolean {
		return true;
	}
}

class ReadsBeforeNoOp extends RaftState {
	override hasCommittedInTerm(): boolean {
		return true;
	}
}

class ReadsWithoutQuorum extends RaftState {
	override becomeLeader(): void {
		super.becomeLeader();
		const reads = this.leaderReads;
		const takeConfirmed = reads.takeConfirmed.bind(reads);
		reads.takeConfirmed = () => takeConfirmed({ incoming: new Set([this.id]), outgoing: new Set() });
	}
}

class CountsLearners extends RaftState {
	override quorumIndex(): number {
		const { progress } = this.membership;
		return majorityIndex(new Set(progress.keys()), (id) => progress.get(id)?.matchIndex);
	}
}

class ForgetsOutgoingHalf extends RaftState {
	override quorumIndex(): number {
		const { incoming, progress } = this.membership;
		return majorityIndex(incoming, (id) => progress.get(id)?.matchIndex);
	}
}

class CountsItselfEarly extends RaftState {
	override quorumIndex(): number {
		const own = this.membership.progress.get(this.id);
		if (own !== undefined) own.matchIndex = this.log.lastIndex;
		return super.quorumIndex();
	}
}

class ChangesOverlap extends RaftState {
	override isConfChangePending(): boolean {
		return false;
	}
}

class TruncatesOnLateAppend extends RaftState {
	constructor(...args: ConstructorParameters<typeof RaftState>) {
		super(...args);
		const { log } = this;
		log.appendFromLeader = (prevIndex, prevTerm, entries, commit) => {
			if (!log.holds(prevIndex, prevTerm)) return undefined;
			log.append(entries);
			const lastNew = prevIndex + entries.length;
			log.commitTo(Math.min(commit, lastNew));
			return lastNew;
		};
	}
}

class SkipsConsistencyCheck extends RaftState {
	constructor(...args: ConstructorParameters<typeof RaftState>) {
		super(...args);
		const { log } = this;
		const appendFromLeader = log.appendFromLeader.bind(log);
		log.appendFromLeader = (prevIndex, _, entries, commit) =>
			appendFromLeader(prevIndex, log.termAt(prevIndex) ?? -1, entries, commit);
	}
}

/** Many short terms, and entries that travel one by one: what a slow, well-behaved group would hide. */
export const CHURN: Partial<RaftOptions> = {
	electionTimeoutMs: 40,
	heartbeatMs: 10,
	messageBytesMax: 1,
	inflightMessagesMax: 2,
	preVote: false,
	checkQuorum: false,
};
/** A deposed leader does not notice by itself. */
export const DEAF: Partial<RaftOptions> = { ...CHURN, messageBytesMax: 4000 };

export const MUTANTS: readonly Mutant[] = [
	{ name: 'reply before persist', options: { repliesBeforePersist: true } },
	{ name: 'forgetting the vote after restart', options: { forgetsVote: true } },
	{ name: 'applying membership changes twice after restart', options: { keepsMembers: true } },
	{
		name: 'counting replicas of an older term (figure 8)',
		options: { ...over(CountsOldTerms), settings: CHURN },
		fromSeed: 680,
	},
	{ name: 'two votes in one term', options: over(VotesTwice) },
	{ name: 'a vote for a log that lacks committed entries', options: over(VotesForOldLogs) },
	{ name: 'a read index before the no-op is committed', options: { ...over(ReadsBeforeNoOp), settings: CHURN } },
	{ name: 'a read index without asking a quorum', options: { ...over(ReadsWithoutQuorum), settings: DEAF } },
	{ name: 'a learner counted in a quorum', options: { ...over(CountsLearners), settings: CHURN } },
	{
		name: 'the outgoing half of a joint state forgotten',
		options: { ...over(ForgetsOutgoingHalf), settings: CHURN },
		fromSeed: 760,
	},
	{
		name: 'a leader that counts itself before its write is durable',
		options: { ...over(CountsItselfEarly), settings: CHURN },
		fromSeed: 290,
	},
	{ name: 'overlapping membership changes (2015)', options: over(ChangesOverlap) },
	{ name: 'truncating on a late append', options: over(TruncatesOnLateAppend) },
	{ name: 'appending without the consistency check', options: over(SkipsConsistencyCheck) },
];
