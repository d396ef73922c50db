/** The key that members of one epoch share. An epoch commits to it, so that nobody can be given another one. */
import { randomBytes } from 'node:crypto';
import type { EpochRecord } from '../../wire/index.ts';
import { sha256 } from '../keys.ts';
import { sameBytes } from '../records.ts';
import { broken } from './rules.ts';

export function createGroupKey(): Uint8Array {
	return new Uint8Array(randomBytes(32));
}

/** Reveals nothing of a key that is random. */
export function groupKeyCommit(groupKey: Uint8Array): Uint8Array {
	return sha256(groupKey);
}

/** Throws `unauthorized` unless this is the key that the epoch commits to. */
export function requireGroupKey(groupKey: Uint8Array, epoch: Pick<EpochRecord, 'e' | 'groupKeyCommit'>): void {
	if (!sameBytes(groupKeyCommit(groupKey), epoch.groupKeyCommit))
		throw broken('group-key', `this is not the group key of epoch ${epoch.e}`);
}
