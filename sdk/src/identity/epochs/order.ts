/**
 * Which of two histories holds. The owner's word first: the higher era, then the later epoch of the owner's. Members
 * cannot outdo it, however many epochs they add to an older one. Among epochs since then: the longer history, and of two
 * as long the one whose head has the lower CID. This is a total order, so all who see the same histories choose the same.
 */
import type { RecordCid } from '../../wire/index.ts';
import { sameBytes } from '../records.ts';
import type { EpochPeek } from './judge.ts';

interface Point {
	readonly cid: RecordCid;
	readonly body: { readonly era: number; readonly e: number };
}

/** Below 0: `a` loses. Of two epochs of the owner's, or of two heads that follow the same epoch of the owner's. */
export function compareEpochs(a: Point, b: Point): number {
	const of = ({ cid, body: { era, e } }: Point): EpochPosition => ({ era, checkpointE: 0, e, cid });
	return comparePositions(of(a), of(b));
}

/** What parties tell each other to find out whose history holds. */
export interface EpochPosition {
	readonly era: number;
	/** Number of the owner's last epoch. */
	readonly checkpointE: number;
	/** Number and CID of the head. */
	readonly e: number;
	readonly cid: RecordCid;
}

/** The same order, of what is told: below 0 where `a` loses. */
export function comparePositions(a: EpochPosition, b: EpochPosition): number {
	const lower = a.cid === b.cid ? 0 : a.cid < b.cid ? 1 : -1;
	return a.era - b.era || a.checkpointE - b.checkpointE || a.e - b.e || lower;
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
