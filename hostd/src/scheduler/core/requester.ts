/**
 * One placement, as the requester sees it: tender → bids → awards → outcomes, ring by ring (`rings.ts`).
 *
 * Effects are performed in the order given. `award` is followed by exactly one of: the event `award-answer`, or our
 * own time-out, after which a late answer is ignored and the machine is told to cancel.
 *
 * Invariant: a slot has at most one live award; its machine is the only one whose admission request counts.
 * Invariant: after `done` no effect follows.
 */
import type { MachineId, SlotGen, Tender } from '@beemesh/sdk/wire';
import { awardable, type Candidate, chooseHost, type ReceivedBid, starvedReasons } from './choose.ts';
import { DEFAULT_RINGS, type Ring } from './rings.ts';
import { replicasOn } from './score.ts';
import { type Entropy, type Explained, explain, type ForeignLease, type Outcome } from './types.ts';

export interface RequesterConfig {
	/** Longest that a ring waits for bids. 100..500; default 500, because closing early makes it an upper bound only. */
	readonly windowMs: number;
	/**
	 * How much longer the last ring waits for hosts that are present and have not answered, while fewer hosts offer than
	 * there are slots. A busy machine is late; closing on time would crowd its share onto whoever was quick. Hosts that
	 * are dead leave the list of those present, and end the wait. Default 1,500.
	 */
	readonly patienceMs: number;
	/**
	 * How long the client may take to seal the workload to the winner. Its own bound, so that a slow client is not taken for
	 * a slow host. Default 2,000.
	 */
	readonly deliveryTimeoutMs: number;
	/** Silence after an award that counts as a refusal, delivery included. Default 4,000. */
	readonly awardTimeoutMs: number;
	/** From award to admission, and from admission to ready. Default 120,000. */
	readonly awardTtlMs: number;
	/** How long a host that deploys may be out of sight before its slot counts as lost. Default 3,000. */
	readonly hostLossGraceMs: number;
	/** Longest wait for a look at foreign leases before a lost slot is tendered. Default 150. */
	readonly leaseCheckMs: number;
	readonly retryMinMs: number;
	readonly retryMaxMs: number;
	readonly rings: readonly Ring[];
}

export const DEFAULT_REQUESTER: RequesterConfig = {
	windowMs: 500,
	patienceMs: 1_500,
	deliveryTimeoutMs: 2_000,
	awardTimeoutMs: 4_000,
	awardTtlMs: 120_000,
	hostLossGraceMs: 3_000,
	leaseCheckMs: 150,
	retryMinMs: 1_000,
	retryMaxMs: 10_000,
	rings: DEFAULT_RINGS,
};

export type RequesterEvent =
	/** Once, first. `hosts`: everyone known to be present, this host included. */
	| { readonly type: 'start'; readonly hosts: readonly MachineId[] }
	| { readonly type: 'leases'; readonly found: readonly ForeignLease[] }
	/** Verified, and of this placement's current tender. */
	| { readonly type: 'bid'; readonly bid: ReceivedBid }
	| { readonly type: 'award-answer'; readonly awardId: string; readonly accepted: boolean; readonly reason?: string }
	/** The pod of this award has its certificate. */
	| { readonly type: 'admitted'; readonly awardId: string }
	| {
			readonly type: 'outcome';
			readonly awardId: string;
			readonly machineId: MachineId;
			readonly outcome: Outcome;
			readonly reason?: string;
	  }
	/** Who is present has changed. */
	| { readonly type: 'hosts'; readonly hosts: readonly MachineId[] }
	/** The client is gone. */
	| { readonly type: 'cancel' }
	| { readonly type: 'tick' };

export type PlacementReport =
	| { readonly type: 'tendered'; readonly tenderId: string; readonly scope: string; readonly hosts: number }
	| {
			readonly type: 'bid';
			readonly machineId: MachineId;
			readonly score: number;
			readonly slotsOffered: number;
			readonly reason?: string;
	  }
	| ({ readonly type: 'awarded'; readonly machineId: MachineId; readonly awardId: string } & SlotGen)
	| ({ readonly type: 'accepted'; readonly machineId: MachineId } & SlotGen)
	| ({ readonly type: 'rejected'; readonly machineId: MachineId; readonly reason: string } & SlotGen)
	| ({
			readonly type: 'outcome';
			readonly machineId: MachineId;
			readonly outcome: Outcome;
			readonly reason?: string;
	  } & SlotGen)
	| {
			readonly type: 'starved';
			readonly slots: SlotGen[];
			readonly hostsAsked: number;
			readonly reasons: { requirement: string; hosts: number }[];
	  };

