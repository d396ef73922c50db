/**
 * Desired against observed: what the responsible replica asks for so that a workload has the replicas its charter
 * names, each slot once, of the chartered manifest. Quiet: events in, effects out; the driver tenders and drains.
 *
 * A replica that is outdated, or has to leave its host, is replaced before it goes: the newer displaces the older, when
 * it is ready (stateless) or voted in (stateful). One at a time, highest slot first, while every other slot is ready.
 */
import type { ReplicaId, SlotGen, WorkloadKind } from '../../wire/index.ts';

export interface Desired {
	readonly replicas: number;
	readonly manifestCid: string;
	readonly era: number;
	readonly kind: WorkloadKind;
	readonly deleted: boolean;
}

export interface ObservedReplica {
	readonly replicaId: ReplicaId;
	readonly slot: number;
	readonly gen: number;
	readonly manifestCid: string;
	readonly ready: boolean;
	/** Its host wants it gone: it stays until a successor holds its slot. */
	readonly leaving: boolean;
}

/** How the slot was lost: after a farewell nobody waits, after mere silence longest. */
export type LossCause = 'left' | 'superseded' | 'closed' | 'silent';

export type ReconcilerInput =
	| { readonly type: 'tick' }
	| { readonly type: 'desired'; readonly desired: Desired }
	/** Everything live now, and the highest generation ever seen of each slot. */
	| {
			readonly type: 'observed';
			readonly live: readonly ObservedReplica[];
			readonly generations: ReadonlyMap<number, number>;
			/** A Raft group is still taking members in or out: nobody else leaves meanwhile, or its majority may go. */
			readonly isChangingMembers: boolean;
	  }
	| { readonly type: 'lost'; readonly slot: number; readonly cause: LossCause }
	| { readonly type: 'responsible'; readonly isResponsible: boolean }
	/** How a tendered slot ended. `jitter` in [0,1) spreads the next try. */
	| { readonly type: 'placement-ended'; readonly slot: number; readonly deployed: boolean; readonly jitter: number };

export type ReconcilerEffect =
	| { readonly type: 'tender'; readonly slots: readonly SlotGen[] }
	| { readonly type: 'drain'; readonly replica: ObservedReplica; readonly reason: 'scaled-down' | 'nowhere-to-go' };

export interface ReconcilerConfig {
	/** Wait before a lost slot is tendered: what merely lost its connection may come back. Default 300. */
	readonly graceClosedMs: number;
	/** The same after silence only: a stalled process, or one that is started again in place. Default 1500. */
	readonly graceSilentMs: number;
	/** Slots never seen are somebody else's first apply for this long. Default 20 s. */
	readonly settleMs: number;
	/** A slot that others have seen, and we have not met yet, is not taken for lost before. Default 3 s. */
	readonly meetMs: number;
	/**
	 * The same while we have met nobody at all: one that was started again on a host which is cut off must not take itself
	 * for the last of its workload. Default 30 s.
	 */
	readonly aloneMs: number;
	/** Default 500. */
	readonly backoffMinMs: number;
	/** Default 10 s. */
	readonly backoffMaxMs: number;
	/** A drain that has not happened is asked for again. Default 5 s. */
	readonly redrainMs: number;
}

export const RECONCILER_DEFAULTS: ReconcilerConfig = {
	graceClosedMs: 300,
	graceSilentMs: 1500,
	settleMs: 20_000,
	meetMs: 3000,
	aloneMs: 30_000,
	backoffMinMs: 500,
	backoffMaxMs: 10_000,
	redrainMs: 5000,
};

interface Slot {
	/** Tendered and not ended yet. */
	inFlight: boolean;
	tenderedGen: number;
	/** Not to be tendered before. */
	notBeforeMs: number;
	failures: number;
	/** Deployed, and not met yet: it is on its way until `notBeforeMs`. */
	awaitedGen: number | undefined;
}

export interface Reconciler {
	step(input: ReconcilerInput, nowMs: number): readonly ReconcilerEffect[];
	/** When to step a `tick`; undefined while nothing waits for time. */
	nextDeadlineMs(): number | undefined;
	/** What the last step compared, for the `reconcile` event. */
	status(): { readonly observed: number; readonly desired: number; readonly inFlight: number };
}

