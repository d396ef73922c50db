/** What a charter says about admission, and what follows from it. */
import type { Charter } from '../../wire/index.ts';
import { LIMITS } from '../../wire/index.ts';

/** Signatures that the next epoch takes, where `members` are in this one. 0 members: no number is enough. */
export function signaturesNeeded({ kind, admit }: Pick<Charter, 'kind' | 'admit'>, members: number): number {
	if (members === 0) return Number.POSITIVE_INFINITY;
	// The majority of a StatefulSet cannot be on two sides of a partition. Above 31 members it would not fit into an
	// envelope; then forks become possible, and are healed as those of a Deployment are.
	const majority = kind === 'StatefulSet' ? Math.floor(members / 2) + 1 : 0;
	// Never more than there are members: a workload that the owner made smaller than k would be stuck. With fewer live
	// members than this, only the owner can go on.
	return Math.min(Math.max(admit.k, majority), members, LIMITS.signersMax);
}

/** Whether everything that was lawful under `before` is lawful under `after`. Then it holds without an epoch. */
export function areTermsLooser(before: Charter, after: Charter): boolean {
	return after.slotsMax >= before.slotsMax && after.admit.k <= before.admit.k && after.certTtlMs >= before.certTtlMs;
}

/** Below 0: `a` is the older. */
export function compareCharters(a: Pick<Charter, 'era' | 'seq'>, b: Pick<Charter, 'era' | 'seq'>): number {
	return a.era - b.era || a.seq - b.seq;
}
