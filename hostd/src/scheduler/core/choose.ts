/** Which bid gets the next slot, and what to say when none can. */
import type { Bid, MachineId, Tender } from '@beemesh/sdk/wire';

/** A bid with what its arrival says of it. */
export interface ReceivedBid extends Omit<Bid, 'validForMs'> {
	/** Whose session it came over. */
	readonly machineId: MachineId;
	/** On our clock. */
	readonly validUntil: number;
}

import { replicasOn, tieBreak } from './score.ts';
import type { ForeignLease } from './types.ts';

/** A host that answered, with what it has been given since. */
export interface Candidate {
	readonly bid: ReceivedBid;
	/** Slots awarded on the strength of this bid. */
	taken: number;
	refusedWith: string | undefined;
}

export function awardable(candidate: Candidate, nowMs: number): boolean {
	const { bid, taken, refusedWith } = candidate;
	return refusedWith === undefined && taken < bid.slotsOffered && nowMs < bid.validUntil;
}

/**
 * Spread first, then score: a host gets its second slot only when every other bidder has one (replicas that the
 * tender knows of count), so a workload survives the loss of one host whenever there are two.
 */
export function chooseHost(options: {
	readonly candidates: Iterable<Candidate>;
	/** Slots of this placement on each host. */
	readonly load: ReadonlyMap<MachineId, number>;
	readonly tender: Tender;
	readonly tenderId: string;
	readonly nowMs: number;
}): Candidate | undefined {
	const { candidates, load, tender, tenderId, nowMs } = options;
	const replicas = (machineId: MachineId): number => (load.get(machineId) ?? 0) + replicasOn(tender, machineId);
	const order = (a: Candidate, b: Candidate): number =>
		replicas(a.bid.machineId) - replicas(b.bid.machineId) ||
		b.bid.score - a.bid.score ||
		tieBreak(tenderId, a.bid.machineId) - tieBreak(tenderId, b.bid.machineId) ||
		(a.bid.machineId < b.bid.machineId ? -1 : 1);
	return [...candidates].filter((candidate) => awardable(candidate, nowMs)).sort(order)[0];
}

/** Each requirement that failed, and on how many hosts; most hosts first. */
export function starvedReasons(
	hosts: Iterable<MachineId>,
	candidates: ReadonlyMap<MachineId, Candidate>,
	leases: readonly ForeignLease[],
): { requirement: string; hosts: number }[] {
	const groups = new Map<string, { texts: Set<string>; hosts: number }>();
	const count = (reason: string): void => {
		// `memory: needs 900Gi, 20Gi free`: what was needed is the same everywhere, what was free is not.
		const need = reason.split(', ')[0] as string;
		const group = groups.get(need) ?? { texts: new Set(), hosts: 0 };
		group.texts.add(reason);
		group.hosts++;
		groups.set(need, group);
	};
	for (const machineId of new Set([...hosts, ...candidates.keys()])) {
		const candidate = candidates.get(machineId);
		if (candidate === undefined) count('no answer');
		else count(candidate.refusedWith ?? candidate.bid.reason ?? 'offered, and all it offered is taken');
	}
	for (const lease of leases)
		count(`lease: slot ${lease.slot} generation ${lease.gen} is being deployed by ${lease.machineId}`);
	return [...groups]
		.map(([need, group]) => ({
			requirement: group.texts.size === 1 ? ([...group.texts][0] as string) : need,
			hosts: group.hosts,
		}))
		.sort((a, b) => b.hosts - a.hosts || (a.requirement < b.requirement ? -1 : 1));
}
