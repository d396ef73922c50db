/** One node of a script: our core, the disk it writes to, and the threads that write and apply when they are told to. */
import { resolveRaftConfig } from '../../sdk/src/raft/core/config.ts';
import type { RaftEffects, RaftEvent, RaftNode, RaftStatus } from '../../sdk/src/raft/core/events.ts';
import { nodeOver } from '../../sdk/src/raft/core/node.ts';
import { RaftState } from '../../sdk/src/raft/core/state.ts';
import type { ConfChange, Entry, MemberId, SnapshotMeta } from '../../sdk/src/raft/core/types.ts';
import {
	type AppendWork,
	type ApplyWork,
	describe,
	describeEntry,
	describeHardState,
	describeSnapshot,
	nameOf,
	type Sent,
	type Work,
} from './describe.ts';
import { ScriptError, StoredLog } from './stored-log.ts';

/** Time is counted in ticks. */
export const ELECTION_TICKS = 3;
export const HEARTBEAT_TICKS = 1;

export interface NodeSettings {
	readonly id: MemberId;
	/** What it starts with; index 0 for nothing. */
	readonly snapshot: SnapshotMeta;
	readonly isAsync: boolean;
	readonly preVote: boolean;
	readonly checkQuorum: boolean;
	readonly isLeaseBased: boolean;
	readonly stepDownOnRemoval: boolean;
	readonly validateConfChanges: boolean;
	readonly inflightMessagesMax: number;
	readonly applyingBytesMax: number;
}

/** What was printed, and the messages that leave. */
export interface Done {
	readonly text: string;
	readonly messages: readonly Sent[];
}

const UNLIMITED = Number.MAX_SAFE_INTEGER;
const STATES = {
	follower: 'StateFollower',
	'pre-candidate': 'StatePreCandidate',
	candidate: 'StateCandidate',
	leader: 'StateLeader',
} as const;
/** Answers count from members only. */
const RESPONSES: ReadonlySet<Sent['type']> = new Set([
	'append-response',
	'vote-response',
	'pre-vote-response',
	'heartbeat-response',
	'read-index-response',
]);
const DROPPED = new ScriptError('raft proposal dropped');

export class ScriptNode {
	readonly id: MemberId;
	readonly isAsync: boolean;
	readonly stored = new StoredLog();
	readonly appendWork: AppendWork[] = [];
	readonly applyWork: ApplyWork[] = [];
	readonly #isLeaseBased: boolean;
	readonly #state: RaftState;
	readonly #node: RaftNode;
	/** The state machine after each entry that it has applied. */
	readonly #history: SnapshotMeta[];
	#ticks = 0;
	/** As of the last batch. */
	#last = { term: 0, vote: 0 };

