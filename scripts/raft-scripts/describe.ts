/** Messages, entries and progress in the words of etcd-io/raft's transcripts. */
import { decodeConfChange } from '../../sdk/src/raft/core/conf-change.ts';
import type { PersistedEvent, ProgressStatus } from '../../sdk/src/raft/core/events.ts';
import type { Membership } from '../../sdk/src/raft/core/membership.ts';
import type { Message } from '../../sdk/src/raft/core/messages.ts';
import type { ConfState, Entry, HardState, MemberId, SnapshotMeta } from '../../sdk/src/raft/core/types.ts';

/** What a node has its append thread do, with what may leave once that is done. */
export interface AppendWork {
	readonly type: 'storage-append';
	readonly from: MemberId;
	readonly hardState: HardState | undefined;
	readonly entries: readonly Entry[];
	readonly snapshot: SnapshotMeta | undefined;
	readonly responses: readonly Sent[];
}

export interface ApplyWork {
	readonly type: 'storage-apply';
	readonly from: MemberId;
	readonly entries: readonly Entry[];
	readonly responses: readonly Sent[];
}

export type Work = AppendWork | ApplyWork;

/** On its way to a node: from another one, or from a thread of its own. */
export type Sent =
	| Message
	| {
			readonly type: 'storage-append-response';
			readonly to: MemberId;
			readonly done: PersistedEvent;
			readonly snapshot: SnapshotMeta | undefined;
	  }
	| { readonly type: 'storage-apply-response'; readonly to: MemberId; readonly entries: readonly Entry[] };

const NAMES: Readonly<Record<Sent['type'] | Work['type'], string>> = {
	append: 'MsgApp',
	'append-response': 'MsgAppResp',
	vote: 'MsgVote',
	'vote-response': 'MsgVoteResp',
	'pre-vote': 'MsgPreVote',
	'pre-vote-response': 'MsgPreVoteResp',
	heartbeat: 'MsgHeartbeat',
	'heartbeat-response': 'MsgHeartbeatResp',
	snapshot: 'MsgSnap',
	'timeout-now': 'MsgTimeoutNow',
	'read-index': 'MsgReadIndex',
	'read-index-response': 'MsgReadIndexResp',
	propose: 'MsgProp',
	'transfer-leader': 'MsgTransferLeader',
	'storage-append': 'MsgStorageAppend',
	'storage-append-response': 'MsgStorageAppendResp',
	'storage-apply': 'MsgStorageApply',
	'storage-apply-response': 'MsgStorageApplyResp',
};

const APPEND_THREAD = 'AppendThread';
const APPLY_THREAD = 'ApplyThread';

interface Parts {
	readonly from: string;
	readonly to: string;
	readonly term?: number;
	/** Term and index of "Log". */
	readonly log?: readonly [number, number];
	readonly rejectHint?: number;
	readonly commit?: number;
	readonly vote?: number;
	readonly entries?: readonly string[];
	readonly snapshot?: SnapshotMeta | undefined;
	readonly responses?: readonly Sent[];
}

export function nameOf(type: Sent['type'] | Work['type']): string {
	return NAMES[type];
}

export function describe(message: Sent | Work, indent = ''): string {
	const { from, to, term = 0, log = [0, 0], rejectHint, commit = 0, vote = 0, ...rest } = partsOf(message);
	const { entries = [], snapshot, responses = [] } = rest;
	let text = `${indent}${from}->${to} ${NAMES[message.type]} Term:${term} Log:${log[0]}/${log[1]}`;
	if (rejectHint !== undefined) text += ` Rejected (Hint: ${rejectHint})`;
	if (commit !== 0) text += ` Commit:${commit}`;
	if (vote !== 0) text += ` Vote:${vote}`;
	if (entries.length === 1) text += ` Entries:[${entries[0]}]`;
	else if (entries.length > 1)
		text += ` Entries:[${entries.map((entry) => `\n${indent}  ${entry}`).join('')}\n${indent}]`;
	if (snapshot !== undefined) text += `\n${indent}  Snapshot: ${describeSnapshot(snapshot)}`;
	if (responses.length > 0)
		text += ` Responses:[${responses.map((one) => `\n${describe(one, `${indent}  `)}`).join('')}\n${indent}]`;
	return text;
}

