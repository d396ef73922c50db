/** This host's side: performs what the bidder core decides, for tenders of others and its own. */
import { isMeshError, MeshError } from '@beemesh/sdk/errors';
import { type OpenedBundle, openBundle, openSealedBundle, sealReason } from '@beemesh/sdk/identity';
import type { Logger, Metrics } from '@beemesh/sdk/telemetry';
import type { Award, Bid, Bundle, MachineId, Tender } from '@beemesh/sdk/wire';
import { type Alarm, type Clock, createAlarm, type MeshNode, REASON_CHARS_MAX } from '../mesh/index.ts';
import { callerOf, insist } from './calls.ts';
import { type Bidder, type BidderConfig, type BidderEffect, type BidderEvent, createBidder } from './core/bidder.ts';
import { SMALL_MESH_HOSTS_MAX } from './core/rings.ts';
import type { Entropy, Ledger, Outcome } from './core/types.ts';

/**
 * Starts the pod of an award. Resolves when the pod is ready, rejects with a reason; when the signal aborts it removes
 * what it made. `replyKey`: to which everything is sealed that only whoever asked for the replica should read.
 */
export type Deploy = (award: Award, opened: OpenedBundle, signal: AbortSignal, replyKey: Uint8Array) => Promise<void>;

export interface AwardAnswer {
	readonly accepted: boolean;
	readonly reason?: string;
}

export interface DeployerOptions {
	readonly mesh: MeshNode;
	readonly ledger: Ledger;
	readonly deploy: Deploy;
	/** Throws, saying why, for a workload that this host will not run whatever it offered. */
	readonly admits?: ((opened: OpenedBundle) => void) | undefined;
	readonly entropy: Entropy;
	readonly clock: Clock;
	readonly logger: Logger;
	readonly metrics: Metrics;
	readonly config: Partial<BidderConfig>;
	/** Bids and outcomes for this host's own placements. */
	readonly ownRequester: {
		/** False: the placement is over. */
		bid(bid: Bid): boolean;
		outcome(awardId: string, machineId: MachineId, outcome: Outcome, reason: string | undefined): void;
	};
}

/** An outcome is worth telling for as long as its award could have mattered. */
const OUTCOME_TTL_MS = 120_000;

/** Resolves when the replica serves; rejects, and leaves nothing behind, when it will not. */
export type Work = (signal: AbortSignal) => Promise<void>;

export class Deployer {
	readonly #options: DeployerOptions;
	readonly #core: Bidder;
	readonly #alarm: Alarm;
	readonly #running = new Map<string, AbortController>();
	readonly #closing = new AbortController();

	constructor(options: DeployerOptions) {
		const { mesh, ledger, entropy, clock, config } = options;
		this.#options = options;
		this.#core = createBidder({ ledger, entropy, config, host: () => mesh.self() });
		this.#alarm = createAlarm(clock, () => this.step({ type: 'tick' }));
	}

	tender(tender: Tender): void {
		this.step({ type: 'tender', tender, answerAlways: this.#options.mesh.hosts().length <= SMALL_MESH_HOSTS_MAX });
	}

	/**
	 * Verifies award and bundle as a whole, then lets the core decide. Throws when the award is nobody's to make, or what is
	 * sealed is not for this host and this award. What is wrong with the bundle itself is said to whoever sealed it.
	 */
	award(envelope: Uint8Array, sealed: Uint8Array, from: MachineId): AwardAnswer {
		const { mesh, clock } = this.#options;
		const nowMs = clock.nowMs();
		const { body: award } = mesh.membership.trust.openAward(envelope, nowMs);
		if (award.requester !== from)
			throw new MeshError('unauthorized', 'the award comes from another host than the one that signed it');
		if (award.machineId !== mesh.machineId) throw new MeshError('unauthorized', 'the award is for another host');
		const { bundle, replyKey } = openSealedBundle(sealed, award.awardId, mesh.membership.keys.kem);
		let opened: OpenedBundle;
		try {
			opened = this.#admitted(award, bundle, nowMs);
		} catch (error) {
			if (!isMeshError(error)) throw error;
			const { tenderId, requester } = award;
			this.#options.logger.info('award refused', { ...named(award), error });
			this.step({ type: 'close', tenderId, requester });
			return { accepted: false, reason: sealReason(`${error.code}: ${error.message}`, replyKey) };
		}

		let answer: AwardAnswer = { accepted: false, reason: 'this host is stopping' };
		if (this.#closing.signal.aborted) return answer;
		for (const effect of this.#stepped({ type: 'award', award, ttlMs: award.exp - award.ts })) {
			if (effect.type === 'answer') {
				answer = { accepted: effect.accepted, ...(effect.reason === undefined ? {} : { reason: effect.reason }) };
				this.#options.metrics.count('beemesh_awards_received_total', {
					outcome: effect.accepted ? 'accepted' : 'rejected',
				});
			} else if (effect.type === 'deploy') {
				const { deploy } = this.#options;
				this.#options.logger.info('award accepted: deploying', { ...named(award), requester: award.requester });
				void this.#run(award, replyKey, (signal) => deploy(award, opened, signal, replyKey));
			} else this.#perform(effect);
		}
		return answer;
	}

	/** Goes on with a deployment that was under way when the hostd before this one ended: the requester still waits for it. */
	resume(award: Award, replyKey: Uint8Array, work: Work): void {
		this.#options.logger.info('going on with a deployment', { ...named(award), requester: award.requester });
		this.step({ type: 'resumed', award });
		void this.#run(award, replyKey, work);
	}

	/** The replica of an award is not let in: its deployment comes to nothing. One that has ended already stands. */
	refused(awardId: string, error: MeshError): void {
		this.#running.get(awardId)?.abort(error);
	}

	/** A tender tells what a workload needs, not what it does: this is the first look at it. Throws for what does not run here. */
	#admitted(award: Award, bundle: Bundle, nowMs: number): OpenedBundle {
		const opened = openBundle(bundle, nowMs);
		if (opened.wid !== award.wid || opened.charter.body.manifestCid !== award.manifestCid) {
			throw new MeshError('unauthorized', 'the bundle is not that of the awarded workload and manifest');
		}
		if (opened.charter.body.deleted) throw new MeshError('unauthorized', 'the workload has been deleted');
		this.#options.admits?.(opened);
		return opened;
	}

