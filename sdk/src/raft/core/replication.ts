/** What a leader sends to bring its members up to its log (Raft §5.3), and the rule by which entries commit (§5.4). */
import type { Progress } from './progress.ts';
import type { RaftState } from './state.ts';
import type { Entry, EntryType, MemberId } from './types.ts';

export interface NewEntry {
	readonly type: EntryType;
	readonly data: Uint8Array;
}

/** Appends to the leader's own log. False when the uncommitted tail is full; empty payloads are never refused. */
export function appendOwn(state: RaftState, news: readonly NewEntry[]): boolean {
	let bytes = 0;
	for (const entry of news) bytes += entry.data.byteLength;
	// An empty tail takes a proposal of any size, or a large one could never pass.
	const isOverLimit = state.uncommittedBytes + bytes > state.config.uncommittedBytesMax;
	if (bytes > 0 && state.uncommittedBytes > 0 && isOverLimit) return false;
	state.uncommittedBytes += bytes;
	const { lastIndex } = state.log;
	const term = state.currentTerm;
	state.log.append(news.map(({ type, data }, i): Entry => ({ term, index: lastIndex + 1 + i, type, data })));
	// The leader counts itself like any follower: once its own write is durable.
	state.send({
		type: 'append-response',
		from: state.id,
		to: state.id,
		term,
		index: state.log.lastIndex,
		reject: false,
		hintIndex: 0,
		hintTerm: 0,
	});
	return true;
}

/** Entries leave the uncommitted tail when they are applied. */
export function releaseUncommitted(state: RaftState, bytes: number): void {
	state.uncommittedBytes = Math.max(0, state.uncommittedBytes - bytes);
}

export function broadcastAppend(state: RaftState): void {
	for (const id of state.peerIds) sendAppend(state, id, true);
}

/** Sends the next entries, or a snapshot when they are compacted. False when nothing was sent. */
export function sendAppend(state: RaftState, to: MemberId, sendIfEmpty: boolean): boolean {
	const progress = state.membership.progress.get(to);
	if (progress === undefined || progress.isPaused) return false;
	const { log } = state;
	const prevIndex = progress.nextIndex - 1;
	const prevTerm = log.termAt(prevIndex);
	if (prevTerm === undefined) return sendSnapshot(state, to, progress);
	// With a full window an empty message may still pass: it finds out whether what filled the window was lost.
	const hasRoom = progress.state !== 'replicate' || !progress.inflights.isFull;
	const entries = hasRoom ? log.slice(progress.nextIndex, log.lastIndex, state.config.messageBytesMax) : [];
	if (entries.length === 0 && !sendIfEmpty) return false;
	state.send({
		type: 'append',
		from: state.id,
		to,
		term: state.currentTerm,
		prevIndex,
		prevTerm,
		entries,
		commit: log.commitIndex,
	});
	let bytes = 0;
	for (const entry of entries) bytes += entry.data.byteLength;
	progress.sentEntries(entries.length, bytes);
	progress.sentCommit(log.commitIndex);
	return true;
}

function sendSnapshot(state: RaftState, to: MemberId, progress: Progress): boolean {
	// Nobody listens: a stream would only hold resources.
	if (!progress.isRecentlyActive) return false;
	const snapshot = state.log.incomingSnapshot ?? state.log.snapshot;
	if (snapshot.index === 0) return false;
	progress.becomeSnapshot(snapshot.index);
	state.send({ type: 'snapshot', from: state.id, to, term: state.currentTerm, snapshot });
	return true;
}

export function broadcastHeartbeat(state: RaftState): void {
	for (const to of state.peerIds) {
		const progress = state.membership.progress.get(to);
		if (progress === undefined) continue;
		// Never above what the member holds: it commits whatever stands there.
		const commit = Math.min(progress.matchIndex, state.log.commitIndex);
		state.send({
			type: 'heartbeat',
			from: state.id,
			to,
			term: state.currentTerm,
			commit,
			readSequence: state.leaderReads.sequence,
		});
		progress.sentCommit(commit);
	}
}

/** Advances the commit index to what a quorum holds. True when it moved: the members should hear of it. */
export function maybeCommit(state: RaftState): boolean {
	const index = state.quorumIndex();
	if (index <= state.log.commitIndex || !state.mayCommit(index)) return false;
	state.log.commitTo(index);
	return true;
}
