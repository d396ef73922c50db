/**
 * Who belongs to the group, and how one change turns a membership into the next (thesis §4.3, joint consensus).
 * A `Membership` is replaced, never edited: a change that turns out to be impossible leaves the old one intact.
 *
 * Invariants: every member has a progress; learners vote in neither half; those in `learnersNext` are voters of the
 * outgoing half who become learners when the joint state is left; outside the joint state `outgoing` and
 * `learnersNext` are empty and `autoLeave` is false.
 */
import { isLeaveJoint } from './conf-change.ts';
import { invariant } from './invariant.ts';
import { Progress, type ProgressLimits } from './progress.ts';
import { type JointVoters, jointVote } from './quorum.ts';
import type { ConfChange, ConfChangeItem, ConfState, MemberId } from './types.ts';
import { NONE } from './types.ts';

/** A change that cannot be made from this membership. */
export class ImpossibleChange extends Error {
	override readonly name = 'ImpossibleChange';
}

export class Membership implements JointVoters {
	readonly incoming: Set<MemberId>;
	readonly outgoing: Set<MemberId>;
	readonly learners: Set<MemberId>;
	readonly learnersNext: Set<MemberId>;
	autoLeave: boolean;
	readonly progress: Map<MemberId, Progress>;
	#ids: readonly MemberId[] | undefined;

	constructor(from?: Membership) {
		this.incoming = new Set(from?.incoming);
		this.outgoing = new Set(from?.outgoing);
		this.learners = new Set(from?.learners);
		this.learnersNext = new Set(from?.learnersNext);
		this.autoLeave = from?.autoLeave ?? false;
		this.progress = new Map(from?.progress);
	}

	/** All members, ascending. Valid once the membership is complete. */
	get ids(): readonly MemberId[] {
		this.#ids ??= [...this.progress.keys()].sort((a, b) => a - b);
		return this.#ids;
	}

	get voterIds(): readonly MemberId[] {
		return this.ids.filter((id) => this.isVoter(id));
	}

	get isJoint(): boolean {
		return this.outgoing.size > 0;
	}

	isVoter(id: MemberId): boolean {
		return this.incoming.has(id) || this.outgoing.has(id);
	}

	isSoleVoter(id: MemberId): boolean {
		return !this.isJoint && this.incoming.size === 1 && this.incoming.has(id);
	}

	isQuorumActive(): boolean {
		return jointVote(this, (id) => this.progress.get(id)?.isRecentlyActive) === 'won';
	}

	confState(): ConfState {
		return {
			voters: sorted(this.incoming),
			votersOutgoing: sorted(this.outgoing),
			learners: sorted(this.learners),
			learnersNext: sorted(this.learnersNext),
			autoLeave: this.autoLeave,
		};
	}
}

function sorted(ids: ReadonlySet<MemberId>): MemberId[] {
	return [...ids].sort((a, b) => a - b);
}

export interface ChangeContext {
	/** Where the log ends: a new member is probed from here. */
	readonly lastIndex: number;
	readonly limits: ProgressLimits;
}

/** Thesis §4.3. `undefined` means one simple step is enough; otherwise whether the joint state leaves by itself. */
export function entersJoint(change: ConfChange): { autoLeave: boolean } | undefined {
	if (change.transition === 'auto' && change.changes.length <= 1) return undefined;
	return { autoLeave: change.transition !== 'joint-explicit' };
}

/** Errors: {@link ImpossibleChange} with the reason. */
export function changeMembership(current: Membership, change: ConfChange, context: ChangeContext): Membership {
	if (isLeaveJoint(change)) return leaveJoint(current);
	const joint = entersJoint(change);
	return joint === undefined
		? simpleChange(current, change.changes, context)
		: enterJoint(current, change.changes, joint.autoLeave, context);
}

export function enterJoint(
	current: Membership,
	changes: readonly ConfChangeItem[],
	autoLeave: boolean,
	context: ChangeContext,
): Membership {
	if (current.isJoint) throw new ImpossibleChange('the group is already in a joint state');
	if (current.incoming.size === 0) throw new ImpossibleChange('a group without voters cannot enter a joint state');
	const next = new Membership(current);
	for (const id of current.incoming) next.outgoing.add(id);
	applyItems(next, changes, context);
	next.autoLeave = autoLeave;
	return checked(next);
}

export function leaveJoint(current: Membership): Membership {
	if (!current.isJoint) throw new ImpossibleChange('the group is not in a joint state');
	const next = new Membership(current);
	for (const id of next.learnersNext) {
		next.learners.add(id);
		setLearner(next, id, true);
	}
	next.learnersNext.clear();
	for (const id of next.outgoing) {
		if (!next.incoming.has(id) && !next.learners.has(id)) next.progress.delete(id);
	}
	next.outgoing.clear();
	next.autoLeave = false;
	return checked(next);
}

