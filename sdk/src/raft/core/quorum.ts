/**
 * Majorities, single and joint (thesis §4.3: a decision in a joint configuration needs both). An empty configuration
 * agrees with everything, which makes the joint rule hold for a configuration with one half empty.
 */
import type { MemberId } from './types.ts';

export type VoteResult = 'pending' | 'lost' | 'won';

/** The highest index that a majority holds. Infinity for no voters. */
export function majorityIndex(voters: ReadonlySet<MemberId>, indexOf: (id: MemberId) => number | undefined): number {
	if (voters.size === 0) return Number.POSITIVE_INFINITY;
	const indices: number[] = [];
	for (const id of voters) indices.push(indexOf(id) ?? 0);
	indices.sort((a, b) => a - b);
	// Sorted ascending, this one and everything after it are a majority.
	return indices[indices.length - (Math.floor(indices.length / 2) + 1)] as number;
}

/** `votes` holds true for yes, false for no, undefined for no answer yet. */
export function majorityVote(voters: ReadonlySet<MemberId>, votes: (id: MemberId) => boolean | undefined): VoteResult {
	if (voters.size === 0) return 'won';
	let yes = 0;
	let missing = 0;
	for (const id of voters) {
		const vote = votes(id);
		if (vote === undefined) missing += 1;
		else if (vote) yes += 1;
	}
	const quorum = Math.floor(voters.size / 2) + 1;
	if (yes >= quorum) return 'won';
	return yes + missing >= quorum ? 'pending' : 'lost';
}

export interface JointVoters {
	readonly incoming: ReadonlySet<MemberId>;
	readonly outgoing: ReadonlySet<MemberId>;
}

export function jointIndex(voters: JointVoters, indexOf: (id: MemberId) => number | undefined): number {
	return Math.min(majorityIndex(voters.incoming, indexOf), majorityIndex(voters.outgoing, indexOf));
}

export function jointVote(voters: JointVoters, votes: (id: MemberId) => boolean | undefined): VoteResult {
	const incoming = majorityVote(voters.incoming, votes);
	const outgoing = majorityVote(voters.outgoing, votes);
	if (incoming === outgoing) return incoming;
	if (incoming === 'lost' || outgoing === 'lost') return 'lost';
	return 'pending';
}
