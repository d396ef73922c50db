/** A registry inside one process: what tests join. */
import { randomBytes } from 'node:crypto';
import { MeshError } from '../../errors.ts';
import type { WorkloadId } from '../../wire/index.ts';
import type { Claim, Entry, LocalRegistry } from './registry.ts';

interface SlotState {
	gen: number;
	incarnation: number;
	data: string | undefined;
	isLive: boolean;
}

export interface MemoryRegistry extends LocalRegistry {
	/** As if the process had been killed: its slot is free to come back. */
	kill(replicaId: string): void;
}

/** Registries that share `entries` find each other's replicas, which belong to different owners and refuse each other. */
export function createMemoryRegistry(entries: Map<string, Entry> = new Map()): MemoryRegistry {
	const owner = new Uint8Array(randomBytes(32));
	const slots = new Map<string, SlotState[]>();
	const rosters = new Map<WorkloadId, Uint8Array>();

	return {
		ownerSeed: async () => owner,
		async claim(workload, data): Promise<Claim> {
			let all = slots.get(workload);
			if (all === undefined) slots.set(workload, (all = []));
			const held = data === undefined ? -1 : all.findIndex((s) => s.data === data);
			const slot = held >= 0 ? held : freeSlot(all);
			const state = all[slot] ?? { gen: 0, incarnation: 0, data: undefined, isLive: false };
			if (state.isLive) throw new MeshError('conflict', `another replica uses ${data}`);
			if (held >= 0) state.incarnation++;
			else Object.assign(state, { gen: state.gen + 1, incarnation: 0, data });
			state.isLive = true;
			all[slot] = state;
			const { gen, incarnation } = state;
			return {
				...{ slot, gen, incarnation },
				async release() {
					if (state.gen === gen && state.incarnation === incarnation) state.isLive = false;
				},
			};
		},
		publish: async (entry) => void entries.set(entry.replicaId, entry),
		withdraw: async (replicaId) => void entries.delete(replicaId),
		roster: async (wid) => rosters.get(wid),
		async changeRoster(wid, change) {
			const roster = change(rosters.get(wid));
			rosters.set(wid, roster);
			return roster;
		},
		entries: async () => [...entries.values()],
		kill(replicaId) {
			const entry = entries.get(replicaId);
			if (entry === undefined) return;
			entries.delete(replicaId);
			const state = slots.get(entry.workload)?.[entry.slot];
			if (state !== undefined && state.gen === entry.gen) state.isLive = false;
		},
	};
}

function freeSlot(all: readonly SlotState[]): number {
	const free = all.findIndex((state) => !state.isLive);
	return free >= 0 ? free : all.length;
}
