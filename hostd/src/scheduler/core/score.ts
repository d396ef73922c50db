/**
 * How well a host fits a tender: deterministic, in [0, 1]. The same tender on the same host always scores the same;
 * equal scores are ordered by a hash of (tender, machine), so that ties do not pile up on one host.
 */
import type { MachineId, Resources, Tender } from '@beemesh/sdk/wire';
import type { HostView } from './types.ts';

export interface ScoreWeights {
	readonly fit: number;
	readonly locality: number;
	readonly reliability: number;
	readonly price: number;
}

/** Sum to 1, so that the score does not leave [0, 1]. */
export const DEFAULT_WEIGHTS: ScoreWeights = { fit: 0.5, locality: 0.3, reliability: 0.1, price: 0.1 };

/** No host knows prices or energy yet: all are in the middle. */
const NEUTRAL_PRICE = 0.5;

export interface Score {
	readonly total: number;
	readonly fit: number;
	readonly locality: number;
	readonly reliability: number;
	readonly price: number;
}

export function scoreOf(tender: Tender, host: HostView, weights: ScoreWeights = DEFAULT_WEIGHTS): Score {
	const fit = resourceFit(tender.requirements.resources, host.ledger.free(), host.ledger.allocatable());
	const locality = 1 / (1 + replicasHere(tender, host));
	const reliability = clamp(host.reliability);
	const price = NEUTRAL_PRICE;
	const total = clamp(
		weights.fit * fit + weights.locality * locality + weights.reliability * reliability + weights.price * price,
	);
	return { total, fit, locality, reliability, price };
}

/**
 * Best fit: the fuller the host is with this replica on it the better, so that large replicas still find room
 * elsewhere; and the more even its use of processor and memory, so that neither strands the other. Spreading a
 * workload is locality's part.
 */
export function resourceFit(need: Resources, free: Resources, allocatable: Resources): number {
	const cpu = usedAfter(need.cpuMillis, free.cpuMillis, allocatable.cpuMillis);
	const memory = usedAfter(need.memoryBytes, free.memoryBytes, allocatable.memoryBytes);
	return clamp((cpu + memory) / 4 + (1 - Math.abs(cpu - memory)) / 2);
}

/** Replicas of the workload on a host, as far as the tender knows. */
export function replicasOn(tender: Tender, machineId: MachineId): number {
	return tender.avoid.soft.find((entry) => entry.machineId === machineId)?.replicas ?? 0;
}

/** Replicas of the workload on this host: what the tender says, or what the host itself sees, whichever is more. */
export function replicasHere(tender: Tender, host: HostView): number {
	return Math.max(replicasOn(tender, host.machineId), host.ledger.replicasOf(tender.wid));
}

/**
 * FNV-1a over (tenderId, machineId), 32 bits: lower goes first among equals. The last characters alone would hardly
 * reach the high bits, so the hash is finished as in MurmurHash3.
 */
export function tieBreak(tenderId: string, machineId: MachineId): number {
	let hash = 0x811c9dc5;
	for (const char of `${tenderId}/${machineId}`) {
		hash ^= char.codePointAt(0) as number;
		hash = Math.imul(hash, 0x01000193) >>> 0;
	}
	hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
	hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
	return (hash ^ (hash >>> 16)) >>> 0;
}

function usedAfter(need: number, free: number, total: number): number {
	return total <= 0 ? 1 : clamp((total - free + need) / total);
}

function clamp(value: number): number {
	return Math.min(1, Math.max(0, value));
}
