/** Where processes of one machine, or the replicas of one test, find each other without a host. */
import type { MemberHint } from '../../replicas/placement-api.ts';
import type { WorkloadId } from '../../wire/index.ts';

/** The slot that a process holds while it lives. */
export interface Claim {
	readonly slot: number;
	readonly gen: number;
	readonly incarnation: number;
	/** Ends the claim: the slot stays this data directory's, or becomes free where there is none. */
	release(): Promise<void>;
}

export interface Entry extends MemberHint {
	readonly wid: WorkloadId;
	readonly workload: string;
}

export interface LocalRegistry {
	/** 32 bytes, the same for all who share this registry: the owner of everything in it. */
	ownerSeed(): Promise<Uint8Array>;
	/** Rejects with `conflict` when another live process has this data directory. */
	claim(workload: string, data: string | undefined): Promise<Claim>;
	/** Adds or replaces the entry of this process. */
	publish(entry: Entry): Promise<void>;
	withdraw(replicaId: string): Promise<void>;
	/** What was kept of a workload's members. */
	roster(wid: WorkloadId): Promise<Uint8Array | undefined>;
	/** Replaces it by what `change` makes of it; one change at a time, whoever makes it. */
	changeRoster(wid: WorkloadId, change: (known: Uint8Array | undefined) => Uint8Array): Promise<Uint8Array>;
	/** Entries of live processes. */
	entries(): Promise<readonly Entry[]>;
}