/** At most one voter may come or go: then old and new majorities always meet (thesis §4.1). */
export function simpleChange(
	current: Membership,
	changes: readonly ConfChangeItem[],
	context: ChangeContext,
): Membership {
	if (current.isJoint) throw new ImpossibleChange('the group must leave its joint state first');
	const next = new Membership(current);
	applyItems(next, changes, context);
	const changed = [...next.incoming, ...current.incoming].filter(
		(id) => next.incoming.has(id) !== current.incoming.has(id),
	);
	if (changed.length > 1) throw new ImpossibleChange('more than one voter changes without a joint state');
	return checked(next);
}

/** The membership that a snapshot or a start describes. */
export function restoreMembership(confState: ConfState, context: ChangeContext): Membership {
	const next = new Membership();
	const add = (id: MemberId, isLearner: boolean) => {
		if (!next.progress.has(id)) next.progress.set(id, newProgress(isLearner, context));
	};
	for (const id of confState.voters) {
		next.incoming.add(id);
		add(id, false);
	}
	for (const id of confState.votersOutgoing) {
		next.outgoing.add(id);
		add(id, false);
	}
	for (const id of confState.learners) {
		next.learners.add(id);
		add(id, true);
	}
	for (const id of confState.learnersNext) next.learnersNext.add(id);
	next.autoLeave = confState.autoLeave;
	return checked(next);
}

function applyItems(next: Membership, changes: readonly ConfChangeItem[], context: ChangeContext): void {
	for (const { type, id } of changes) {
		// A proposer may blank an item it withdraws.
		if (id === NONE) continue;
		if (type === 'add-voter') makeVoter(next, id, context);
		else if (type === 'add-learner') makeLearner(next, id, context);
		else remove(next, id);
	}
	if (next.incoming.size === 0) throw new ImpossibleChange('the last voter would be removed');
}

function makeVoter(next: Membership, id: MemberId, context: ChangeContext): void {
	if (next.progress.has(id)) setLearner(next, id, false);
	else next.progress.set(id, newProgress(false, context));
	next.learners.delete(id);
	next.learnersNext.delete(id);
	next.incoming.add(id);
}

function makeLearner(next: Membership, id: MemberId, context: ChangeContext): void {
	const progress = next.progress.get(id);
	if (progress === undefined) {
		next.learners.add(id);
		next.progress.set(id, newProgress(true, context));
		return;
	}
	if (progress.isLearner) return;
	remove(next, id);
	next.progress.set(id, progress);
	// Still a voter of the outgoing half: a member is never voter and learner at once.
	if (next.outgoing.has(id)) {
		next.learnersNext.add(id);
	} else {
		setLearner(next, id, true);
		next.learners.add(id);
	}
}

function remove(next: Membership, id: MemberId): void {
	if (!next.progress.has(id)) return;
	next.incoming.delete(id);
	next.learners.delete(id);
	next.learnersNext.delete(id);
	if (!next.outgoing.has(id)) next.progress.delete(id);
}

function newProgress(isLearner: boolean, context: ChangeContext): Progress {
	const progress = new Progress(Math.max(context.lastIndex, 1), isLearner, context.limits);
	// Count a newcomer as alive, or the next quorum check might depose the leader that just added it.
	progress.isRecentlyActive = true;
	return progress;
}

function setLearner(next: Membership, id: MemberId, isLearner: boolean): void {
	const progress = next.progress.get(id);
	invariant(progress !== undefined, `member ${id} has no progress`);
	if (progress.isLearner !== isLearner) next.progress.set(id, progress.as(isLearner));
}

function checked(next: Membership): Membership {
	for (const id of [...next.incoming, ...next.outgoing, ...next.learners, ...next.learnersNext]) {
		invariant(next.progress.has(id), `member ${id} has no progress`);
	}
	for (const id of next.learners) {
		invariant(!next.isVoter(id), `member ${id} is a learner and a voter`);
		invariant(next.progress.get(id)?.isLearner === true, `learner ${id} is not marked as one`);
	}
	for (const id of next.learnersNext) {
		invariant(next.outgoing.has(id), `member ${id} is to become a learner but is no outgoing voter`);
		invariant(next.progress.get(id)?.isLearner === false, `member ${id} is marked as a learner too early`);
	}
	invariant(next.isJoint || (next.learnersNext.size === 0 && !next.autoLeave), 'joint leftovers outside a joint state');
	return next;
}