function partsOf(message: Sent | Work): Parts {
	switch (message.type) {
		case 'storage-append': {
			const { hardState, entries, snapshot, responses } = message;
			const { term = 0, vote = 0, commit = 0 } = hardState ?? {};
			return {
				from: hex(message.from),
				to: APPEND_THREAD,
				term,
				vote,
				commit,
				entries: entries.map(describeEntry),
				snapshot,
				responses,
			};
		}
		case 'storage-append-response': {
			const { term, lastTerm, lastIndex } = message.done;
			return { from: APPEND_THREAD, to: hex(message.to), term, log: [lastTerm, lastIndex], snapshot: message.snapshot };
		}
		case 'storage-apply':
			return {
				from: hex(message.from),
				to: APPLY_THREAD,
				entries: message.entries.map(describeEntry),
				responses: message.responses,
			};
		case 'storage-apply-response':
			return { from: APPLY_THREAD, to: hex(message.to), entries: message.entries.map(describeEntry) };
		case 'propose': {
			const entries = message.entries.map((entry) => describeEntry({ ...entry, term: 0, index: 0 }));
			return { ...between(message), entries };
		}
		case 'transfer-leader':
			return { ...between(message), from: hex(message.transferee) };
		case 'append': {
			const { prevTerm, prevIndex, commit, entries } = message;
			return { ...between(message), log: [prevTerm, prevIndex], commit, entries: entries.map(describeEntry) };
		}
		case 'append-response': {
			const { hintTerm, index, reject, hintIndex } = message;
			return { ...between(message), log: [hintTerm, index], ...(reject ? { rejectHint: hintIndex } : {}) };
		}
		case 'vote':
		case 'pre-vote':
			return { ...between(message), log: [message.lastTerm, message.lastIndex] };
		case 'vote-response':
		case 'pre-vote-response':
			return { ...between(message), ...(message.reject ? { rejectHint: 0 } : {}) };
		case 'heartbeat':
			return { ...between(message), commit: message.commit };
		case 'snapshot':
			return { ...between(message), snapshot: message.snapshot };
		default:
			return between(message);
	}
}

function between({ from, to, term }: Message): Parts {
	return { from: hex(from), to: hex(to), term };
}

function hex(id: MemberId): string {
	return id.toString(16);
}

const decoder = new TextDecoder();

export function describeEntry({ term, index, type, data }: Entry): string {
	if (type === 'normal') return `${term}/${index} EntryNormal ${JSON.stringify(decoder.decode(data))}`;
	const { isV1, text } = spokenChange(data);
	return `${term}/${index} EntryConfChange${isV1 ? '' : 'V2'}${text === '' ? '' : ` ${text}`}`;
}

/** How a script has put a change: kept in its context, since our changes have one form only. */
export function spokenChange(data: Uint8Array): { readonly isV1: boolean; readonly text: string } {
	const [version, ...words] = decoder.decode(decodeConfChange(data).context).split(' ');
	return { isV1: version === 'v1', text: words.join(' ') };
}

export function describeHardState({ term, vote, commit }: HardState): string {
	return `Term:${term}${vote === 0 ? '' : ` Vote:${vote}`} Commit:${commit}`;
}

export function describeSnapshot({ index, term, confState }: SnapshotMeta): string {
	return `Index:${index} Term:${term} ConfState:${describeConfState(confState)}`;
}

function describeConfState({ voters, votersOutgoing, learners, learnersNext, autoLeave }: ConfState): string {
	const list = (ids: readonly MemberId[]): string => `[${ids.join(' ')}]`;
	return `Voters:${list(voters)} VotersOutgoing:${list(votersOutgoing)} Learners:${list(learners)} LearnersNext:${list(learnersNext)} AutoLeave:${autoLeave}`;
}

const STATES = { probe: 'StateProbe', replicate: 'StateReplicate', snapshot: 'StateSnapshot' } as const;

export function describeProgress(progress: ProgressStatus): string {
	const { id, state, matchIndex, nextIndex, pendingSnapshotIndex, inflightCount } = progress;
	let text = `${id}: ${STATES[state]} match=${matchIndex} next=${nextIndex}`;
	if (progress.isLearner) text += ' learner';
	if (progress.isPaused) text += ' paused';
	if (pendingSnapshotIndex > 0) text += ` pendingSnap=${pendingSnapshotIndex}`;
	if (!progress.isRecentlyActive) text += ' inactive';
	if (inflightCount > 0) text += ` inflight=${inflightCount}${progress.isInflightFull ? '[full]' : ''}`;
	return text;
}

/** `voters=(1 2)&&(1) learners=(3) autoleave` */
export function describeMembership({ incoming, outgoing, learners, learnersNext, autoLeave }: Membership): string {
	const list = (ids: ReadonlySet<MemberId>): string =>
		`(${[...ids]
			.sort((a, b) => a - b)
			.map(hex)
			.join(' ')})`;
	let text = `voters=${list(incoming)}`;
	if (outgoing.size > 0) text += `&&${list(outgoing)}`;
	if (learners.size > 0) text += ` learners=${list(learners)}`;
	if (learnersNext.size > 0) text += ` learners_next=${list(learnersNext)}`;
	return autoLeave ? `${text} autoleave` : text;
}
