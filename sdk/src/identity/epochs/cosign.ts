/**
 * What members refuse to sign beyond the rules that everybody checks of a finished epoch. These compare certificates of
 * two epochs, and whoever judges a long history later does not have those of members that came and went.
 */
import { encodeRecord, type ReplicaCert } from '../../wire/index.ts';
import { sameBytes } from '../records.ts';
import type { Member } from './members.ts';
import { broken } from './rules.ts';

export function requireCosignable(before: readonly Member[], after: readonly Member[]): void {
	const held = new Map(before.map((member) => [member.slot, member]));
	for (const member of after) {
		const was = held.get(member.slot);
		if (was?.gen === member.gen && was.certCid !== member.certCid) requireRenewal(was.cert, member.cert);
	}
}

/** Nothing differs but the time, which ends later, and the number of restarts. */
function requireRenewal(was: ReplicaCert, is: ReplicaCert): void {
	const lasting = (cert: ReplicaCert) => encodeRecord({ ...cert, nbf: 0, exp: 0, incarnation: 0 });
	if (!sameBytes(lasting(was), lasting(is)) || is.exp <= was.exp)
		throw broken(
			'renewal',
			`the certificate of slot ${is.slot} generation ${is.gen} is no later one of the same replica`,
		);
}
