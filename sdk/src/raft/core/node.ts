/** The door of the core: events in, one batch of effects out. */
import { encodeConfChange } from './conf-change.ts';
import type { RaftOptions } from './config.ts';
import { resolveRaftConfig } from './config.ts';
import { startElection } from './election.ts';
import type {
	PersistEffect,
	PersistedEvent,
	ProgressStatus,
	RaftEffects,
	RaftEvent,
	RaftNode,
	RaftStatus,
} from './events.ts';
import { forwardRead } from './follower.ts';
import {
	canStartReadRound,
	memberUnreachable,
	propose,
	snapshotEnded,
	startReadRound,
	transferLeadership,
} from './leader.ts';
import type { Message } from './messages.ts';
import { applied, leaveJointIfDue, nextDeadlineMs, stepMessage, tick } from './raft.ts';
import { applyConfChanges } from './reconfigure.ts';
import type { NewEntry } from './replication.ts';
import { RaftState } from './state.ts';
import type { HardState, MemberId } from './types.ts';
import { NONE } from './types.ts';

/** Errors: `invalid_input` for settings that clash, `corrupt` for a log that ends before its commit index. */
export function createRaftNode(options: RaftOptions): RaftNode {
	return nodeOver(new RaftState(resolveRaftConfig(options)));
}

/** For simulations that change one rule of the state; everybody else calls {@link createRaftNode}. */
export function nodeOver(state: RaftState): RaftNode {
	return new Node(state);
}

class Node implements RaftNode {
	readonly #state: RaftState;
	#lastHardState: HardState;
	#lastRole: RaftState['role'];
	#lastLeader: MemberId;

	constructor(state: RaftState) {
		this.#state = state;
		this.#lastHardState = this.#hardState();
		this.#lastRole = state.role;
		this.#lastLeader = state.leader;
	}

	get id(): MemberId {
		return this.#state.id;
	}

	step(events: RaftEvent | readonly RaftEvent[], nowMs: number): RaftEffects {
		if (isMany(events)) for (const event of events) this.absorb(event, nowMs);
		else this.absorb(events, nowMs);
		return this.drain();
	}

	nextDeadlineMs(): number | undefined {
		return nextDeadlineMs(this.#state);
	}

	absorb(event: RaftEvent, nowMs: number): void {
		const state = this.#state;
		state.nowMs = Math.max(state.nowMs, nowMs);
		switch (event.type) {
			case 'tick':
				tick(state);
				return;
			case 'message':
				if (event.message.to === state.id && this.#isExpected(event.message)) stepMessage(state, event.message);
				return;
			case 'persisted':
				this.#persisted(event);
				return;
			case 'applied':
				applied(state, event.index);
				return;
			case 'conf-applied':
				applyConfChanges(state, event.index);
				return;
			case 'propose':
				this.#propose(
					event.id,
					event.payloads.map((data) => ({ type: 'normal', data })),
				);
				return;
			case 'propose-conf-change':
				this.#propose(event.id, [{ type: 'conf-change', data: encodeConfChange(event.change) }]);
				return;
			case 'read-index':
				this.#read(event.id);
				return;
			case 'transfer-leader':
				this.#transferLeader(event.to);
				return;
			case 'campaign':
				startElection(state, false);
				return;
			case 'forget-leader':
				if (state.role === 'follower') state.forgetLeader();
				return;
			case 'unreachable':
				if (state.isLeader) memberUnreachable(state, event.id);
				return;
			case 'snapshot-status':
				if (state.isLeader) snapshotEnded(state, event.id, event.ok);
				return;
			case 'compacted':
				state.log.compact(event.snapshot, event.compactIndex);
		}
	}

	/** Answers count only from members; a removed one may still be talking. */
	#isExpected(message: Message): boolean {
		switch (message.type) {
			case 'append-response':
			case 'heartbeat-response':
			case 'vote-response':
			case 'pre-vote-response':
				return this.#state.membership.progress.has(message.from);
			default:
				return true;
		}
	}

