/** Membership taking effect: when a change is applied, and when a snapshot brings a whole new one. */
import { decodeConfChange } from './conf-change.ts';
import { changeMembership, ImpossibleChange, type Membership, restoreMembership } from './membership.ts';
import { broadcastAppend, maybeCommit, sendAppend } from './replication.ts';
import type { RaftState } from './state.ts';
import type { ConfChange, ConfState, MemberId, SnapshotMeta } from './types.ts';
import { NONE } from './types.ts';

/** Why `change` cannot follow the membership in force; undefined when it can. */
export function whyImpossible(state: RaftState, change: ConfChange): string | undefined {
	try {
		changeMembership(state.membership, change, state.changeContext());
		return undefined;
	} catch (error) {
		if (error instanceof ImpossibleChange) return error.message;
		throw error;
	}
}

/** Puts every change up to `index` in force that is not yet. */
export function applyConfChanges(state: RaftState, index: number): void {
	const limit = Math.min(index, state.log.commitIndex);
	while (state.confAppliedIndex < limit) {
		state.confAppliedIndex += 1;
		const entry = state.log.entryAt(state.confAppliedIndex);
		if (entry?.type !== 'conf-change') continue;
		const change = decodeConfChange(entry.data);
		switchTo(state, changeMembership(state.membership, change, state.changeContext()));
	}
}

function switchTo(state: RaftState, membership: Membership): void {
	state.membership = membership;
	state.changedConfState = membership.confState();
	if (!state.isLeader) return;
	const own = membership.progress.get(state.id);
	if (own === undefined || own.isLearner) {
		// Committed, so the others can go on without us (Raft §6).
		if (state.config.stepDownOnRemoval) state.becomeFollower(state.currentTerm, NONE);
		return;
	}
	if (membership.incoming.size === 0) return;
	// Fewer voters may mean that more is committed. Newcomers are probed now rather than at the next heartbeat.
	if (maybeCommit(state)) broadcastAppend(state);
	else for (const id of state.peerIds) sendAppend(state, id, false);
	if (state.transferee !== NONE && !membership.isVoter(state.transferee)) state.transferee = NONE;
}

/**
 * Replaces log and membership. False when the snapshot brings nothing new.
 *
 * A snapshot need not contain the member that gets it: one taken before a newcomer was added is followed by the entry
 * that adds it. Refusing it, as etcd's library does, would leave a newcomer without log until somebody takes a newer
 * snapshot, which never happens when the newcomer's own vote is needed to commit anything.
 */
export function restoreSnapshot(state: RaftState, snapshot: SnapshotMeta): boolean {
	const { log } = state;
	if (snapshot.index <= log.commitIndex) return false;
	if (!state.config.restoresForeignSnapshots && !isMember(snapshot.confState, state.id)) return false;
	if (log.holds(snapshot.index, snapshot.term)) {
		// The log has it all: keep what follows.
		log.commitTo(snapshot.index);
		return false;
	}
	log.restore(snapshot);
	state.membership = restoreMembership(snapshot.confState, state.changeContext());
	state.confAppliedIndex = snapshot.index;
	state.changedConfState = state.membership.confState();
	return true;
}

function isMember({ voters, votersOutgoing, learners }: ConfState, id: MemberId): boolean {
	return voters.includes(id) || votersOutgoing.includes(id) || learners.includes(id);
}