	step(event: BidderEvent): void {
		for (const effect of this.#stepped(event)) this.#perform(effect);
	}

	close(): void {
		this.#closing.abort();
		this.#alarm.set(undefined);
		for (const controller of this.#running.values())
			controller.abort(new MeshError('cancelled', 'this host is stopping'));
	}

	#stepped(event: BidderEvent): readonly BidderEffect[] {
		const effects = this.#core.step(event, this.#options.clock.nowMs());
		if (!this.#closing.signal.aborted) this.#alarm.set(this.#core.nextDeadlineMs());
		return effects;
	}

	#perform(effect: BidderEffect): void {
		const { logger, mesh } = this.#options;
		switch (effect.type) {
			case 'explain':
				logger.debug(effect.message, effect.fields);
				break;
			case 'bid':
				void this.#bid(effect);
				break;
			case 'abort':
				logger.info('deployment aborted', { awardId: effect.awardId, reason: effect.reason });
				this.#running.get(effect.awardId)?.abort(new MeshError('cancelled', effect.reason));
				break;
			case 'lease': {
				const { wid, slot, gen, awardId } = effect.award;
				mesh
					.putLease({ wid, slot, gen, awardId, renewNonce: effect.renewNonce })
					.catch((error: unknown) => logger.debug('lease not stored: nobody else will see it', { awardId, error }));
				break;
			}
			case 'outcome':
				void this.#outcome(effect);
				break;
			case 'answer':
			case 'deploy':
				// Only an award leads to these, and `award` performs them.
				break;
		}
	}

	async #bid({
		tender,
		score,
		slotsOffered,
		reason,
		validUntilMs,
	}: Extract<BidderEffect, { type: 'bid' }>): Promise<void> {
		const { mesh, clock, logger, metrics, ownRequester } = this.#options;
		const { tenderId, requester } = tender;
		const bid: Bid = {
			tenderId,
			score,
			slotsOffered,
			...(reason === undefined ? {} : { reason: reason.slice(0, 200) }),
			validForMs: Math.max(0, Math.round(validUntilMs - clock.nowMs())),
		};
		metrics.count('beemesh_bids_total', { outcome: slotsOffered > 0 ? 'offered' : 'declined' });
		logger.debug(slotsOffered > 0 ? 'bid' : 'declined', { tenderId, requester, score, slotsOffered, reason });
		try {
			const wanted =
				requester === mesh.machineId
					? ownRequester.bid(bid)
					: (await (await callerOf(mesh, requester, tender.requesterAddresses)).bid(bid, { timeout: '2s' })).wanted;
			if (!wanted) this.step({ type: 'close', tenderId, requester });
		} catch (error) {
			logger.debug('bid did not arrive', { tenderId, requester, error });
		}
	}

	/** A deployment, from here on or to its end. */
	async #run(award: Award, replyKey: Uint8Array, work: Work): Promise<void> {
		const { logger, clock, metrics } = this.#options;
		const { awardId } = award;
		const controller = new AbortController();
		this.#running.set(awardId, controller);
		const startedAtMs = clock.nowMs();
		try {
			await work(controller.signal);
			metrics.observe('beemesh_deploy_seconds', (clock.nowMs() - startedAtMs) / 1_000);
			this.step({ type: 'deployed', awardId });
		} catch (error) {
			const { message } = error as Error;
			logger.warn('deployment failed', { ...named(award), reason: message });
			// It quotes the manifest; the requester carries it and cannot read it.
			this.step({ type: 'deploy-failed', awardId, reason: sealReason(message, replyKey) });
		} finally {
			this.#running.delete(awardId);
		}
	}

	async #outcome({ award, outcome, reason }: Extract<BidderEffect, { type: 'outcome' }>): Promise<void> {
		const { mesh, clock, logger, ownRequester } = this.#options;
		const { awardId, requester } = award;
		logger.info('deployment ended', { ...named(award), outcome });
		if (requester === mesh.machineId) {
			ownRequester.outcome(awardId, mesh.machineId, outcome, reason);
			return;
		}
		const why = reason === undefined ? {} : { reason: reason.slice(0, REASON_CHARS_MAX) };
		try {
			await insist(
				async () => (await callerOf(mesh, requester)).outcome({ awardId, outcome, ...why }, { timeout: '5s' }),
				{
					clock,
					untilMs: clock.nowMs() + OUTCOME_TTL_MS,
					signal: this.#closing.signal,
				},
			);
		} catch (error) {
			logger.debug('outcome did not arrive', { awardId, requester, error });
		}
	}
}

/** What an award is of, for the log. */
function named({ awardId, wid, slot, gen }: Award) {
	return { awardId, wid, slot, gen };
}