	#persisted(event: PersistedEvent): void {
		const state = this.#state;
		for (const message of event.selfMessages) stepMessage(state, message);
		// Entries of an older term may have been replaced and come back (A-B-A): only this term's report proves them.
		if (event.term === state.currentTerm) state.log.stableTo(event.lastIndex, event.lastTerm);
		if (event.snapshotIndex === 0) return;
		state.log.snapshotStable(event.snapshotIndex);
		leaveJointIfDue(state);
	}

	#propose(id: number, entries: readonly NewEntry[]): void {
		const state = this.#state;
		const { leader, currentTerm: term } = state;
		if (!state.isLeader) {
			if (state.role === 'follower' && leader !== NONE && state.config.forwardProposals) {
				state.send({ type: 'propose', from: state.id, to: leader, term: 0, entries });
				state.proposalResults.push({ id, outcome: 'forwarded', leader });
			} else {
				state.proposalResults.push({ id, outcome: 'refused', reason: 'not-leader', leader });
			}
			return;
		}
		const index = state.log.lastIndex + 1;
		const reason = propose(state, entries);
		state.proposalResults.push(
			reason === undefined
				? { id, outcome: 'accepted', term, index, count: entries.length }
				: { id, outcome: 'refused', reason, leader },
		);
	}

	#read(id: number): void {
		const state = this.#state;
		if (state.isLeader) state.leaderReads.add({ type: 'local', id });
		else if (state.leader !== NONE) state.forwardedReads.add(id);
		else state.readResults.push({ id, outcome: 'refused', leader: NONE });
	}

	#transferLeader(to: MemberId): void {
		const state = this.#state;
		if (state.isLeader) transferLeadership(state, to);
		else if (state.role === 'follower' && state.leader !== NONE) {
			const { id: from, leader, currentTerm: term } = state;
			state.send({ type: 'transfer-leader', from, to: leader, term, transferee: to });
		}
	}

	#hardState(): HardState {
		const { currentTerm, votedFor, log } = this.#state;
		return { term: currentTerm, vote: votedFor, commit: log.commitIndex };
	}

	#isHardStateChanged(): boolean {
		const { currentTerm, votedFor, log } = this.#state;
		const last = this.#lastHardState;
		return currentTerm !== last.term || votedFor !== last.vote || log.commitIndex !== last.commit;
	}

	#isLeadershipChanged(): boolean {
		return this.#state.role !== this.#lastRole || this.#state.leader !== this.#lastLeader;
	}

	hasEffects(): boolean {
		const state = this.#state;
		return (
			state.messages.length > 0 ||
			state.messagesAfterPersist.length > 0 ||
			state.readResults.length > 0 ||
			state.proposalResults.length > 0 ||
			state.changedConfState !== undefined ||
			state.forwardedReads.hasWaiting ||
			canStartReadRound(state) ||
			state.log.hasUnwritten ||
			state.log.hasUnwrittenSnapshot ||
			state.log.hasAppliable(!state.config.asyncStorageWrites) ||
			this.#isHardStateChanged() ||
			this.#isLeadershipChanged()
		);
	}

	drain(): RaftEffects {
		const state = this.#state;
		startReadRound(state);
		if (state.forwardedReads.hasWaiting) forwardRead(state, state.forwardedReads.startBatch());
		const persist = this.#drainPersist();
		const apply = state.log.takeAppliable(!state.config.asyncStorageWrites);
		const effects: RaftEffects = {
			messages: state.messages,
			persist,
			apply,
			reads: state.readResults,
			proposals: state.proposalResults,
			leadership: this.#isLeadershipChanged() ? { role: state.role, leader: state.leader } : undefined,
			confState: state.changedConfState,
		};
		state.messages = [];
		state.readResults = [];
		state.proposalResults = [];
		state.changedConfState = undefined;
		this.#lastRole = state.role;
		this.#lastLeader = state.leader;
		return effects;
	}

	#drainPersist(): PersistEffect | undefined {
		const state = this.#state;
		const { log, id, currentTerm } = state;
		const isHardStateChanged = this.#isHardStateChanged();
		const after = state.messagesAfterPersist;
		const { entries, snapshot } = log.takeUnwritten();
		if (!isHardStateChanged && entries.length === 0 && snapshot === undefined && after.length === 0) return undefined;
		const hardState = this.#hardState();
		const last = this.#lastHardState;
		const mustSync =
			entries.length > 0 || snapshot !== undefined || hardState.term !== last.term || hardState.vote !== last.vote;
		this.#lastHardState = hardState;
		state.messagesAfterPersist = [];
		return {
			hardState: isHardStateChanged ? hardState : undefined,
			entries,
			snapshot,
			mustSync,
			messages: after.filter((message) => message.to !== id),
			done: {
				type: 'persisted',
				term: currentTerm,
				lastIndex: log.hasUnstable ? log.lastIndex : 0,
				lastTerm: log.hasUnstable ? log.lastTerm : 0,
				snapshotIndex: snapshot?.index ?? 0,
				selfMessages: after.filter((message) => message.to === id),
			},
		};
	}

	status(): RaftStatus {
		const { id, role, leader, currentTerm, votedFor, log, membership, transferee } = this.#state;
		return {
			id,
			role,
			leader,
			term: currentTerm,
			vote: votedFor,
			commitIndex: log.commitIndex,
			appliedIndex: log.appliedIndex,
			firstIndex: log.firstIndex,
			lastIndex: log.lastIndex,
			stableIndex: log.stableIndex,
			confState: membership.confState(),
			transferee,
			progress: role === 'leader' ? this.#progress() : [],
		};
	}

	#progress(): ProgressStatus[] {
		return [...this.#state.membership.progress]
			.sort(([a], [b]) => a - b)
			.map(([id, progress]) => ({
				id,
				state: progress.state,
				matchIndex: progress.matchIndex,
				nextIndex: progress.nextIndex,
				isLearner: progress.isLearner,
				isPaused: progress.isPaused,
				isRecentlyActive: progress.isRecentlyActive,
				pendingSnapshotIndex: progress.pendingSnapshotIndex,
				inflightCount: progress.inflights.count,
				isInflightFull: progress.inflights.isFull,
			}));
	}
}

function isMany(events: RaftEvent | readonly RaftEvent[]): events is readonly RaftEvent[] {
	return Array.isArray(events);
}