export function createReconciler(startMs: number, config: ReconcilerConfig = RECONCILER_DEFAULTS): Reconciler {
	const slots = new Map<number, Slot>();
	/** Slots that we have seen a replica of. */
	const met = new Set<number>();
	const drains = new Map<ReplicaId, number>();
	const stranded = new Set<ReplicaId>();
	let desired: Desired | undefined;
	/** Replicas that the charter asked for when we started: the rest are new wishes and need no settling. */
	let replicasAtStart: number | undefined;
	let live: readonly ObservedReplica[] = [];
	let generations: ReadonlyMap<number, number> = new Map();
	let isChangingMembers = false;
	let isResponsible = false;
	let deadlineMs: number | undefined;

	function step(input: ReconcilerInput, nowMs: number): readonly ReconcilerEffect[] {
		switch (input.type) {
			case 'tick':
				break;
			case 'desired':
				if (desired !== undefined && input.desired.era <= desired.era) break;
				replicasAtStart ??= input.desired.replicas;
				desired = input.desired;
				break;
			case 'observed':
				live = input.live;
				for (const { slot } of live) met.add(slot);
				for (const id of stranded) if (!live.some((r) => r.replicaId === id && r.leaving)) stranded.delete(id);
				generations = input.generations;
				isChangingMembers = input.isChangingMembers;
				break;
			case 'lost':
				onLost(input.slot, input.cause, nowMs);
				break;
			case 'responsible':
				isResponsible = input.isResponsible;
				break;
			case 'placement-ended':
				onEnded(input.slot, input.deployed, input.jitter, nowMs);
				break;
		}
		return decide(nowMs);
	}

	function onLost(slot: number, cause: LossCause, nowMs: number): void {
		const graceMs = cause === 'closed' ? config.graceClosedMs : cause === 'silent' ? config.graceSilentMs : 0;
		const state = slotOf(slot);
		state.notBeforeMs = Math.max(state.notBeforeMs, nowMs + graceMs);
	}

	function onEnded(slot: number, deployed: boolean, jitter: number, nowMs: number): void {
		const state = slotOf(slot);
		state.inFlight = false;
		if (deployed) {
			// It has been admitted; until its session is up it does not count as lost again.
			state.notBeforeMs = nowMs + config.graceSilentMs;
			state.awaitedGen = state.tenderedGen;
			return;
		}
		// What finds no host for one slot will find none for those whose host goes: they need not wait for it.
		for (const { replicaId, leaving } of live) if (leaving) stranded.add(replicaId);
		const backoffMs = Math.min(config.backoffMaxMs, config.backoffMinMs * 2 ** state.failures);
		state.failures++;
		state.notBeforeMs = nowMs + backoffMs * (0.8 + 0.4 * jitter);
	}

	function decide(nowMs: number): readonly ReconcilerEffect[] {
		deadlineMs = undefined;
		for (const [id, askedMs] of drains) {
			if (!live.some((r) => r.replicaId === id)) drains.delete(id);
			else if (nowMs >= askedMs + config.redrainMs) drains.delete(id);
			else wakeAt(askedMs + config.redrainMs);
		}
		if (desired === undefined || desired.deleted || !isResponsible) return [];
		return desired.kind === 'StatefulSet' ? decideStateful(desired, nowMs) : decideStateless(desired, nowMs);
	}

	function decideStateless(want: Desired, nowMs: number): ReconcilerEffect[] {
		const effects: ReconcilerEffect[] = [];
		const tenders = missing(want, nowMs);
		if (tenders.length === 0) tenders.push(...successor(want, nowMs));
		pushTender(effects, tenders);
		sendAway(effects, want, nowMs);
		for (const replica of live.filter((r) => r.slot >= want.replicas).sort((a, b) => b.slot - a.slot)) {
			pushDrain(effects, replica, 'scaled-down', nowMs);
		}
		return effects;
	}

	function decideStateful(want: Desired, nowMs: number): ReconcilerEffect[] {
		const effects: ReconcilerEffect[] = [];
		let tenders = missing(want, nowMs);
		// Ordered start: a slot that never ran waits for all below it.
		const firstNew = tenders.find(({ gen }) => gen === 1);
		if (firstNew !== undefined) {
			const below = readySlots().filter((slot) => slot < firstNew.slot).length;
			tenders = tenders.filter((t) => t.gen > 1 || (t === firstNew && below === firstNew.slot));
		}
		const excess = highest(live.filter((r) => r.slot >= want.replicas));
		if (tenders.length === 0 && drains.size === 0 && excess === undefined) tenders.push(...successor(want, nowMs));
		pushTender(effects, tenders);
		sendAway(effects, want, nowMs);
		if (tenders.length > 0 || drains.size > 0 || excess === undefined) return effects;
		if (isSettled(want, nowMs)) pushDrain(effects, excess, 'scaled-down', nowMs);
		return effects;
	}

	/** Surge of one: the next generation of a slot whose replica is to go, if every other slot is well. */
	function successor(want: Desired, nowMs: number): SlotGen[] {
		const isReplaced = (r: ObservedReplica) => live.some((o) => o.slot === r.slot && o.gen > r.gen);
		if (!isSettled(want, nowMs) || live.some(isReplaced)) return [];
		const inPlace = live.filter((r) => r.slot < want.replicas && !stranded.has(r.replicaId));
		const old =
			highest(inPlace.filter((r) => r.leaving)) ?? highest(inPlace.filter((r) => r.manifestCid !== want.manifestCid));
		return old !== undefined && isDue(old.slot, nowMs) ? [nextGeneration(old.slot)] : [];
	}

	/** Those who have to go, and for whom no host was found: nobody waits for what will not come. */
	function sendAway(effects: ReconcilerEffect[], want: Desired, nowMs: number): void {
		for (const replica of live) {
			if (replica.slot < want.replicas && stranded.has(replica.replicaId)) {
				pushDrain(effects, replica, 'nowhere-to-go', nowMs);
			}
		}
	}

	/** Slots without a replica whose waiting time is over; sets the deadline for the others. */
	function missing(want: Desired, nowMs: number): SlotGen[] {
		const held = new Set(live.map((r) => r.slot));
		const found: SlotGen[] = [];
		for (let slot = 0; slot < want.replicas; slot++) {
			const state = slotOf(slot);
			if (held.has(slot)) {
				// An elder that is ready says nothing about whether its successor finds a host.
				const isAsWanted = (r: ObservedReplica): boolean => r.ready && r.manifestCid === want.manifestCid;
				if (live.some((r) => r.slot === slot && isAsWanted(r))) state.failures = 0;
				continue;
			}
			if (isDue(slot, nowMs)) found.push(nextGeneration(slot));
		}
		return found;
	}

	function isDue(slot: number, nowMs: number): boolean {
		const state = slotOf(slot);
		if (state.inFlight) return false;
		const dueMs = Math.max(state.notBeforeMs, met.has(slot) ? 0 : startMs + patienceMs(slot));
		if (nowMs >= dueMs) return true;
		wakeAt(dueMs);
		return false;
	}

	/** For a slot that we have never met: longest while it may be somebody's first apply, none if it is a new wish. */
	function patienceMs(slot: number): number {
		// Our own slot is the one that we know from the start.
		if (generations.has(slot)) return met.size > 1 ? config.meetMs : config.aloneMs;
		return slot < (replicasAtStart ?? 0) ? config.settleMs : 0;
	}

	/** Every slot has a ready replica and nothing is under way. */
	function isSettled(want: Desired, nowMs: number): boolean {
		if (isChangingMembers) return false;
		for (const [slot, state] of slots) {
			if (state.inFlight) return false;
			const { awaitedGen = 0, notBeforeMs } = state;
			if (nowMs >= notBeforeMs || live.some((r) => r.slot === slot && r.gen >= awaitedGen)) continue;
			wakeAt(notBeforeMs);
			return false;
		}
		return new Set(readySlots().filter((slot) => slot < want.replicas)).size === want.replicas;
	}

	function readySlots(): number[] {
		return [...new Set(live.filter((r) => r.ready).map((r) => r.slot))];
	}

	function nextGeneration(slot: number): SlotGen {
		return { slot, gen: (generations.get(slot) ?? 0) + 1 };
	}

	function pushTender(effects: ReconcilerEffect[], tenders: readonly SlotGen[]): void {
		if (tenders.length === 0) return;
		for (const { slot, gen } of tenders) Object.assign(slotOf(slot), { inFlight: true, tenderedGen: gen });
		effects.push({ type: 'tender', slots: tenders });
	}

	function pushDrain(
		effects: ReconcilerEffect[],
		replica: ObservedReplica,
		reason: 'scaled-down' | 'nowhere-to-go',
		nowMs: number,
	): void {
		if (drains.has(replica.replicaId)) return;
		drains.set(replica.replicaId, nowMs);
		wakeAt(nowMs + config.redrainMs);
		effects.push({ type: 'drain', replica, reason });
	}

	function slotOf(slot: number): Slot {
		let state = slots.get(slot);
		if (state === undefined)
			slots.set(
				slot,
				(state = { inFlight: false, tenderedGen: 0, notBeforeMs: 0, failures: 0, awaitedGen: undefined }),
			);
		return state;
	}

	function wakeAt(ms: number): void {
		deadlineMs = Math.min(deadlineMs ?? ms, ms);
	}

	return {
		step,
		nextDeadlineMs: () => deadlineMs,
		status: () => ({
			observed: new Set(live.map((r) => r.slot)).size,
			desired: desired?.replicas ?? 0,
			inFlight: [...slots.values()].filter((s) => s.inFlight).length,
		}),
	};
}

function highest(replicas: readonly ObservedReplica[]): ObservedReplica | undefined {
	return replicas.reduce<ObservedReplica | undefined>(
		(best, r) => (best === undefined || r.slot > best.slot || (r.slot === best.slot && r.gen < best.gen) ? r : best),
		undefined,
	);
}
