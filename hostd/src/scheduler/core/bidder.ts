/**
 * One host's side of all tenders: evaluate, bid after a delay that lets better hosts speak first, hold what was
 * offered until `validUntil`, re-check and claim on award, deploy under a lease, report the outcome.
 *
 * Effects are performed in the order given. `answer` comes before `deploy`, so that the requester knows of the award's
 * acceptance before a pod can ask it for admission.
 *
 * Invariant: what has been offered and not withdrawn is reserved in the ledger.
 * Invariant: every accepted award ends in exactly one `outcome`, after which the ledger holds its pod only if it is
 * `deployed`; from then on whoever runs the pod releases it.
 */
import type { Award, MachineId, Tender } from '@beemesh/sdk/wire';
import { evaluate } from './evaluate.ts';
import { type Score, scoreOf } from './score.ts';
import {
	bidKey,
	claimOf,
	type Entropy,
	type Explained,
	explain,
	type HostView,
	type Ledger,
	type Outcome,
	podKey,
} from './types.ts';

export interface BidderConfig {
	/** W: the worst host waits this long before it answers. Default 100 ms: a mesh of up to 64 hosts. */
	readonly bidDelayMs: number;
	/** Spread of equal scores in time. Default 10 ms. */
	readonly jitterMs: number;
	/** How long an offer holds its reservation: a window, and one award time-out. Default 3,000. */
	readonly bidTtlMs: number;
	/** A deployment longer than this is worth a lease. Default 1,000; also the time between renewals. */
	readonly leaseAfterMs: number;
	/** How long the requester may be out of sight before an unadmitted deployment is given up. Default 5,000. */
	readonly requesterLossGraceMs: number;
	/** Longest that a tender is remembered, and so can be awarded. Default 120,000. */
	readonly tenderTtlMs: number;
	/** Tenders remembered at a time. Default 1,024. */
	readonly tendersMax: number;
}

export const DEFAULT_BIDDER: BidderConfig = {
	bidDelayMs: 100,
	jitterMs: 10,
	bidTtlMs: 3_000,
	leaseAfterMs: 1_000,
	requesterLossGraceMs: 5_000,
	tenderTtlMs: 120_000,
	tendersMax: 1024,
};

export type BidderEvent =
	/** Verified, and not seen before. `answerAlways`: the mesh is small, so a decline is worth a message. */
	| { readonly type: 'tender'; readonly tender: Tender; readonly answerAlways: boolean }
	/** Verified: signed by the requester that it names. `ttlMs`: its life as the requester meant it. */
	| { readonly type: 'award'; readonly award: Award; readonly ttlMs: number }
	| { readonly type: 'cancel'; readonly awardId: string; readonly requester: MachineId; readonly reason: string }
	/** The requester needs no more of what we offered. */
	| { readonly type: 'close'; readonly tenderId: string; readonly requester: MachineId }
	| { readonly type: 'admitted'; readonly awardId: string }
	/** A deployment that the hostd before this one did not end. Its claim is in the ledger. */
	| { readonly type: 'resumed'; readonly award: Award }
	| { readonly type: 'deployed'; readonly awardId: string }
	| { readonly type: 'deploy-failed'; readonly awardId: string; readonly reason: string }
	| { readonly type: 'host-lost' | 'host-back'; readonly machineId: MachineId }
	| { readonly type: 'tick' };

export type BidderEffect =
	| {
			readonly type: 'bid';
			readonly tender: Tender;
			readonly score: number;
			/** 0: a decline, with its reason. */
			readonly slotsOffered: number;
			readonly reason?: string;
			readonly validUntilMs: number;
	  }
	| { readonly type: 'answer'; readonly awardId: string; readonly accepted: boolean; readonly reason?: string }
	| { readonly type: 'deploy'; readonly award: Award }
	/** Stop and remove what the deployment has made so far. */
	| { readonly type: 'abort'; readonly awardId: string; readonly reason: string }
	/** Say in the MDHT that this slot is being deployed here. */
	| { readonly type: 'lease'; readonly award: Award; readonly renewNonce: number }
	| { readonly type: 'outcome'; readonly award: Award; readonly outcome: Outcome; readonly reason?: string }
	| Explained;

export interface Bidder {
	step(event: BidderEvent, nowMs: number): readonly BidderEffect[];
	nextDeadlineMs(): number | undefined;
	/** Awards being deployed now. */
	deploying(): readonly Award[];
}

export interface BidderOptions {
	readonly ledger: Ledger;
	/** This host as it is now. */
	readonly host: () => Pick<HostView, 'machineId' | 'labels' | 'leaving'>;
	readonly entropy: Entropy;
	readonly config?: Partial<BidderConfig>;
}

interface KnownTender {
	readonly tender: Tender;
	readonly answerAlways: boolean;
	/** When to answer; undefined once answered. */
	bidAtMs: number | undefined;
	/** What we offered and have not been awarded. */
	offered: number;
	offerUntilMs: number;
	forgetAtMs: number;
}

