/** Tenders, bids and hosts for core tests: plain values, no keys. */
import type { Award, MachineId, RecordCid, Resources, Tender, WorkloadId } from '@beemesh/sdk/wire';
import { createAccountant } from '../../resources/index.ts';
import type { ReceivedBid } from '../core/choose.ts';
import type { Entropy } from '../core/types.ts';

export const GI = 2 ** 30;

export function machine(name: string | number): MachineId {
	return `machine-${String(name).padStart(4, '0')}` as MachineId;
}

/** A different, but always the same, sequence of chance and names. */
export function entropyOf(seed = 1): Entropy {
	let state = seed >>> 0;
	let ids = 0;
	return {
		random() {
			// Mulberry32.
			state = (state + 0x6d2b79f5) >>> 0;
			let t = Math.imul(state ^ (state >>> 15), state | 1);
			t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
			return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
		},
		createId: () => `${String(seed).padStart(10, '0')}${String(++ids).padStart(16, '0')}`,
	};
}

export function tenderOf(
	overrides: Partial<Tender> & { readonly slotCount?: number; readonly memoryGi?: number } = {},
): Tender {
	const { slotCount = 1, memoryGi = 1, ...rest } = overrides;
	return {
		tenderId: '00000000000000000000000TEN',
		wid: 'workload-1' as WorkloadId,
		grant: new Uint8Array(),
		slots: Array.from({ length: slotCount }, (_, slot) => ({ slot, gen: 1 })),
		manifestCid: 'manifest-1' as RecordCid,
		requirements: {
			resources: { cpuMillis: 500, memoryBytes: memoryGi * GI, diskBytes: 0 },
			nodeSelector: {},
			hostPorts: [],
			images: [],
		},
		priority: 0,
		avoid: { hard: [], soft: [] },
		requester: machine('requester'),
		requesterAddresses: [],
		ts: 0,
		nonce: new Uint8Array(16),
		exp: 30_000,
		...rest,
	};
}

export function bidOf(tenderId: string, machineId: MachineId, overrides: Partial<ReceivedBid> = {}): ReceivedBid {
	return {
		tenderId,
		machineId,
		score: 0.5,
		slotsOffered: 1,
		validUntil: 1_000_000,
		...overrides,
	};
}

export function awardOf(tender: Tender, machineId: MachineId, overrides: Partial<Award> = {}): Award {
	return {
		awardId: '00000000000000000000000AWD',
		tenderId: tender.tenderId,
		wid: tender.wid,
		slot: tender.slots[0]?.slot ?? 0,
		gen: tender.slots[0]?.gen ?? 1,
		machineId,
		requester: tender.requester,
		manifestCid: tender.manifestCid,
		ts: 0,
		exp: 120_000,
		...overrides,
	};
}

export function ledgerOf(total: Partial<Resources> = {}) {
	return createAccountant({ cpuMillis: 4000, memoryBytes: 8 * GI, diskBytes: 100 * GI, ...total });
}
