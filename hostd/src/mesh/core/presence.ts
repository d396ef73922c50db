/**
 * Who is there. One entry per machine, from its newest signed presence; an entry ends by its TTL, by goodbye, or at
 * once when the machine is suspected (its session closed). Only a presence newer than the one suspected brings it back.
 *
 * Invariant: the `seq` known of a machine never falls while it is remembered, so an old record cannot replace or
 * resurrect a newer one. Machines are remembered for a while after they went, for that reason only.
 */
import type { MachineId, Presence } from '@beemesh/sdk/wire';

export interface PresenceConfig {
	/** Longest life of one presence, whatever it says. Default 15,000. */
	readonly ttlMaxMs: number;
	/** How long a machine that went is remembered: longer than a presence may be late. Default 60,000. */
	readonly memoryMs: number;
	/** Machines remembered at a time. Default 4,096. */
	readonly machinesMax: number;
}

export const DEFAULT_PRESENCE: PresenceConfig = { ttlMaxMs: 15_000, memoryMs: 60_000, machinesMax: 4096 };

export type HostEvent =
	/** First seen, or back. */
	| { readonly type: 'up'; readonly presence: Presence }
	/** Says something else than before. */
	| { readonly type: 'changed'; readonly presence: Presence }
	| { readonly type: 'down'; readonly machineId: MachineId; readonly reason: DownReason };

export type DownReason = 'expired' | 'suspected' | 'restarted' | 'left';

interface Entry {
	readonly presence: Presence;
	readonly envelope: Uint8Array | undefined;
	readonly expiresAtMs: number;
	/** Undefined while it counts as present. */
	goneAtMs: number | undefined;
}

export interface PresenceTable {
	/** Whether a presence says something new: asked before its signature is checked, for most are old news. */
	isNews(machineId: MachineId, seq: number): boolean;
	/**
	 * Takes a verified presence. Undefined when it is not newer than what is known. `envelope`: how others can verify it;
	 * absent, what was known of that stays.
	 */
	accept(presence: Presence, envelope: Uint8Array | undefined, nowMs: number): readonly HostEvent[] | undefined;
	/** Its session is gone, or its process: drop it now, TTL or not. */
	suspect(machineId: MachineId, nowMs: number, reason?: DownReason): readonly HostEvent[];
	expire(nowMs: number): readonly HostEvent[];
	nextDeadlineMs(): number | undefined;
	get(machineId: MachineId): Presence | undefined;
	present(): readonly Presence[];
	/** Signed records of those present, to introduce them to somebody new. */
	envelopes(): readonly Uint8Array[];
}

export function createPresenceTable(config: PresenceConfig = DEFAULT_PRESENCE): PresenceTable {
	const entries = new Map<MachineId, Entry>();
	const live = (): Entry[] => [...entries.values()].filter(({ goneAtMs }) => goneAtMs === undefined);

	return {
		isNews: (machineId, seq) => seq > (entries.get(machineId)?.presence.seq ?? -1),
		accept(presence, envelope, nowMs) {
			const known = entries.get(presence.machineId);
			if (known !== undefined && presence.seq <= known.presence.seq) return undefined;
			if (known === undefined && entries.size >= config.machinesMax) return undefined;
			const ttlMs = Math.min(config.ttlMaxMs, presence.exp - presence.ts);
			const wasPresent = known !== undefined && known.goneAtMs === undefined;
			// A presence that is over when it begins is a goodbye.
			const left = ttlMs <= 0;
			entries.set(presence.machineId, {
				presence,
				envelope: envelope ?? known?.envelope,
				expiresAtMs: nowMs + Math.max(0, ttlMs),
				goneAtMs: left ? nowMs : undefined,
			});
			if (left) return wasPresent ? [{ type: 'down', machineId: presence.machineId, reason: 'left' }] : [];
			return [{ type: wasPresent ? 'changed' : 'up', presence }];
		},
		suspect(machineId, nowMs, reason = 'suspected') {
			const entry = entries.get(machineId);
			if (entry === undefined || entry.goneAtMs !== undefined) return [];
			entry.goneAtMs = nowMs;
			return [{ type: 'down', machineId, reason }];
		},
		expire(nowMs) {
			const events: HostEvent[] = [];
			for (const [machineId, entry] of entries) {
				if (entry.goneAtMs !== undefined) {
					if (nowMs >= entry.goneAtMs + config.memoryMs) entries.delete(machineId);
				} else if (nowMs >= entry.expiresAtMs) {
					entry.goneAtMs = nowMs;
					events.push({ type: 'down', machineId, reason: 'expired' });
				}
			}
			return events;
		},
		nextDeadlineMs() {
			let next = Number.POSITIVE_INFINITY;
			for (const { goneAtMs, expiresAtMs } of entries.values()) {
				next = Math.min(next, goneAtMs === undefined ? expiresAtMs : goneAtMs + config.memoryMs);
			}
			return next === Number.POSITIVE_INFINITY ? undefined : next;
		},
		get(machineId) {
			const entry = entries.get(machineId);
			return entry?.goneAtMs === undefined ? entry?.presence : undefined;
		},
		present: () => live().map(({ presence }) => presence),
		envelopes: () => live().flatMap(({ envelope }) => envelope ?? []),
	};
}
