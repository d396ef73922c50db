/** What may follow what: the rules on the bodies of epochs. Cheap, and applied before any signature is looked at. */
import type { Charter, EpochMember, EpochRecord, RecordCid, SlotGen } from '../../wire/index.ts';
import { sameBytes } from '../records.ts';
import { broken } from './rules.ts';

/** An epoch with the CID that names it. */
export interface EpochView {
	readonly cid: RecordCid;
	readonly body: EpochRecord;
}

/** Rules on one epoch alone, whoever signed it. */
export function checkEpoch(epoch: EpochRecord, charter: Charter): void {
	const { wid, e, prev, members, vacant } = epoch;
	if (wid !== charter.wid) throw broken('workload', `epoch ${e} is of the workload ${wid}`);
	if ((e === 0) !== (prev === undefined))
		throw broken('number', `epoch ${e} names ${prev === undefined ? 'none' : 'one'} before it`);
	const last = members.at(-1);
	if (last !== undefined && last.slot >= charter.slotsMax)
		throw broken('slots', `slot ${last.slot} is not below ${charter.slotsMax}`);
	const taken = new Set(members.map(({ slot }) => slot));
	const both = vacant.find(({ slot }) => taken.has(slot));
	if (both !== undefined) throw broken('slots', `slot ${both.slot} is vacant and taken`);
	requireDistinct(
		'certificate',
		members.map(({ certCid }) => certCid),
	);
	requireDistinct(
		'key',
		members.map(({ sigKeyId }) => Buffer.from(sigKeyId).toString('base64')),
	);
}

/** Rules on an epoch that members of the one before it sign. Both have passed {@link checkEpoch}. */
export function checkSuccession({ cid, body: prev }: EpochView, next: EpochRecord): void {
	if (next.prev !== cid) throw broken('previous', `epoch ${next.e} does not follow ${cid}`);
	if (next.e !== prev.e + 1) throw broken('number', `${prev.e} is followed by ${next.e}`);
	if (next.era !== prev.era) throw broken('era', `members have moved era ${prev.era} to ${next.era}`);
	if (next.ts < prev.ts)
		throw broken('time', `epoch ${next.e} is ${prev.ts - next.ts} ms older than the one before it`);
	checkSlots(prev, next);
	const stay = new Set(next.members.map(keyOf));
	const leaver = prev.members.find((member) => !stay.has(keyOf(member)));
	if (leaver !== undefined && sameBytes(prev.groupKeyCommit, next.groupKeyCommit))
		throw broken('group-key', `the member of slot ${leaver.slot} goes, and knows the key that stays`);
}

function checkSlots(prev: EpochRecord, next: EpochRecord): void {
	const members = new Map(next.members.map((member) => [member.slot, member]));
	const vacant = new Map(next.vacant.map((entry) => [entry.slot, entry]));
	for (const before of prev.members) {
		const after = members.get(before.slot);
		if (after === undefined) requireVacant(before, vacant.get(before.slot));
		else if (after.gen === before.gen) checkSameGeneration(before, after);
		else requireNext(before, after);
	}
	for (const before of prev.vacant) {
		const after = members.get(before.slot);
		if (after === undefined) requireVacant(before, vacant.get(before.slot));
		else requireNext(before, after);
	}
	const known = new Set([...prev.members, ...prev.vacant].map(({ slot }) => slot));
	for (const { slot, gen } of next.members)
		if (!known.has(slot) && gen !== 1) throw broken('generation', `slot ${slot} begins with generation ${gen}`);
	const invented = next.vacant.find(({ slot }) => !known.has(slot));
	if (invented !== undefined) throw broken('vacancy', `slot ${invented.slot} is vacant without having had a member`);
}

/** A restart in place keeps its keys: the same generation is the same replica, whatever its certificate. */
function checkSameGeneration(before: EpochMember, after: EpochMember): void {
	const [was, is] = [before.incarnation ?? 0, after.incarnation ?? 0];
	if (is < was) throw broken('incarnation', `slot ${after.slot} goes from incarnation ${was} to ${is}`);
	if (is > was && before.certCid === after.certCid)
		throw broken('incarnation', `slot ${after.slot} restarts with the certificate it had`);
	if (!sameBytes(before.sigKeyId, after.sigKeyId))
		throw broken('renewal', `slot ${after.slot} generation ${after.gen} changes its key`);
}

function requireNext(before: SlotGen, after: SlotGen): void {
	if (after.gen !== before.gen + 1)
		throw broken('generation', `slot ${before.slot} goes from generation ${before.gen} to ${after.gen}`);
}

function requireVacant(before: SlotGen, after: SlotGen | undefined): void {
	if (after?.gen !== before.gen)
		throw broken(
			'vacancy',
			`slot ${before.slot} was last of generation ${before.gen}, and ${after === undefined ? 'is not mentioned' : `is said to have been of ${after.gen}`}`,
		);
}

function requireDistinct(what: string, values: readonly string[]): void {
	if (new Set(values).size < values.length) throw broken('key-twice', `two members have the same ${what}`);
}

function keyOf({ sigKeyId }: EpochMember): string {
	return Buffer.from(sigKeyId).toString('base64');
}
