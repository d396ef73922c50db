/** The body of the next epoch: what a proposer writes, and what co-signers would have written. */

import { MeshError } from '../../errors.ts';
import {
	type Charter,
	type EpochMember,
	type EpochRecord,
	type RecordCid,
	SLOTS_MAX,
	type SlotGen,
} from '../../wire/index.ts';
import { entryOf } from './certificate.ts';
import { broken } from './rules.ts';
import type { EpochView } from './succession.ts';

/** Certificates are envelopes. An admission of the next generation displaces the member of its slot. */
export type EpochChange =
	| { readonly type: 'admit'; readonly cert: Uint8Array }
	| { readonly type: 'renew'; readonly cert: Uint8Array }
	| ({ readonly type: 'remove' } & SlotGen);

export interface EpochDraftOptions {
	readonly tsMs: number;
	/** Of the group key from this epoch on. Default: the same; not when somebody goes. */
	readonly groupKeyCommit?: Uint8Array;
	/** The owner's only: raises the era. Default: the same. */
	readonly era?: number;
}

export interface EpochDraft {
	readonly body: EpochRecord;
	/** Envelopes of certificates that are new in it. */
	readonly certs: readonly Uint8Array[];
}

/** The first epoch of a workload, or the first of a new era that owes nothing to earlier ones. For the owner to sign. */
export function foundingEpoch(
	charter: Charter,
	certs: readonly Uint8Array[],
	{ tsMs, groupKeyCommit, vacant = [] }: FoundingOptions,
): EpochDraft {
	const { wid, era } = charter;
	const members = certs.map(entryOf).sort((a, b) => a.slot - b.slot);
	return { body: { wid, era, e: 0, members, vacant: [...vacant], groupKeyCommit, ts: tsMs }, certs };
}

export interface FoundingOptions {
	readonly tsMs: number;
	readonly groupKeyCommit: Uint8Array;
	/** Generations of an earlier era that must not be used again. */
	readonly vacant?: readonly SlotGen[];
}

/** Applies changes, in order. The rules of succession are the caller's to check. */
export function draftEpoch(
	{ cid, body }: EpochView,
	changes: readonly EpochChange[],
	options: EpochDraftOptions,
): EpochDraft {
	const members = new Map(body.members.map((member) => [member.slot, member]));
	const vacant = new Map(body.vacant.map((entry) => [entry.slot, entry]));
	const certs: Uint8Array[] = [];
	for (const change of changes) {
		if (change.type === 'remove') {
			remove(members, change);
			vacant.set(change.slot, { slot: change.slot, gen: change.gen });
			continue;
		}
		const entry = entryOf(change.cert);
		const before = members.get(entry.slot);
		const isIn = before?.gen === entry.gen;
		if (change.type === 'renew' && !isIn)
			throw broken(
				'renewal',
				`slot ${entry.slot} generation ${entry.gen} is no member whose certificate could be renewed`,
			);
		if (change.type === 'admit' && isIn)
			throw broken('generation', `slot ${entry.slot} generation ${entry.gen} is in already`);
		members.set(entry.slot, entry);
		requireNext(vacant.get(entry.slot), entry);
		vacant.delete(entry.slot);
		certs.push(change.cert);
	}
	if (members.size + vacant.size > SLOTS_MAX)
		throw new MeshError('invalid_input', `there are ${SLOTS_MAX} slots at most`);
	const { tsMs, groupKeyCommit = body.groupKeyCommit, era = body.era } = options;
	// Whoever signed the last one may have a clock that is ahead of ours.
	const ts = Math.max(tsMs, body.ts);
	const prev: RecordCid = cid;
	return {
		body: {
			...{ wid: body.wid, era, e: body.e + 1, prev, groupKeyCommit, ts },
			members: bySlot(members.values()),
			vacant: bySlot(vacant.values()),
		},
		certs,
	};
}

function remove(members: Map<number, EpochMember>, { slot, gen }: SlotGen): void {
	if (members.get(slot)?.gen !== gen)
		throw new MeshError('not_found', `slot ${slot} generation ${gen} is not a member that could be removed`);
	members.delete(slot);
}

/** A member that is removed and admitted again within one draft would look as if it had stayed. */
function requireNext(vacant: SlotGen | undefined, entry: SlotGen): void {
	if (vacant !== undefined && entry.gen !== vacant.gen + 1)
		throw broken('generation', `slot ${entry.slot} goes from generation ${vacant.gen} to ${entry.gen}`);
}

function bySlot<T extends { readonly slot: number }>(entries: Iterable<T>): T[] {
	return [...entries].sort((a, b) => a.slot - b.slot);
}
