/** What the scheduler's cores share: the host as they see it, and what is handed in (never read from the machine). */
import type { MachineId, Resources, SlotGen, Tender, WorkloadId } from '@beemesh/sdk/wire';

/** Chance and names come from outside, so that one seed replays one run. */
export interface Entropy {
	/** In [0, 1). */
	random(): number;
	/** A new ULID. */
	createId(nowMs: number): string;
}

/** How the deployment of one award ended. */
export type Outcome = 'deployed' | 'failed' | 'preempted' | 'cancelled';

/** A hint that somebody else's winner is deploying this slot. */
export interface ForeignLease extends SlotGen {
	readonly machineId: MachineId;
	readonly untilMs: number;
}

export interface PortClaim {
	readonly port: number;
	readonly protocol: 'TCP' | 'UDP';
}

/** Who holds how much of this host; `resources/` implements it. Synchronous: one call is one atomic change. */
export interface Ledger {
	allocatable(): Resources;
	free(): Resources;
	portTaken(port: PortClaim): boolean;
	replicasOf(wid: WorkloadId): number;
	has(key: string): boolean;
	reserve(key: string, claim: LedgerClaim): boolean;
	commit(key: string, phase: 'leased' | 'running'): boolean;
	release(key: string): boolean;
}

export interface LedgerClaim {
	readonly wid: WorkloadId;
	readonly resources: Resources;
	readonly hostPorts: readonly PortClaim[];
}

/** What an evaluation looks at, beside the tender. */
export interface HostView {
	readonly machineId: MachineId;
	/** Those that count (`effectiveLabels`). */
	readonly labels: Readonly<Record<string, string>>;
	/** Draining or stopping: makes no bids. */
	readonly leaving: boolean;
	readonly ledger: Pick<Ledger, 'allocatable' | 'free' | 'portTaken' | 'replicasOf' | 'has'>;
	/** In [0, 1]: how often deployments ended well here. */
	readonly reliability: number;
}

/** The ledger's key of one replica. Whoever runs the pod releases it when the pod is gone. */
export function podKey(wid: WorkloadId, slot: number, gen: number): string {
	return `pod/${wid}/${slot}/${gen}`;
}

/** The ledger's key of a bid's soft reservation. */
export function bidKey(tenderId: string): string {
	return `bid/${tenderId}`;
}

export function claimOf(tender: Pick<Tender, 'wid' | 'requirements'>, replicas = 1): LedgerClaim {
	const { cpuMillis, memoryBytes, diskBytes } = tender.requirements.resources;
	return {
		wid: tender.wid,
		resources: {
			cpuMillis: cpuMillis * replicas,
			memoryBytes: memoryBytes * replicas,
			diskBytes: diskBytes * replicas,
		},
		hostPorts: tender.requirements.hostPorts,
	};
}

/** A line for the debug log: why a core decided as it did. */
export interface Explained {
	readonly type: 'explain';
	readonly message: string;
	readonly fields: Readonly<Record<string, unknown>>;
}

export function explain(message: string, fields: Readonly<Record<string, unknown>>): Explained {
	return { type: 'explain', message, fields };
}
