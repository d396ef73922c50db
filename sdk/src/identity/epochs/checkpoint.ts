/**
 * A checkpoint: an epoch of the owner's that changes nothing. Members, vacant slots and group key are those of the epoch
 * that it follows, and the history before it is needless from then on.
 *
 * An epoch of the owner's holds whatever members have added since to the one that it follows. So members take this kind
 * only where it follows their newest, and the owner draws up another one when they were faster.
 */
import { MeshError } from '../../errors.ts';
import { type EpochLink, type EpochRecord, encodeRecord } from '../../wire/index.ts';
import { peekRecord, sameBytes } from '../records.ts';
import { EpochChain } from './chain.ts';
import type { EpochDraft } from './draft.ts';
import { broken } from './rules.ts';
import { checkSuccession } from './succession.ts';

/**
 * For the owner to sign. Throws `unauthorized` with the rule `validity` when a member's certificate has expired: then
 * members must do without it first, because the key that they share changes with it.
 */
export function draftCheckpoint(chain: EpochChain, tsMs: number): EpochDraft {
	return chain.draft([], { tsMs });
}

/**
 * Throws `conflict` when it does not follow the newest epoch known here, else `unauthorized` unless it is the owner's and
 * changes nothing. The chain stays as it is.
 */
export function requireCheckpoint(chain: EpochChain, { epoch }: EpochLink, nowMs: number): void {
	const { cid, body } = peekRecord('epoch', epoch);
	const { head } = chain;
	if (body.prev !== head.cid)
		throw new MeshError(
			'conflict',
			`the owner's epoch ${body.e} follows ${body.prev ?? 'nothing'}, but the newest here is ${head.e}, ${head.cid}`,
			{ details: { rule: 'previous' } },
		);
	checkSuccession(head, body);
	if (!sameBytes(lasting(head.body), lasting(body)))
		throw broken('vacancy', `epoch ${body.e} is to confirm the members, and names others`);
	const certs = head.members.map(({ envelope }) => envelope);
	const alone = EpochChain.from(chain.charter, [{ epoch, certs }], nowMs);
	if (alone.head.cid !== cid) throw broken('signers', `epoch ${body.e} is not the owner's`);
}

function lasting({ members, vacant, groupKeyCommit }: EpochRecord): Uint8Array {
	return encodeRecord({ members, vacant, groupKeyCommit });
}