export type RequesterEffect =
	/** Look for leases of these slots; answer with `leases`. */
	| { readonly type: 'check-leases'; readonly slots: readonly SlotGen[] }
	/** Publish. A `tenderId` other than the request's own needs a new signature over these slots. */
	| { readonly type: 'tender'; readonly tenderId: string; readonly ring: Ring; readonly slots: readonly SlotGen[] }
	| {
			readonly type: 'award';
			readonly awardId: string;
			readonly tenderId: string;
			readonly slot: number;
			readonly gen: number;
			readonly machineId: MachineId;
			readonly expMs: number;
	  }
	| { readonly type: 'cancel-award'; readonly awardId: string; readonly machineId: MachineId; readonly reason: string }
	/** Nobody else will be awarded: these bidders may drop what they reserved. */
	| { readonly type: 'close'; readonly tenderId: string; readonly machines: readonly MachineId[] }
	| { readonly type: 'report'; readonly report: PlacementReport }
	| { readonly type: 'done' }
	| Explained;

interface Award {
	readonly awardId: string;
	readonly machineId: MachineId;
	readonly expMs: number;
	/** Next moment at which something must have happened. */
	deadlineMs: number;
	accepted: boolean;
	admitted: boolean;
	/** When its host went out of sight. */
	lostAtMs: number | undefined;
}

interface Slot extends SlotGen {
	state: 'waiting' | 'awarded' | 'resolved';
	award: Award | undefined;
}

type Phase =
	| { readonly name: 'new' | 'settled' | 'done' }
	| { readonly name: 'leases' | 'window' | 'retry'; readonly untilMs: number };

export interface Requester {
	step(event: RequesterEvent, nowMs: number): readonly RequesterEffect[];
	nextDeadlineMs(): number | undefined;
	/** The tender whose bids count now. */
	readonly tenderId: string;
	/** The slot whose live award this is. */
	liveAward(awardId: string): (SlotGen & { readonly machineId: MachineId; readonly expMs: number }) | undefined;
}

export interface RequesterOptions {
	readonly tender: Tender;
	readonly keepTrying: boolean;
	readonly entropy: Entropy;
	readonly config?: Partial<RequesterConfig>;
}