interface Deployment {
	readonly award: Award;
	readonly expMs: number;
	admitted: boolean;
	leaseAtMs: number;
	renewNonce: number;
	requesterLostAtMs: number | undefined;
}

/** How much one deployment moves the host's reliability. */
const RELIABILITY_STEP = 0.2;

export function createBidder({ ledger, host, entropy, config: partial }: BidderOptions): Bidder {
	const config: BidderConfig = { ...DEFAULT_BIDDER, ...partial };
	const tenders = new Map<string, KnownTender>();
	const deployments = new Map<string, Deployment>();
	let reliability = 1;
	let effects: BidderEffect[] = [];

	const view = (): HostView => ({ ...host(), ledger, reliability });

	function onTender(tender: Tender, answerAlways: boolean, nowMs: number): void {
		if (tenders.has(tender.tenderId)) return;
		const { tenderId } = tender;
		if (tenders.size >= config.tendersMax) {
			effects.push(explain('tender ignored: too many are open', { tenderId, open: tenders.size }));
			return;
		}
		const evaluation = evaluate(tender, view());
		if (!evaluation.offer && !answerAlways) {
			effects.push(explain('tender not for us', { tenderId, reason: evaluation.reason }));
			return;
		}
		const score: Score | undefined = evaluation.offer ? scoreOf(tender, view()) : undefined;
		const jitterMs = Math.floor(entropy.random() * config.jitterMs);
		const delayMs = score === undefined ? jitterMs : Math.floor((1 - score.total) * config.bidDelayMs) + jitterMs;
		effects.push(explain('tender evaluated', { tenderId, ...evaluation, ...score, delayMs }));
		tenders.set(tenderId, {
			tender,
			answerAlways,
			bidAtMs: nowMs + delayMs,
			offered: 0,
			offerUntilMs: 0,
			forgetAtMs: nowMs + Math.min(config.tenderTtlMs, Math.max(0, tender.exp - tender.ts)),
		});
	}

	/** What was free when the tender came may be gone by now: evaluate again, and reserve what we say. */
	function sendBid(known: KnownTender, nowMs: number): void {
		known.bidAtMs = undefined;
		const { tender } = known;
		const evaluation = evaluate(tender, view());
		const validUntilMs = nowMs + config.bidTtlMs;
		if (evaluation.offer) {
			const score = scoreOf(tender, view()).total;
			if (ledger.reserve(bidKey(tender.tenderId), claimOf(tender, evaluation.slots))) {
				known.offered = evaluation.slots;
				known.offerUntilMs = validUntilMs;
				effects.push({ type: 'bid', tender, score, slotsOffered: evaluation.slots, validUntilMs });
				return;
			}
		}
		if (!known.answerAlways) return;
		const reason = evaluation.offer ? 'resources: taken by another offer' : evaluation.reason;
		effects.push({ type: 'bid', tender, score: 0, slotsOffered: 0, reason, validUntilMs });
	}

	function withdraw(known: KnownTender): void {
		known.offered = 0;
		ledger.release(bidKey(known.tender.tenderId));
	}

	function onAward(award: Award, ttlMs: number, nowMs: number): void {
		const { awardId } = award;
		// The same award again is the same answer: the first one was lost on the way.
		if (deployments.has(awardId)) return void effects.push({ type: 'answer', awardId, accepted: true });
		const reason = claim(award, nowMs);
		if (reason !== undefined) {
			effects.push(explain('award rejected', { awardId, reason }));
			effects.push({ type: 'answer', awardId, accepted: false, reason });
			return;
		}
		deployments.set(awardId, {
			award,
			expMs: nowMs + ttlMs,
			admitted: false,
			leaseAtMs: nowMs + config.leaseAfterMs,
			renewNonce: 0,
			requesterLostAtMs: undefined,
		});
		effects.push({ type: 'answer', awardId, accepted: true });
		effects.push({ type: 'deploy', award });
	}

	/** Re-checks, and turns one replica's share of the reservation into a claim. A reason when it cannot. */
	function claim(award: Award, nowMs: number): string | undefined {
		const known = tenders.get(award.tenderId);
		if (known === undefined) return 'tender: this host does not know it, or has forgotten it';
		const { tender } = known;
		const { slot, gen, wid } = award;
		if (award.requester !== tender.requester) return "requester: the award is not from the tender's requester";
		const tendered = tender.slots.some((wanted) => wanted.slot === slot && wanted.gen === gen);
		if (wid !== tender.wid || !tendered) return `slot: ${slot} generation ${gen} was not in the tender`;
		if (award.manifestCid !== tender.manifestCid) return 'manifest: not the tendered one';

		// Give back what we hold for this tender, take one replica's share, and hold the rest again: nobody runs between.
		const left = nowMs < known.offerUntilMs ? Math.max(0, known.offered - 1) : 0;
		withdraw(known);
		const evaluation = evaluate({ ...tender, slots: [{ slot, gen }] }, view());
		const key = podKey(wid, slot, gen);
		const refusal = !evaluation.offer
			? evaluation.reason
			: ledger.reserve(key, claimOf(tender))
				? undefined
				: 'resources: taken since the bid';
		if (refusal === undefined) ledger.commit(key, 'leased');
		if (left > 0 && ledger.reserve(bidKey(tender.tenderId), claimOf(tender, left))) known.offered = left;
		return refusal;
	}

	function finish(deployment: Deployment, outcome: Outcome, reason?: string): void {
		const { award } = deployment;
		const key = podKey(award.wid, award.slot, award.gen);
		deployments.delete(award.awardId);
		if (outcome === 'deployed') ledger.commit(key, 'running');
		else ledger.release(key);
		if (outcome === 'deployed') reliability += (1 - reliability) * RELIABILITY_STEP;
		else if (outcome === 'failed') reliability -= reliability * RELIABILITY_STEP;
		effects.push({ type: 'outcome', award, outcome, ...(reason === undefined ? {} : { reason }) });
	}

	function giveUp(deployment: Deployment, outcome: Outcome, reason: string): void {
		effects.push({ type: 'abort', awardId: deployment.award.awardId, reason });
		finish(deployment, outcome, reason);
	}

	function tick(nowMs: number): void {
		for (const known of tenders.values()) {
			if (known.bidAtMs !== undefined && nowMs >= known.bidAtMs) sendBid(known, nowMs);
			if (known.offered > 0 && nowMs >= known.offerUntilMs) {
				effects.push(explain('offer lapsed', { tenderId: known.tender.tenderId, slots: known.offered }));
				withdraw(known);
			}
			if (nowMs >= known.forgetAtMs && known.offered === 0) tenders.delete(known.tender.tenderId);
		}
		for (const deployment of [...deployments.values()]) {
			if (!deployment.admitted) {
				const lostAtMs = deployment.requesterLostAtMs;
				if (nowMs >= deployment.expMs) {
					giveUp(deployment, 'failed', 'the award expired before the replica was admitted');
					continue;
				}
				if (lostAtMs !== undefined && nowMs >= lostAtMs + config.requesterLossGraceMs) {
					giveUp(deployment, 'cancelled', 'the requester was lost before the replica was admitted');
					continue;
				}
			}
			if (nowMs >= deployment.leaseAtMs) {
				deployment.renewNonce++;
				deployment.leaseAtMs = nowMs + config.leaseAfterMs;
				effects.push({ type: 'lease', award: deployment.award, renewNonce: deployment.renewNonce });
			}
		}
	}

	function nextDeadlineMs(): number | undefined {
		let next = Number.POSITIVE_INFINITY;
		for (const known of tenders.values()) {
			next = Math.min(next, known.bidAtMs ?? next, known.offered > 0 ? known.offerUntilMs : known.forgetAtMs);
		}
		for (const { admitted, expMs, leaseAtMs, requesterLostAtMs } of deployments.values()) {
			next = Math.min(next, leaseAtMs);
			if (admitted) continue;
			next = Math.min(
				next,
				expMs,
				requesterLostAtMs === undefined ? next : requesterLostAtMs + config.requesterLossGraceMs,
			);
		}
		return next === Number.POSITIVE_INFINITY ? undefined : next;
	}

	return {
		nextDeadlineMs,
		deploying: () => [...deployments.values()].map(({ award }) => award),
		step(event, nowMs) {
			effects = [];
			switch (event.type) {
				case 'tender':
					onTender(event.tender, event.answerAlways, nowMs);
					break;
				case 'award':
					onAward(event.award, event.ttlMs, nowMs);
					break;
				case 'cancel': {
					const deployment = deployments.get(event.awardId);
					if (deployment?.award.requester === event.requester) giveUp(deployment, 'cancelled', event.reason);
					break;
				}
				case 'close': {
					const known = tenders.get(event.tenderId);
					if (known?.tender.requester !== event.requester) break;
					withdraw(known);
					known.bidAtMs = undefined;
					break;
				}
				case 'admitted': {
					const deployment = deployments.get(event.awardId);
					if (deployment !== undefined) deployment.admitted = true;
					break;
				}
				case 'resumed':
					deployments.set(event.award.awardId, {
						...{ award: event.award, expMs: nowMs, renewNonce: 0, requesterLostAtMs: undefined },
						// Whether it is, only its replica knows: it is given the time to say so.
						admitted: true,
						leaseAtMs: nowMs + config.leaseAfterMs,
					});
					break;
				case 'deployed': {
					const deployment = deployments.get(event.awardId);
					if (deployment !== undefined) finish(deployment, 'deployed');
					break;
				}
				case 'deploy-failed': {
					const deployment = deployments.get(event.awardId);
					if (deployment !== undefined) finish(deployment, 'failed', event.reason);
					break;
				}
				case 'host-lost':
				case 'host-back':
					for (const deployment of deployments.values()) {
						if (deployment.award.requester !== event.machineId) continue;
						if (event.type === 'host-back') deployment.requesterLostAtMs = undefined;
						else deployment.requesterLostAtMs ??= nowMs;
					}
					break;
				case 'tick':
					tick(nowMs);
					break;
			}
			return effects;
		},
	};
}
