/**
 * The state of one node (Raft figure 2) and the moves between roles that need nothing but it. How messages are
 * answered stands in `election.ts`, `leader.ts` and `follower.ts`.
 *
 * The small predicates at the end are the rules that safety rests on, one each, so that the simulation can plant a
 * bug in one of them and show that its checkers notice.
 */
import type { RaftConfig } from './config.ts';
import type { ProposalResult, ReadResult, Role } from './events.ts';
import { RaftLog } from './log.ts';
import { type ChangeContext, type Membership, restoreMembership } from './membership.ts';
import type { Message, VoteMessage } from './messages.ts';
import { Progress } from './progress.ts';
import { jointIndex } from './quorum.ts';
import { ForwardedReads, LeaderReads } from './reads.ts';
import type { ConfState, MemberId } from './types.ts';
import { NONE } from './types.ts';

export class RaftState {
	readonly config: RaftConfig;
	readonly id: MemberId;
	readonly log: RaftLog;
	membership: Membership;
	/** Membership changes up to this entry are in force. */
	confAppliedIndex: number;

	currentTerm: number;
	votedFor: MemberId;
	role: Role = 'follower';
	leader: MemberId = NONE;
	/** Answers to this node's campaign; the first one of each member counts. */
	votes = new Map<MemberId, boolean>();

	/** The newest membership entry that may not be applied yet; another must not be appended before it is. */
	pendingConfIndex = 0;
	transferee: MemberId = NONE;
	uncommittedBytes = 0;
	leaderReads: LeaderReads;
	readonly forwardedReads: ForwardedReads;

	nowMs: number;
	/** When a leader was last heard from, a vote last granted, or the quorum last checked. */
	electionStartMs: number;
	heartbeatStartMs: number;
	/** Drawn from [electionTimeoutMs, twice that), anew for every term (Raft §5.2). */
	randomizedTimeoutMs = 0;

	/** Effects that gather until the next batch. */
	messages: Message[] = [];
	messagesAfterPersist: Message[] = [];
	readResults: ReadResult[] = [];
	proposalResults: ProposalResult[] = [];
	changedConfState: ConfState | undefined;

	constructor(config: RaftConfig) {
		this.config = config;
		this.id = config.id;
		this.nowMs = config.nowMs;
		this.electionStartMs = config.nowMs;
		this.heartbeatStartMs = config.nowMs;
		this.currentTerm = config.hardState.term;
		this.votedFor = config.hardState.vote;
		this.log = new RaftLog({ ...config, commitIndex: config.hardState.commit });
		this.confAppliedIndex = config.appliedIndex;
		this.membership = restoreMembership(config.confState, this.changeContext());
		this.leaderReads = new LeaderReads();
		this.forwardedReads = new ForwardedReads(Math.floor(config.random() * Number.MAX_SAFE_INTEGER));
		this.becomeFollower(this.currentTerm, NONE);
	}

	changeContext(): ChangeContext {
		return { lastIndex: this.log.lastIndex, limits: this.config };
	}

	get isLeader(): boolean {
		return this.role === 'leader';
	}

	/** May become leader: a voter whose state is its own, not a snapshot still being installed. */
	get isPromotable(): boolean {
		const progress = this.membership.progress.get(this.id);
		return progress !== undefined && !progress.isLearner && this.log.incomingSnapshot === undefined;
	}

	get electionElapsedMs(): number {
		return this.nowMs - this.electionStartMs;
	}

	/** Others, ascending, so that equal histories give equal messages. */
	get peerIds(): readonly MemberId[] {
		return this.membership.ids.filter((id) => id !== this.id);
	}

	becomeFollower(term: number, leader: MemberId): void {
		this.#reset(term);
		this.leader = leader;
		this.role = 'follower';
	}

	/** Asks without taking the next term: a node cut off from the others must not raise terms (thesis §9.6). */
	becomePreCandidate(): void {
		this.votes = new Map();
		this.#loseLeader();
		this.role = 'pre-candidate';
	}

	becomeCandidate(): void {
		this.#reset(this.currentTerm + 1);
		this.votedFor = this.id;
		this.role = 'candidate';
	}