export function createRequester({ tender, keepTrying, entropy, config: partial }: RequesterOptions): Requester {
	const config: RequesterConfig = { ...DEFAULT_REQUESTER, ...partial };
	const slots: Slot[] = tender.slots.map(({ slot, gen }) => ({ slot, gen, state: 'waiting', award: undefined }));
	let tenderId = tender.tenderId;
	let phase: Phase = { name: 'new' };
	let ringIndex = 0;
	let isPatient = false;
	/** When the window would have ended that closed early. */
	let windowUntilMs = 0;
	let attempt = 0;
	let hosts: ReadonlySet<MachineId> = new Set();
	let candidates = new Map<MachineId, Candidate>();
	let foreign: readonly ForeignLease[] = [];
	let effects: RequesterEffect[] = [];

	const report = (event: PlacementReport): void => void effects.push({ type: 'report', report: event });
	const waiting = (): Slot[] => slots.filter((slot) => slot.state === 'waiting');
	const leased = (slot: SlotGen, nowMs: number): ForeignLease | undefined =>
		foreign.find((lease) => lease.slot === slot.slot && lease.gen === slot.gen && lease.untilMs > nowMs);
	const placeable = (nowMs: number): Slot[] => waiting().filter((slot) => leased(slot, nowMs) === undefined);

	function openRound(nowMs: number): void {
		ringIndex = 0;
		candidates = new Map();
		foreign = [];
		// A slot that was lost may already be in somebody else's hands: another survivor saw the loss too.
		const lost = waiting().filter(({ gen }) => gen > 1);
		if (lost.length === 0) return openRing(nowMs);
		phase = { name: 'leases', untilMs: nowMs + config.leaseCheckMs };
		effects.push({ type: 'check-leases', slots: lost.map(({ slot, gen }) => ({ slot, gen })) });
	}

	function openRing(nowMs: number): void {
		const open = placeable(nowMs);
		if (open.length === 0) return starve(nowMs);
		const ring = config.rings[ringIndex] as Ring;
		windowUntilMs = nowMs + config.windowMs;
		phase = { name: 'window', untilMs: windowUntilMs };
		isPatient = false;
		effects.push({ type: 'tender', tenderId, ring, slots: open.map(({ slot, gen }) => ({ slot, gen })) });
		report({ type: 'tendered', tenderId, scope: ring.scope, hosts: hosts.size });
	}

	/**
	 * Early close: one host more than slots offers itself, so that each slot can have its own and one may refuse; or
	 * there is nobody left to hear from. Hosts that run replicas of the workload bid lower and so later, or first when the
	 * others are slow: they count only when no host without one can still answer.
	 */
	function enough(nowMs: number): boolean {
		const wanted = placeable(nowMs).length;
		if (hosts.size > 0 && allHeard()) return true;
		const fresh = offering(nowMs).filter(({ bid }) => replicasOn(tender, bid.machineId) === 0);
		if (fresh.length > wanted) return true;
		const isFreshToCome = [...hosts].some((id) => !candidates.has(id) && replicasOn(tender, id) === 0);
		return hosts.size > 0 && !isFreshToCome && offering(nowMs).length > wanted;
	}

	const offering = (nowMs: number): Candidate[] =>
		[...candidates.values()].filter((candidate) => awardable(candidate, nowMs));
	const allHeard = (): boolean => [...hosts].every((machineId) => candidates.has(machineId));

	function onWindowEnd(nowMs: number): void {
		const isLastRing = ringIndex + 1 >= config.rings.length;
		if (isLastRing && !isPatient && !allHeard() && offering(nowMs).length < placeable(nowMs).length) {
			isPatient = true;
			phase = { name: 'window', untilMs: nowMs + config.patienceMs };
			effects.push(
				explain('window over: waiting for hosts that are present', {
					tenderId,
					bids: candidates.size,
					hosts: hosts.size,
				}),
			);
			return;
		}
		effects.push(explain('window closed', { tenderId, bids: candidates.size, hosts: hosts.size }));
		advance(nowMs);
	}

	function assign(nowMs: number): void {
		const load = new Map<MachineId, number>();
		for (const { award } of slots)
			if (award !== undefined) load.set(award.machineId, (load.get(award.machineId) ?? 0) + 1);
		for (const slot of placeable(nowMs)) {
			const chosen = chooseHost({ candidates: candidates.values(), load, tender, tenderId, nowMs });
			if (chosen === undefined) return;
			chosen.taken++;
			load.set(chosen.bid.machineId, (load.get(chosen.bid.machineId) ?? 0) + 1);
			const awardId = entropy.createId(nowMs);
			const { machineId, score } = chosen.bid;
			const expMs = nowMs + config.awardTtlMs;
			const deadlineMs = nowMs + config.awardTimeoutMs;
			slot.state = 'awarded';
			slot.award = { awardId, machineId, expMs, deadlineMs, accepted: false, admitted: false, lostAtMs: undefined };
			const { slot: number, gen } = slot;
			effects.push(
				explain('slot awarded to the best bid left', { tenderId, awardId, slot: number, gen, machineId, score }),
			);
			effects.push({ type: 'award', awardId, tenderId, slot: number, gen, machineId, expMs });
			report({ type: 'awarded', slot: number, gen, machineId, awardId });
		}
	}

	/** The window is closed: award what can be awarded, widen for the rest, or give up for now. */
	function advance(nowMs: number): void {
		assign(nowMs);
		if (waiting().length === 0) return settle();
		// Closed early on offers that were then refused: whoever has not answered yet may be the one that takes it. Not
		// for longer than the window would have been: what was refused may be had again sooner in the next round.
		if (nowMs < windowUntilMs && !allHeard()) {
			isPatient = true;
			phase = { name: 'window', untilMs: windowUntilMs };
			return;
		}
		if (placeable(nowMs).length > 0 && ringIndex + 1 < config.rings.length) {
			ringIndex++;
			effects.push(explain('not enough bids: widening', { tenderId, ring: ringIndex, slots: waiting().length }));
			return openRing(nowMs);
		}
		starve(nowMs);
	}

	function starve(nowMs: number): void {
		const left = waiting();
		report({
			type: 'starved',
			slots: left.map(({ slot, gen }) => ({ slot, gen })),
			hostsAsked: new Set([...hosts, ...candidates.keys()]).size,
			reasons: starvedReasons(
				hosts,
				candidates,
				left.map((slot) => leased(slot, nowMs)).filter((lease) => lease !== undefined),
			),
		});
		if (keepTrying) {
			const backoffMs = Math.min(config.retryMaxMs, config.retryMinMs * 2 ** attempt);
			const untilMs = nowMs + Math.max(config.retryMinMs, Math.floor(backoffMs * (0.8 + 0.2 * entropy.random())));
			phase = { name: 'retry', untilMs };
			effects.push(explain('starved: will ask again', { tenderId, attempt, untilMs }));
			return;
		}
		for (const slot of left) slot.state = 'resolved';
		settle();
	}

	/** No slot waits for a host any more. */
	function settle(): void {
		if (phase.name === 'done') return;
		phase = { name: 'settled' };
		if (slots.some((slot) => slot.state === 'awarded')) return;
		const machines = [...candidates.values()]
			.filter(({ bid, taken }) => bid.slotsOffered > taken)
			.map(({ bid }) => bid.machineId);
		if (machines.length > 0) effects.push({ type: 'close', tenderId, machines });
		phase = { name: 'done' };
		effects.push({ type: 'done' });
	}

	/** The award came to nothing before the host took it: on to the next bid. */
	function refused(slot: Slot, award: Award, reason: string, nowMs: number): void {
		slot.state = 'waiting';
		slot.award = undefined;
		const candidate = candidates.get(award.machineId);
		// A host that refused one slot is not asked for another on the strength of the same bid.
		if (candidate !== undefined) candidate.refusedWith = reason;
		report({ type: 'rejected', slot: slot.slot, gen: slot.gen, machineId: award.machineId, reason });
		if (phase.name === 'settled') advance(nowMs);
		else if (phase.name === 'retry') assignLate(nowMs);
	}

	/** Between two rounds: what is left of the last one's bids still counts. */
	function assignLate(nowMs: number): void {
		assign(nowMs);
		if (waiting().length === 0) settle();
	}

	function resolve(slot: Slot, award: Award, outcome: Outcome, reason: string | undefined): void {
		slot.state = 'resolved';
		slot.award = undefined;
		const why = reason === undefined ? {} : { reason };
		report({ type: 'outcome', slot: slot.slot, gen: slot.gen, machineId: award.machineId, outcome, ...why });
		if (phase.name === 'settled') settle();
	}

	function tick(nowMs: number): void {
		if (phase.name === 'leases' && nowMs >= phase.untilMs) openRing(nowMs);
		if (phase.name === 'window' && nowMs >= phase.untilMs) onWindowEnd(nowMs);
		if (phase.name === 'retry' && nowMs >= phase.untilMs) {
			attempt++;
			tenderId = entropy.createId(nowMs);
			openRound(nowMs);
		}
		for (const slot of slots) {
			const { award } = slot;
			if (award === undefined) continue;
			if (!award.accepted) {
				if (nowMs < award.deadlineMs) continue;
				const reason = `no answer to the award within ${config.awardTimeoutMs} ms`;
				effects.push({ type: 'cancel-award', awardId: award.awardId, machineId: award.machineId, reason });
				refused(slot, award, reason, nowMs);
			} else if (award.lostAtMs !== undefined && nowMs >= award.lostAtMs + config.hostLossGraceMs) {
				resolve(slot, award, 'failed', 'the host was lost while it deployed');
			} else if (nowMs >= award.deadlineMs) {
				const reason = award.admitted
					? `admitted, but not ready within ${config.awardTtlMs} ms`
					: `the award expired: no admission within ${config.awardTtlMs} ms`;
				effects.push({ type: 'cancel-award', awardId: award.awardId, machineId: award.machineId, reason });
				resolve(slot, award, 'failed', reason);
			}
		}
	}

	function onBid(bid: ReceivedBid, nowMs: number): void {
		// One bid per machine and tender; a second one would let a host change its mind at our cost.
		if (bid.tenderId !== tenderId || candidates.has(bid.machineId)) return;
		candidates.set(bid.machineId, { bid, taken: 0, refusedWith: undefined });
		const why = bid.reason === undefined ? {} : { reason: bid.reason };
		const { machineId, score, slotsOffered } = bid;
		report({ type: 'bid', machineId, score, slotsOffered, ...why });
		if (phase.name === 'window' && enough(nowMs)) {
			effects.push(explain('enough bids: closing early', { tenderId, bids: candidates.size, hosts: hosts.size }));
			advance(nowMs);
		} else if (phase.name === 'retry') {
			assignLate(nowMs);
		}
	}

	function onAnswer(event: Extract<RequesterEvent, { type: 'award-answer' }>, nowMs: number): void {
		const slot = slotOf(event.awardId);
		const award = slot?.award;
		if (slot === undefined || award === undefined || award.accepted) return;
		if (!event.accepted) return refused(slot, award, event.reason ?? 'no reason given', nowMs);
		award.accepted = true;
		award.deadlineMs = Math.max(award.deadlineMs, award.expMs);
		report({ type: 'accepted', slot: slot.slot, gen: slot.gen, machineId: award.machineId });
	}

	function onHosts(present: readonly MachineId[], nowMs: number): void {
		hosts = new Set(present);
		for (const { award } of slots) {
			if (award === undefined) continue;
			if (hosts.has(award.machineId)) award.lostAtMs = undefined;
			else award.lostAtMs ??= nowMs;
		}
		if (phase.name === 'window' && enough(nowMs)) advance(nowMs);
	}

	function onCancel(): void {
		for (const slot of slots) {
			const { award } = slot;
			// A replica that was admitted belongs to its workload now, whoever asked for it.
			if (award !== undefined && !award.admitted) {
				const reason = 'the client that asked for it is gone';
				effects.push({ type: 'cancel-award', awardId: award.awardId, machineId: award.machineId, reason });
				resolve(slot, award, 'cancelled', reason);
			}
			slot.state = 'resolved';
			slot.award = undefined;
		}
		settle();
	}

	const slotOf = (awardId: string): Slot | undefined => slots.find(({ award }) => award?.awardId === awardId);

	return {
		get tenderId() {
			return tenderId;
		},
		liveAward(awardId) {
			const slot = slotOf(awardId);
			if (slot?.award === undefined) return undefined;
			return { slot: slot.slot, gen: slot.gen, machineId: slot.award.machineId, expMs: slot.award.expMs };
		},
		nextDeadlineMs() {
			let next =
				phase.name === 'window' || phase.name === 'leases' || phase.name === 'retry' ? phase.untilMs : undefined;
			for (const { award } of slots) {
				if (award === undefined) continue;
				const lost =
					award.accepted && award.lostAtMs !== undefined ? award.lostAtMs + config.hostLossGraceMs : undefined;
				next = Math.min(next ?? Number.POSITIVE_INFINITY, award.deadlineMs, lost ?? Number.POSITIVE_INFINITY);
			}
			return next;
		},
		step(event, nowMs) {
			if (phase.name === 'done') return [];
			effects = [];
			switch (event.type) {
				case 'start':
					hosts = new Set(event.hosts);
					openRound(nowMs);
					break;
				case 'leases':
					if (phase.name !== 'leases') break;
					foreign = event.found;
					openRing(nowMs);
					break;
				case 'bid':
					onBid(event.bid, nowMs);
					break;
				case 'award-answer':
					onAnswer(event, nowMs);
					break;
				case 'admitted': {
					const award = slotOf(event.awardId)?.award;
					if (award === undefined || award.admitted) break;
					award.admitted = true;
					award.deadlineMs = nowMs + config.awardTtlMs;
					break;
				}
				case 'outcome': {
					const slot = slotOf(event.awardId);
					if (slot?.award?.machineId !== event.machineId) break;
					resolve(slot, slot.award, event.outcome, event.reason);
					break;
				}
				case 'hosts':
					onHosts(event.hosts, nowMs);
					break;
				case 'cancel':
					onCancel();
					break;
				case 'tick':
					tick(nowMs);
					break;
			}
			return effects;
		},
	};
}