	constructor(settings: NodeSettings) {
		const { id, snapshot, isAsync, isLeaseBased, ...rest } = settings;
		this.id = id;
		this.isAsync = isAsync;
		this.#isLeaseBased = isLeaseBased;
		this.#history = [snapshot];
		if (snapshot.index > 0) this.stored.restore(snapshot);
		this.#state = new RaftState(
			resolveRaftConfig({
				...{ id, snapshot, asyncStorageWrites: isAsync, nowMs: 0, random: () => 0 },
				...{ electionTimeoutMs: ELECTION_TICKS, heartbeatMs: HEARTBEAT_TICKS },
				...{ messageBytesMax: UNLIMITED, inflightBytesMax: UNLIMITED, uncommittedBytesMax: UNLIMITED },
				...{ forwardProposals: true, sharesCommitInVotes: false, restoresForeignSnapshots: false, entryBytes },
				...rest,
			}),
		);
		this.#node = nodeOver(this.#state);
	}

	get status(): RaftStatus {
		return this.#node.status();
	}

	get hasReady(): boolean {
		return this.#node.hasEffects();
	}

	/** The newest state of its state machine. */
	get snapshot(): SnapshotMeta {
		return this.#history.at(-1) as SnapshotMeta;
	}

	describeState(): string {
		const { id, role, term, leader } = this.status;
		const voter = this.#state.membership.isVoter(id) ? '(Voter)' : '(Non-Voter)';
		return `${id}: ${STATES[role]} ${voter} Term:${term} Lead:${leader}`;
	}

	tick(): void {
		this.#ticks++;
		this.#absorb({ type: 'tick' });
	}

	drawElectionTimeout(ticks: number): void {
		this.#state.randomizedTimeoutMs = ticks;
	}

	campaign(): void {
		this.#absorb({ type: 'campaign' });
	}

	forgetLeader(): void {
		if (!this.#isLeaseBased) this.#absorb({ type: 'forget-leader' });
	}

	transferLeadership(to: MemberId): void {
		this.#absorb({ type: 'transfer-leader', to });
	}

	reportUnreachable(id: MemberId): void {
		this.#absorb({ type: 'unreachable', id });
	}

	/** Throws {@link ScriptError} when it is dropped. */
	propose(data: Uint8Array): void {
		this.#propose({ type: 'propose', id: 0, payloads: [data] });
	}

	/** Throws {@link ScriptError} when it is dropped. */
	proposeChange(change: ConfChange): void {
		this.#propose({ type: 'propose-conf-change', id: 0, change });
	}

	/** Throws {@link ScriptError} for what raft answers to with an error. */
	deliver(message: Sent): void {
		switch (message.type) {
			case 'storage-append-response':
				return this.#absorb({ ...message.done, selfMessages: [] });
			case 'storage-apply-response':
				return this.#applied(message.entries);
			default: {
				if (RESPONSES.has(message.type) && !this.#state.membership.progress.has(message.from))
					throw new ScriptError('raft: cannot step as peer not found');
				const { role, leader, currentTerm } = this.#state;
				// etcd's library panics where a wish that it has passed on once comes to the leader of the past.
				if (message.type === 'transfer-leader' && role === 'follower' && leader !== 0 && message.term === currentTerm)
					throw new Error(`term should not be set when sending MsgTransferLeader (was ${message.term})`);
				const isDropped = message.type === 'propose' && this.#dropsProposals();
				this.#absorb({ type: 'message', message });
				if (isDropped) throw DROPPED;
			}
		}
	}

	/** Performs what follows from all before. */
	handleReady(): Done {
		const after = [...this.#state.messagesAfterPersist];
		const { hasUnstable } = this.#state.log;
		const effects = this.#node.drain();
		const { messages, persist, apply } = effects;
		const work = this.isAsync ? this.#workOf(effects, after, hasUnstable) : [];
		const toOthers = this.isAsync ? [] : after.filter(({ to }) => to !== this.id);
		const { term, vote } = this.status;
		const entryCount = persist?.entries.length ?? 0;
		// A snapshot alone need not be synced, says etcd.
		const mustSync = entryCount > 0 || term !== this.#last.term || vote !== this.#last.vote;
		this.#last = { term, vote };
		const text = describeReady(effects, mustSync, [...messages, ...toOthers, ...work]);
		for (const one of work) {
			if (one.type === 'storage-append') this.appendWork.push(one);
			else this.applyWork.push(one);
		}
		if (!this.isAsync) {
			if (persist !== undefined) this.#write(persist);
			this.#apply(apply);
			if (persist !== undefined) this.#absorb(persist.done);
			if (apply.length > 0) this.#applied(apply);
		}
		return { text, messages: [...messages, ...toOthers] };
	}

	/** One piece of work; undefined when there is none. */
	runAppendThread(): Done | undefined {
		const work = this.appendWork.shift();
		if (work === undefined) return undefined;
		this.#write(work);
		return { text: describeWork(work), messages: work.responses };
	}

	runApplyThread(): Done | undefined {
		const work = this.applyWork.shift();
		if (work === undefined) return undefined;
		this.#apply(work.entries);
		return { text: describeWork(work), messages: work.responses };
	}

	compact(index: number): void {
		this.stored.compact(index);
		// Scripts compact also what has not been applied.
		this.#state.log.dropTo(index);
	}

	describeLog(): string {
		const { entries, firstIndex, lastIndex } = this.stored;
		if (entries.length === 0) return `log is empty: first index=${firstIndex}, last index=${lastIndex}`;
		return entries.map((entry) => `${describeEntry(entry)}\n`).join('');
	}

	#propose(event: RaftEvent): void {
		const isDropped = this.#dropsProposals();
		this.#absorb(event);
		if (isDropped) throw DROPPED;
	}

	#dropsProposals(): boolean {
		const { role, leader, membership, transferee } = this.#state;
		if (role === 'leader') return !membership.progress.has(this.id) || transferee !== 0;
		return role !== 'follower' || leader === 0;
	}

	#absorb(event: RaftEvent): void {
		const state = this.#state;
		this.#node.absorb(event, this.#ticks);
		// Of no interest to a transcript.
		state.proposalResults = [];
		state.changedConfState = undefined;
		// Whoever asks for a snapshot gets the newest.
		state.log.snapshot = this.snapshot;
		const toSelf = state.messages.find(({ to }) => to === this.id);
		if (toSelf !== undefined)
			throw new Error(`message should not be self-addressed when sending ${nameOf(toSelf.type)}`);
	}

	#applied(entries: readonly Entry[]): void {
		this.#absorb({ type: 'applied', index: (entries.at(-1) as Entry).index });
	}

	#write({ entries, snapshot }: Pick<AppendWork, 'entries' | 'snapshot'>): void {
		if (snapshot === undefined) return this.stored.append(entries);
		if (entries.length > 0) throw new ScriptError("can't apply snapshot and entries at the same time");
		this.stored.restore(snapshot);
	}

	#apply(entries: readonly Entry[]): void {
		for (const { index, term, type } of entries) {
			let { confState } = this.snapshot;
			if (type === 'conf-change') {
				this.#absorb({ type: 'conf-applied', index });
				confState = this.#state.membership.confState();
			}
			this.#history.push({ index, term, confState });
			this.#state.log.snapshot = this.snapshot;
		}
	}

	#workOf({ persist, apply }: RaftEffects, after: readonly Sent[], hasUnstable: boolean): Work[] {
		const work: Work[] = [];
		const { id } = this;
		if (persist !== undefined) {
			const { hardState, entries, snapshot, done } = persist;
			const isAnswered = hasUnstable || snapshot !== undefined;
			const answer: Sent = { type: 'storage-append-response', to: id, done, snapshot };
			const responses = isAnswered ? [...after, answer] : after;
			work.push({ type: 'storage-append', from: id, hardState, entries, snapshot, responses });
		}
		if (apply.length > 0) {
			const responses: Sent[] = [{ type: 'storage-apply-response', to: id, entries: apply }];
			work.push({ type: 'storage-apply', from: id, entries: apply, responses });
		}
		return work;
	}
}

