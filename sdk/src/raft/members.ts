/**
 * From the members a group has to those it should have, one change at a time. Pure: looks at what the leader knows
 * and names the next change.
 */
import { ByteReader, ByteWriter } from './codec/bytes.ts';
import type { ConfChange, ConfState, Entry, MemberId, RaftStatus } from './core/index.ts';
import { decodeConfChange } from './core/index.ts';
import type { MemberIdentity } from './group.types.ts';

/** A learner this close to the end of the log is voted in: it catches up on the rest in one message. */
const CAUGHT_UP_ENTRIES = 256;
const NO_CONTEXT = new Uint8Array(0);

export function encodeContexts(members: readonly MemberIdentity[]): Uint8Array {
	const writer = new ByteWriter(64);
	for (const { id, context } of members) {
		writer.u53(id);
		writer.bytes(context);
	}
	return writer.take();
}

/** Throws `MalformedBytes`. */
export function decodeContexts(bytes: Uint8Array): MemberIdentity[] {
	const reader = new ByteReader(bytes);
	const members: MemberIdentity[] = [];
	while (reader.left > 0) members.push({ id: reader.u53(), context: reader.bytes() });
	return members;
}

/** Remembers who a membership entry names. */
export function learnContexts(contexts: Map<MemberId, Uint8Array>, entry: Entry): void {
	for (const { id, context } of decodeContexts(decodeConfChange(entry.data).context)) contexts.set(id, context);
}

/** Undefined: nothing to do now, because the members are right or a change is still under way. */
export function nextChange(desired: readonly MemberIdentity[], status: RaftStatus): ConfChange | undefined {
	const { confState, id: self } = status;
	// The joint state is left by itself; nothing else is allowed until then.
	if (confState.votersOutgoing.length > 0 || desired.length === 0) return undefined;
	const wanted = new Set(desired.map(({ id }) => id));

	const strayLearner = confState.learners.find((id) => !wanted.has(id));
	if (strayLearner !== undefined) return change([{ type: 'remove', id: strayLearner }]);

	const missing = desired.find(({ id }) => !isMember(confState, id));
	if (missing !== undefined) {
		return { ...change([{ type: 'add-learner', id: missing.id }]), context: encodeContexts([missing]) };
	}

	// Ourselves last: whoever leads then goes on.
	const surplus = confState.voters
		.filter((id) => !wanted.has(id))
		.sort((a, b) => Number(a === self) - Number(b === self));
	const ready = confState.learners.find((id) => isCaughtUp(status, id));
	if (ready !== undefined) {
		// In one step with a voter that goes, so that a majority never has to count both.
		const replaced = surplus[0];
		return change([{ type: 'add-voter', id: ready }, ...(replaced === undefined ? [] : [remove(replaced)])]);
	}
	// A voter is only given up when its replacement is in, as long as one is on its way.
	if (surplus[0] === undefined || confState.learners.length > 0) return undefined;
	return change([remove(surplus[0])]);
}

function isMember({ voters, learners, learnersNext }: ConfState, id: MemberId): boolean {
	return voters.includes(id) || learners.includes(id) || learnersNext.includes(id);
}

function isCaughtUp({ progress, lastIndex }: RaftStatus, id: MemberId): boolean {
	const one = progress.find((status) => status.id === id);
	return one?.state === 'replicate' && one.isRecentlyActive && one.matchIndex + CAUGHT_UP_ENTRIES >= lastIndex;
}

const remove = (id: MemberId): ConfChange['changes'][number] => ({ type: 'remove', id });

function change(changes: ConfChange['changes']): ConfChange {
	return { transition: 'auto', changes, context: NO_CONTEXT };
}
