/**
 * The scheduler of one host: places for those who ask it (`place`), and bids for what others place. It keeps nothing
 * on disk; what it forgets in a crash, time-outs on the other hosts clean up.
 */
import type { Admission, AdmitRequest, DeliverRequest, PlaceEvent, PlaceRequest } from '@beemesh/sdk/api';
import { isMeshError, MeshError } from '@beemesh/sdk/errors';
import {
	createUlid,
	type OpenedBundle,
	openReason,
	openStatement,
	peekRecord,
	sealPapers,
} from '@beemesh/sdk/identity';
import type { Logger, Metrics } from '@beemesh/sdk/telemetry';
import type { Award, Bid, MachineId, OwnerId, WorkloadId } from '@beemesh/sdk/wire';
import { type Clock, MachineApi, type MeshNode, REASON_CHARS_MAX, systemClock, type Verdict } from '../mesh/index.ts';
import type { Accountant } from '../resources/index.ts';
import { callerOf, insist } from './calls.ts';
import { type Admissions, createAdmissions } from './core/admissions.ts';
import type { BidderConfig } from './core/bidder.ts';
import { DEFAULT_REQUESTER, type RequesterConfig } from './core/requester.ts';
import { ROOT_RING } from './core/rings.ts';
import type { Entropy } from './core/types.ts';
import { type Deploy, Deployer, type Work } from './deployer.ts';
import { createTenderGate, type TenderGate } from './gate.ts';
import { Placement } from './placement.ts';

export interface SchedulerOptions {
	readonly mesh: MeshNode;
	readonly resources: Accountant;
	readonly deploy: Deploy;
	/** Throws, saying why, for a workload that this host will not run whatever it offered. @default runs all */
	readonly admits?: (opened: OpenedBundle) => void;
	readonly logger: Logger;
	readonly metrics: Metrics;
	readonly clock?: Clock;
	/** In [0, 1): spreads bids and retries in time. Default: Math.random. */
	readonly random?: () => number;
	readonly requester?: Partial<RequesterConfig>;
	readonly bidder?: Partial<BidderConfig>;
}

export interface AdmissionAsk {
	readonly awardId: string;
	readonly requester: MachineId;
	/** Of whoever decides. */
	readonly replyKey: Uint8Array;
	/** Envelopes. */
	readonly csr: Uint8Array;
	readonly cert: Uint8Array;
	readonly statement: Uint8Array;
}

export interface Scheduler extends AsyncDisposable {
	/**
	 * Places the slots of a tender. Ends when each slot has its outcome; leaving early cancels what is not admitted.
	 * Throws `invalid_input`, `unauthorized` or `conflict` (a tender used before) before anything is asked of anybody.
	 */
	place(request: PlaceRequest, signal: AbortSignal): AsyncIterable<PlaceEvent>;
	/** Answers a `retender` event. Throws like `place`, and `not_found` when nobody waits for it. */
	retender(tender: Uint8Array): void;
	/** Answers an `awarded` event. Throws `not_found` when nobody waits for it. */
	deliver(request: DeliverRequest): void;
	/** What an award of a placement here is for. */
	awardedBy(awardId: string): { readonly wid: WorkloadId; readonly owner: OwnerId } | undefined;
	/** Answers a `csr` event. The first answer stands. Throws `not_found` when nobody asks that. */
	admit(request: AdmitRequest): Promise<void>;
	/**
	 * On the winner's host: carries its pod's request to the requester and waits for the decision. The same request
	 * gets the same answer. Throws `conflict` (another request on this award), `unauthorized`, `unavailable`.
	 */
	requestAdmission(ask: AdmissionAsk, signal: AbortSignal): Promise<Admission>;
	/**
	 * On the winner's host: goes on with a deployment that was under way when hostd was restarted.
	 */
	resume(award: Award, replyKey: Uint8Array, work: Work): void;
}

type Answer = AdmitRequest['answer'];
/** A request for admission as it travels. */
interface Carried {
	readonly awardId: string;
	readonly papers: Uint8Array;
	readonly statement: Uint8Array;
}
interface Waiter {
	readonly promise: Promise<Answer>;
	resolve(answer: Answer): void;
	reject(error: MeshError): void;
}

