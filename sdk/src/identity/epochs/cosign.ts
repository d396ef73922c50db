/**
 * What members refuse to sign beyond the rules that everybody checks of a finished epoch. These compare certificates of
 * two epochs, and whoever judges a long history later does not have those of members that came and went.
 */
import type { ReplicaCert } from '../../wire/index.ts';
import { encodeRecord } from '../../wire/index.ts';
import { sameBytes } from '../records.ts';
import type { Member } from './members.ts';
import { broken } from './rules.ts';

export function requireCosignable(before: readonly Member[], after: readonly Member[]): void {
	const held = new Map(before.map((member) => [member.slot, member]));
	for (const member of after) {
		const was = held.get(member.slot);
		if (was === undefined || was.gen !== member.gen || was.certCid === member.certCid) continue;
		if (was.incarnation === member.incarnation) requireRenewal(was.cert, member.cert);
		else requireRestart(was.cert, member.cert);
	}
}

/** Renewed: nothing but the time differs, and it ends later. */
function requireRenewal(was: ReplicaCert, is: ReplicaCert): void {
	const isSame = sameBytes(encodeRecord({ ...was, nbf: 0, exp: 0 }), encodeRecord({ ...is, nbf: 0, exp: 0 }));
	if (!isSame || is.exp <= was.exp)
		throw broken(
			'renewal',
			`the certificate of slot ${is.slot} generation ${is.gen} is no later one of the same replica`,
		);
}

/** A Raft member must not vote with another disk than it voted with before: it restarts where it was, under its award. */
function requireRestart(was: ReplicaCert, is: ReplicaCert): void {
	if (is.machineId !== was.machineId || is.awardId !== was.awardId)
		throw broken(
			'incarnation',
			`slot ${is.slot} generation ${is.gen} restarts on another machine, or under another award`,
		);
}
