/**
 * Which of two histories holds. The owner's word first: the higher era, then the later epoch of the owner's. Members
 * cannot outdo it, however many epochs they add to an older one. Among epochs since then: the longer history, and of two
 * as long the one whose head has the lower CID. This is a total order, so all who see the same histories choose the same.
 */
import type { RecordCid } from '../../wire/index.ts';
import { sameBytes } from '../records.ts';
import type { EpochPeek } from './judge.ts';

/** Names an epoch within an era. */
export interface EpochName {
	readonly e: number;
	readonly cid: RecordCid;
}

/** What parties tell each other of their heads, to find out whose history holds. */
export interface EpochPosition extends EpochName {
	readonly era: number;
	/** The owner's last epoch. */
	readonly checkpoint: EpochName;
}

/** Below 0: `a` loses. */
export function comparePositions(a: EpochPosition, b: EpochPosition): number {
	return a.era - b.era || compareNames(a.checkpoint, b.checkpoint) || compareNames(a, b);
}

/** The same of two epochs of the owner's, or of two heads that follow the same epoch of the owner's. */
export function compareEpochs(a: EpochPeek, b: EpochPeek): number {
	const nameOf = ({ cid, body }: EpochPeek): EpochName => ({ e: body.e, cid });
	return a.body.era - b.body.era || compareNames(nameOf(a), nameOf(b));
}

function compareNames(a: EpochName, b: EpochName): number {
	if (a.e !== b.e || a.cid === b.cid) return a.e - b.e;
	return a.cid < b.cid ? 1 : -1;
}

/** A member that has signed two epochs after the same one. Either it is captured, or it forgot what it had signed. */
export interface ForkEvidence {
	/** SHA-256 of the signing key. */
	readonly sigKeyId: Uint8Array;
	readonly e: number;
	readonly prev: RecordCid;
	/** Envelopes of both. */
	readonly epochs: readonly [Uint8Array, Uint8Array];
}

/** Both signatures must have been verified before. */
export function evidenceOf(ours: EpochPeek, theirs: EpochPeek): readonly ForkEvidence[] {
	const { e, prev } = ours.body;
	if (prev === undefined || theirs.body.prev !== prev || theirs.body.e !== e || theirs.cid === ours.cid) return [];
	return ours.claims
		.filter((claim) => theirs.claims.some((other) => sameBytes(claim, other)))
		.map((sigKeyId) => ({ sigKeyId, e, prev, epochs: [ours.envelope, theirs.envelope] as const }));
}