class SchedulerDriver implements Scheduler {
	readonly #options: SchedulerOptions;
	readonly #clock: Clock;
	readonly #entropy: Entropy;
	readonly #gate: TenderGate;
	readonly #deployer: Deployer;
	readonly #admissions: Admissions<Answer> = createAdmissions<Answer>();
	readonly #byTender = new Map<string, Placement>();
	readonly #byAward = new Map<string, Placement>();
	readonly #waiters = new Map<string, Waiter>();
	readonly #closing = new AbortController();
	readonly #subscriptions: Disposable[];
	readonly #service: AsyncDisposable;

	constructor(options: SchedulerOptions) {
		const {
			mesh,
			resources,
			deploy,
			admits,
			logger,
			metrics,
			clock = systemClock,
			random = Math.random,
			bidder = {},
		} = options;
		this.#options = options;
		this.#clock = clock;
		this.#entropy = { random, createId: (nowMs) => createUlid(nowMs) };
		const { trust } = mesh.membership;
		this.#gate = createTenderGate({
			startedAtMs: clock.nowMs(),
			isKnown: (requester, nowMs) => trust.machine(requester, nowMs) !== undefined,
		});
		this.#deployer = new Deployer({
			mesh,
			ledger: resources,
			deploy,
			admits,
			clock,
			logger,
			metrics,
			entropy: this.#entropy,
			config: bidder,
			ownRequester: {
				bid: (bid) => this.#onBid(bid, mesh.machineId),
				outcome: (awardId, machineId, outcome, reason) => void this.#onOutcome(awardId, machineId, outcome, reason),
			},
		});
		this.#service = mesh.rpc.services.serve(MachineApi, {
			tender: ({ tender }, { principal }) => {
				this.#onTender(tender, principal.machineId);
				return {};
			},
			bid: (bid, { principal }) => ({ wanted: this.#onBid(bid, principal.machineId) }),
			award: ({ award, sealed }, { principal }) => {
				const { accepted, reason = 'no reason given' } = this.#deployer.award(award, sealed, principal.machineId);
				return accepted ? { accepted } : { accepted, reason: reason.slice(0, REASON_CHARS_MAX) };
			},
			cancel: ({ awardId, reason }, { principal }) => {
				this.#deployer.step({ type: 'cancel', awardId, requester: principal.machineId, reason });
				return {};
			},
			close: ({ tenderId }, { principal }) => {
				this.#deployer.step({ type: 'close', tenderId, requester: principal.machineId });
				return {};
			},
			outcome: ({ awardId, outcome, reason }, { principal }) => ({
				known: this.#onOutcome(awardId, principal.machineId, outcome, reason),
			}),
			admission: (asked, { principal, signal }) => this.#onAdmission(asked, principal.machineId, signal),
		});
		this.#subscriptions = [
			mesh.onTender(ROOT_RING.scope, (envelope, from) => this.#onTender(envelope, from)),
			mesh.onHosts((event) => {
				if (event.type === 'changed') return;
				const hosts = mesh.hosts().map(({ machineId }) => machineId);
				for (const placement of new Set(this.#byTender.values())) placement.step({ type: 'hosts', hosts });
				if (event.type === 'down') this.#deployer.step({ type: 'host-lost', machineId: event.machineId });
				else this.#deployer.step({ type: 'host-back', machineId: event.presence.machineId });
			}),
		];
	}

	resume(award: Award, replyKey: Uint8Array, work: Work): void {
		this.#deployer.resume(award, replyKey, work);
	}

	async *place(request: PlaceRequest, signal: AbortSignal): AsyncGenerator<PlaceEvent> {
		const { mesh, logger, metrics, requester = {} } = this.#options;
		if (this.#closing.signal.aborted) throw new MeshError('draining', 'this host is stopping: ask another one');
		const { tender, grant } = this.#ownTender(request.tender);
		const placement = new Placement({
			request,
			tender,
			grant,
			mesh,
			logger,
			metrics,
			clock: this.#clock,
			entropy: this.#entropy,
			config: requester,
			local: {
				tender: (own) => this.#deployer.tender(own),
				award: async (envelope, sealed) => this.#deployer.award(envelope, sealed, mesh.machineId),
				cancel: (awardId, reason) =>
					this.#deployer.step({ type: 'cancel', awardId, requester: mesh.machineId, reason }),
				close: (tenderId) => this.#deployer.step({ type: 'close', tenderId, requester: mesh.machineId }),
			},
			index: (indexed, { tenderId, awardId }) => {
				if (tenderId !== undefined) this.#byTender.set(tenderId, indexed);
				if (awardId !== undefined) this.#byAward.set(awardId, indexed);
			},
			onDone: (ended) => this.#forget(ended),
		});
		const cancel = (): void => placement.step({ type: 'cancel' });
		const stops = AbortSignal.any([signal, this.#closing.signal]);
		if (stops.aborted)
			throw new MeshError('cancelled', 'the placement was cancelled before it began', { applied: 'no' });
		stops.addEventListener('abort', cancel, { once: true });
		try {
			placement.start();
			yield* placement.events;
		} finally {
			stops.removeEventListener('abort', cancel);
			cancel();
		}
	}

	retender(envelope: Uint8Array): void {
		const { tender } = this.#ownTender(envelope);
		if (this.#byTender.get(tender.tenderId)?.retender(tender, envelope) === true) return;
		throw new MeshError('not_found', 'no placement waits for this tender: it is over, or asked for another one');
	}

	deliver({ awardId, sealed }: DeliverRequest): void {
		if (this.#byAward.get(awardId)?.deliver(awardId, sealed) === true) return;
		throw new MeshError('not_found', 'nobody waits for this delivery: its award is over, or has had one');
	}

	awardedBy(awardId: string): { readonly wid: WorkloadId; readonly owner: OwnerId } | undefined {
		return this.#byAward.get(awardId)?.grant;
	}

	async admit({ awardId, csrCid, answer }: AdmitRequest): Promise<void> {
		const placement = this.#byAward.get(awardId);
		if (!this.#admissions.answer(awardId, csrCid, answer)) {
			throw new MeshError(
				'not_found',
				'no replica waits for this answer: its award is over, or the request is another one',
			);
		}
		this.#waiters.get(awardId)?.resolve(answer);
		if (answer.admitted) placement?.step({ type: 'admitted', awardId });
	}

	async requestAdmission(ask: AdmissionAsk, signal: AbortSignal): Promise<Admission> {
		try {
			return await this.#askAdmission(ask, signal);
		} catch (error) {
			// An award is good for one request: its pod would ask in vain for as long as it is started again.
			if (isMeshError(error, 'unauthorized') || isMeshError(error, 'conflict'))
				this.#deployer.refused(ask.awardId, error);
			throw error;
		}
	}

	async #askAdmission(ask: AdmissionAsk, signal: AbortSignal): Promise<Admission> {
		const { awardId, requester, replyKey, statement } = ask;
		const { mesh } = this.#options;
		const asked: Carried = { awardId, papers: sealPapers(ask, awardId, replyKey), statement };
		const { awardTtlMs } = { ...DEFAULT_REQUESTER, ...this.#options.requester };
		const stops = AbortSignal.any([signal, this.#closing.signal]);
		const answer: Answer =
			requester === mesh.machineId
				? await this.#onAdmission(asked, mesh.machineId, stops)
				: await insist(
						async () => (await callerOf(mesh, requester)).admission(asked, { timeout: awardTtlMs, signal: stops }),
						{ clock: this.#clock, untilMs: this.#clock.nowMs() + awardTtlMs, signal: stops },
					);
		if (!answer.admitted) {
			const reason = openReason(answer.reason, mesh.membership.keys.kem);
			throw new MeshError('unauthorized', `admission refused: ${reason}`);
		}
		this.#deployer.step({ type: 'admitted', awardId });
		return answer;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		if (this.#closing.signal.aborted) return;
		this.#closing.abort();
		this.#deployer.close();
		for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
		await this.#service[Symbol.asyncDispose]();
	}

	/** A tender that one of our own clients hands in. */
	#ownTender(envelope: Uint8Array) {
		const { mesh } = this.#options;
		const { requester } = peekRecord('tender', envelope).body;
		if (requester !== mesh.machineId) {
			throw new MeshError(
				'invalid_input',
				`the tender names ${requester} as its requester; this host is ${mesh.machineId}`,
			);
		}
		const admitted = this.#gate.admit(envelope, undefined, this.#clock.nowMs());
		if (admitted.verdict !== 'accept') throw admitted.error;
		const { value: tender } = admitted;
		// Verified with the tender.
		const { body: grant } = peekRecord('tender-grant', tender.grant);
		return { tender, grant };
	}

	/** Verified before it counts, and before it is passed on. */
	#onTender(envelope: Uint8Array, from: MachineId): Verdict {
		const { logger, metrics } = this.#options;
		const admitted = this.#gate.admit(envelope, from, this.#clock.nowMs());
		metrics.count('beemesh_tenders_total', { outcome: admitted.verdict });
		if (admitted.verdict === 'accept') this.#deployer.tender(admitted.value);
		else logger.debug('tender refused', { verdict: admitted.verdict, error: admitted.error });
		return admitted.verdict;
	}

	#onBid(bid: Bid, from: MachineId): boolean {
		const placement = this.#byTender.get(bid.tenderId);
		placement?.bid(bid, from);
		return placement !== undefined;
	}

	#onOutcome(
		awardId: string,
		machineId: MachineId,
		outcome: 'deployed' | 'failed' | 'preempted' | 'cancelled',
		reason: string | undefined,
	): boolean {
		const placement = this.#byAward.get(awardId);
		if (placement?.liveAward(awardId)?.machineId !== machineId) return false;
		placement.step({ type: 'outcome', awardId, machineId, outcome, ...(reason === undefined ? {} : { reason }) });
		return true;
	}

	/** Goes by the host's statement, which is all that is to be read here: whoever decides sees the request behind it. */
	async #onAdmission({ awardId, papers, statement }: Carried, from: MachineId, signal: AbortSignal): Promise<Answer> {
		const machine = this.#options.mesh.membership.trust.machine(from, this.#clock.nowMs());
		if (machine === undefined)
			throw new MeshError('unauthorized', `the certificate of machine ${from} is not known here`);
		const { body: stated } = openStatement(statement, machine);
		if (stated.awardId !== awardId) throw new MeshError('unauthorized', 'the admission request is for another award');
		const placement = this.#byAward.get(awardId);
		const live = placement?.liveAward(awardId);
		if (placement !== undefined && live !== undefined) {
			if (live.machineId !== from) throw new MeshError('unauthorized', 'the award went to another host');
			if (stated.manifestCid !== placement.tender.manifestCid) {
				throw new MeshError('unauthorized', 'the host says that it runs another manifest than the tendered one');
			}
		}
		const nowMs = this.#clock.nowMs();
		const verdict = this.#admissions.request(awardId, stated.csrCid, live !== undefined, live?.expMs ?? 0, nowMs);
		if (verdict.type === 'refused') throw new MeshError('conflict', `admission refused: ${verdict.reason}`);
		if (verdict.type === 'answered') return verdict.answer;
		if (verdict.type === 'ask' && placement !== undefined && live !== undefined) {
			const { promise, resolve, reject } = Promise.withResolvers<Answer>();
			// Whoever waits holds a promise of its own.
			promise.catch(() => undefined);
			this.#waiters.set(awardId, { promise, resolve, reject });
			placement.csr(live, awardId, { papers, statement, credential: machine.credential });
		}
		return this.#answerOf(awardId, signal);
	}

	#answerOf(awardId: string, signal: AbortSignal): Promise<Answer> {
		const waiter = this.#waiters.get(awardId);
		if (waiter === undefined) throw new MeshError('conflict', 'admission refused: the award is over');
		return new Promise((resolve, reject) => {
			const onAbort = (): void =>
				reject(new MeshError('cancelled', 'the admission request was withdrawn', { applied: 'no' }));
			if (signal.aborted) onAbort();
			signal.addEventListener('abort', onAbort, { once: true });
			waiter.promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
		});
	}

	#forget(placement: Placement): void {
		for (const [tenderId, one] of this.#byTender) if (one === placement) this.#byTender.delete(tenderId);
		for (const [awardId, one] of this.#byAward) {
			if (one !== placement) continue;
			this.#byAward.delete(awardId);
			this.#waiters.get(awardId)?.reject(new MeshError('conflict', 'admission refused: the award is over'));
			this.#waiters.delete(awardId);
		}
	}
}

export function createScheduler(options: SchedulerOptions): Scheduler {
	return new SchedulerDriver(options);
}