	/** The caller appends the no-op of the term. */
	becomeLeader(): void {
		this.#reset(this.currentTerm);
		this.leader = this.id;
		this.role = 'leader';
		const own = this.membership.progress.get(this.id);
		own?.becomeReplicate();
		if (own !== undefined) own.isRecentlyActive = true;
		// There may be a membership entry in the tail. Waiting for the whole tail is safe and needs no search.
		this.pendingConfIndex = this.log.lastIndex;
	}

	followLeader(leader: MemberId): void {
		this.electionStartMs = this.nowMs;
		if (leader === this.leader) return;
		this.#loseLeader();
		this.leader = leader;
	}

	forgetLeader(): void {
		this.#loseLeader();
	}

	#loseLeader(): void {
		this.leader = NONE;
		for (const id of this.forwardedReads.dropAll()) this.readResults.push({ id, outcome: 'refused', leader: NONE });
	}

	#reset(term: number): void {
		if (term !== this.currentTerm) {
			this.currentTerm = term;
			this.votedFor = NONE;
		}
		this.#loseLeader();
		// Reads that a deposed leader never confirmed are not answered: their index may be stale by now.
		for (const id of this.leaderReads.localIds()) this.readResults.push({ id, outcome: 'refused', leader: NONE });
		this.leaderReads = new LeaderReads();
		this.electionStartMs = this.nowMs;
		this.heartbeatStartMs = this.nowMs;
		this.drawElectionTimeout();
		this.transferee = NONE;
		this.votes = new Map();
		for (const [id, old] of this.membership.progress) {
			const progress = new Progress(this.log.lastIndex + 1, old.isLearner, this.config);
			if (id === this.id) progress.matchIndex = this.log.lastIndex;
			this.membership.progress.set(id, progress);
		}
		this.pendingConfIndex = 0;
		this.uncommittedBytes = 0;
	}

	drawElectionTimeout(): void {
		const { electionTimeoutMs, random } = this.config;
		this.randomizedTimeoutMs = electionTimeoutMs + Math.floor(random() * electionTimeoutMs);
	}

	send(message: Message): void {
		// What promises something of this node's disk waits for the disk.
		const { type } = message;
		if (type === 'append-response' || type === 'vote-response' || type === 'pre-vote-response') {
			this.messagesAfterPersist.push(message);
		} else {
			this.messages.push(message);
		}
	}

	/** Thesis §4.2.3: within an election timeout of hearing from a leader, others' campaigns are ignored. */
	isLeaderAlive(): boolean {
		return this.config.checkQuorum && this.leader !== NONE && this.electionElapsedMs < this.config.electionTimeoutMs;
	}

	/** Raft §5.2: one vote per term; §5.4.1: only for a log that holds everything committed. */
	mayGrant(vote: VoteMessage): boolean {
		const isRepeated = this.votedFor === vote.from;
		const isFree = this.votedFor === NONE && this.leader === NONE;
		const isFuturePreVote = vote.type === 'pre-vote' && vote.term > this.currentTerm;
		return (isRepeated || isFree || isFuturePreVote) && this.isCandidateUpToDate(vote);
	}

	isCandidateUpToDate(vote: VoteMessage): boolean {
		return this.log.isUpToDate(vote.lastIndex, vote.lastTerm);
	}

	/** The highest index that every quorum in force holds. Learners do not count. */
	quorumIndex(): number {
		return jointIndex(this.membership, (id) => this.membership.progress.get(id)?.matchIndex);
	}

	/**
	 * Raft §5.4.2: only entries of the own term commit by counting replicas. An older entry can sit on a majority and
	 * still be overwritten (figure 8).
	 */
	mayCommit(index: number): boolean {
		return this.log.holds(index, this.currentTerm);
	}

	/** Before its first commit a leader does not know what is committed, so it cannot answer reads (thesis §6.4). */
	hasCommittedInTerm(): boolean {
		return this.log.holds(this.log.commitIndex, this.currentTerm);
	}

	/**
	 * One membership change at a time, and for a new leader none before its own no-op is applied: two changes that
	 * do not know of each other could have majorities that do not meet (the single-server bug of 2015).
	 */
	isConfChangePending(): boolean {
		return this.pendingConfIndex > this.log.appliedIndex;
	}
}
