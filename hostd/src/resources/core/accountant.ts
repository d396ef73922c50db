/**
 * Who holds how much of this machine. Pessimistic: a soft reservation of a bid counts as much as a running pod, so
 * that a host never promises what it may not have. Pure; one synchronous call is one atomic change.
 *
 * Invariant: the sum of all claims is at most `allocatable`, in each dimension, and no host port is claimed twice;
 * only `adopt` may break it, because what already runs does run.
 */
import type { Resources, WorkloadId } from '@beemesh/sdk/wire';

export interface HostPort {
	readonly port: number;
	readonly protocol: 'TCP' | 'UDP';
}

/** `reserved` for a bid, `leased` while deploying, `running` afterwards. */
export type ClaimPhase = 'reserved' | 'leased' | 'running';

export interface Claim {
	readonly wid: WorkloadId;
	readonly resources: Resources;
	readonly hostPorts: readonly HostPort[];
}

export interface Usage {
	readonly allocatable: Resources;
	readonly free: Resources;
	readonly reserved: Resources;
	readonly leased: Resources;
	readonly running: Resources;
}

export interface Accountant {
	allocatable(): Resources;
	/** Never negative. */
	free(): Resources;
	usage(): Usage;
	portTaken(port: HostPort): boolean;
	/** Leased and running replicas of a workload; reservations are not replicas yet. */
	replicasOf(wid: WorkloadId): number;
	has(key: string): boolean;
	/** Claims softly. False, and nothing changes, when it does not fit or the key is in use. */
	reserve(key: string, claim: Claim): boolean;
	/** Moves a claim to a later phase. False when there is no such claim. */
	commit(key: string, phase: 'leased' | 'running'): boolean;
	/** Records what already runs, whether or not it fits: a restarted hostd re-adopts its pods. */
	adopt(key: string, claim: Claim): void;
	/** Idempotent. True when something was released. */
	release(key: string): boolean;
	/** The machine changed (a cgroup limit, the system reserve). */
	setAllocatable(allocatable: Resources): void;
	/** Calls back after every change of what is free. Returns how to stop. */
	onChange(listener: () => void): () => void;
}

export const NO_RESOURCES: Resources = { cpuMillis: 0, memoryBytes: 0, diskBytes: 0 };

export function addResources(a: Resources, b: Resources): Resources {
	return {
		cpuMillis: a.cpuMillis + b.cpuMillis,
		memoryBytes: a.memoryBytes + b.memoryBytes,
		diskBytes: a.diskBytes + b.diskBytes,
	};
}

/** `a - b`, each dimension at least 0. */
export function subtractResources(a: Resources, b: Resources): Resources {
	return {
		cpuMillis: Math.max(0, a.cpuMillis - b.cpuMillis),
		memoryBytes: Math.max(0, a.memoryBytes - b.memoryBytes),
		diskBytes: Math.max(0, a.diskBytes - b.diskBytes),
	};
}

export function scaleResources(a: Resources, by: number): Resources {
	return { cpuMillis: a.cpuMillis * by, memoryBytes: a.memoryBytes * by, diskBytes: a.diskBytes * by };
}

export function fitsIn(need: Resources, free: Resources): boolean {
	return need.cpuMillis <= free.cpuMillis && need.memoryBytes <= free.memoryBytes && need.diskBytes <= free.diskBytes;
}

export function createAccountant(initial: Resources): Accountant {
	let allocatable = initial;
	const claims = new Map<string, { readonly claim: Claim; phase: ClaimPhase }>();
	const listeners = new Set<() => void>();

	const sumOf = (phase?: ClaimPhase): Resources => {
		let sum = NO_RESOURCES;
		for (const held of claims.values()) {
			if (phase === undefined || held.phase === phase) sum = addResources(sum, held.claim.resources);
		}
		return sum;
	};
	const free = (): Resources => subtractResources(allocatable, sumOf());
	const portTaken = (wanted: HostPort): boolean => {
		for (const { claim } of claims.values()) {
			if (claim.hostPorts.some((taken) => taken.port === wanted.port && taken.protocol === wanted.protocol))
				return true;
		}
		return false;
	};
	const changed = (): void => {
		for (const listener of listeners) listener();
	};

	return {
		allocatable: () => allocatable,
		free,
		portTaken,
		usage: () => ({
			allocatable,
			free: free(),
			reserved: sumOf('reserved'),
			leased: sumOf('leased'),
			running: sumOf('running'),
		}),
		replicasOf(wid) {
			let count = 0;
			for (const held of claims.values()) if (held.phase !== 'reserved' && held.claim.wid === wid) count++;
			return count;
		},
		has: (key) => claims.has(key),
		reserve(key, claim) {
			if (claims.has(key) || !fitsIn(claim.resources, free()) || claim.hostPorts.some(portTaken)) return false;
			claims.set(key, { claim, phase: 'reserved' });
			changed();
			return true;
		},
		commit(key, phase) {
			const held = claims.get(key);
			if (held === undefined) return false;
			held.phase = phase;
			return true;
		},
		adopt(key, claim) {
			claims.set(key, { claim, phase: 'running' });
			changed();
		},
		release(key) {
			const released = claims.delete(key);
			if (released) changed();
			return released;
		},
		setAllocatable(next) {
			allocatable = next;
			changed();
		},
		onChange(listener) {
			listeners.add(listener);
			return () => void listeners.delete(listener);
		},
	};
}