function describeReady(
	{ leadership, persist, apply }: RaftEffects,
	mustSync: boolean,
	messages: readonly (Sent | Work)[],
): string {
	const lines: string[] = [];
	const { hardState, entries = [], snapshot } = persist ?? {};
	if (leadership !== undefined) lines.push(`Lead:${leadership.leader} State:${STATES[leadership.role]}`);
	if (hardState !== undefined) lines.push(`HardState ${describeHardState(hardState)}`);
	if (entries.length > 0) lines.push('Entries:', ...entries.map(describeEntry));
	if (snapshot !== undefined) lines.push(`Snapshot ${describeSnapshot(snapshot)}`);
	if (apply.length > 0) lines.push('CommittedEntries:', ...apply.map(describeEntry));
	if (messages.length > 0) lines.push('Messages:', ...messages.map((message) => describe(message)));
	if (lines.length === 0) return '<empty Ready>';
	return [`Ready MustSync=${mustSync}:`, ...lines, ''].join('\n');
}

function describeWork(work: Work): string {
	const answers = work.responses.map((message) => `${describe(message)}\n`).join('');
	return `Processing:\n${describe({ ...work, responses: [] })}\nResponses:\n${answers}`;
}

/** What an entry of etcd's takes in protocol buffers, as far as scripts can tell. */
function entryBytes({ term, index, type, data }: Entry): number {
	const varint = (value: number): number => Math.max(1, Math.ceil((32 - Math.clz32(value)) / 7));
	const dataBytes = data.byteLength === 0 ? 0 : 1 + varint(data.byteLength) + data.byteLength;
	return 2 + varint(term) + varint(index) + (type === 'conf-change' ? 2 : 0) + dataBytes;
}

/** The data of a change in a log, with how the script has put it. */
export function changeOf(words: string, version: 'v1' | 'v2', transition: ConfChange['transition']): ConfChange {
	const kinds = { v: 'add-voter', l: 'add-learner', r: 'remove' } as const;
	const changes = words
		.split(' ')
		.filter((word) => word !== '')
		.map((word) => {
			const type = kinds[word[0] as keyof typeof kinds];
			// An update changes nothing that the core knows of.
			return type === undefined ? { type: 'remove' as const, id: 0 } : { type, id: Number(word.slice(1)) };
		});
	return { transition, changes, context: new TextEncoder().encode(`${version} ${words}`.trim()) };
}
