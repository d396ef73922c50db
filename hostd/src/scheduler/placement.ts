/**
 * One placement's driver: performs what the requester core decides, and turns answers into its events. It never sees what
 * is placed: the client seals the workload to each winner, and signs the tender again where that is needed.
 */
import type { PlaceEvent, PlaceRequest } from '@beemesh/sdk/api';
import { isMeshError } from '@beemesh/sdk/errors';
import { isSealedReason, sameBytes, signRecord } from '@beemesh/sdk/identity';
import type { Logger, Metrics } from '@beemesh/sdk/telemetry';
import {
	type Award,
	type Bid,
	effectiveLabels,
	encodeRecord,
	type MachineId,
	type RecordCid,
	type SlotGen,
	type Tender,
	type TenderGrant,
	unmetSelector,
} from '@beemesh/sdk/wire';
import { type Alarm, type Clock, createAlarm, type MeshNode, REASON_CHARS_MAX } from '../mesh/index.ts';
import { callerOf, type MachineCaller } from './calls.ts';
import {
	createRequester,
	DEFAULT_REQUESTER,
	type PlacementReport,
	type Requester,
	type RequesterConfig,
	type RequesterEffect,
	type RequesterEvent,
} from './core/requester.ts';
import type { Entropy, ForeignLease } from './core/types.ts';
import { Deliveries } from './deliveries.ts';
import { EventQueue } from './queue.ts';

/** This host's own bidder, reached without a wire. */
export interface LocalHost {
	tender(tender: Tender): void;
	award(envelope: Uint8Array, sealed: Uint8Array): Promise<{ readonly accepted: boolean; readonly reason?: string }>;
	cancel(awardId: string, reason: string): void;
	close(tenderId: string): void;
}

export interface PlacementOptions {
	readonly request: PlaceRequest;
	/** The verified tender of the request. */
	readonly tender: Tender;
	readonly grant: TenderGrant;
	readonly mesh: MeshNode;
	readonly local: LocalHost;
	readonly entropy: Entropy;
	readonly clock: Clock;
	readonly logger: Logger;
	readonly metrics: Metrics;
	readonly config: Partial<RequesterConfig>;
	/** The tender's ID changed, or an award was made: bids and answers are found by these. */
	readonly index: (placement: Placement, name: { readonly tenderId?: string; readonly awardId?: string }) => void;
	readonly onDone: (placement: Placement) => void;
}

export class Placement {
	readonly events = new EventQueue<PlaceEvent>();
	readonly tender: Tender;
	readonly grant: TenderGrant;
	readonly #options: PlacementOptions;
	readonly #core: Requester;
	readonly #alarm: Alarm;
	readonly #log: Logger;
	readonly #startedAtMs: number;
	readonly #deliveries: Deliveries;
	readonly #callTimeoutMs: number;
	/** The round that waits for its tender to be signed again. */
	#unsigned: { readonly tenderId: string; readonly slots: readonly SlotGen[]; readonly scope: string } | undefined;
	#isDone = false;

	constructor(options: PlacementOptions) {
		const { request, tender, clock, entropy, config } = options;
		this.#options = options;
		this.tender = tender;
		this.grant = options.grant;
		this.#log = options.logger.with({ tenderId: tender.tenderId, wid: tender.wid });
		this.#core = createRequester({ tender, keepTrying: request.keepTrying, entropy, config });
		this.#alarm = createAlarm(clock, () => this.step({ type: 'tick' }));
		this.#startedAtMs = clock.nowMs();
		const { deliveryTimeoutMs, awardTimeoutMs } = { ...DEFAULT_REQUESTER, ...config };
		this.#deliveries = new Deliveries(clock, deliveryTimeoutMs);
		this.#callTimeoutMs = Math.max(1, awardTimeoutMs - deliveryTimeoutMs);
	}

	get isDone(): boolean {
		return this.#isDone;
	}

	start(): void {
		this.step({ type: 'start', hosts: this.#options.mesh.hosts().map(({ machineId }) => machineId) });
	}

	liveAward(awardId: string): ReturnType<Requester['liveAward']> {
		return this.#core.liveAward(awardId);
	}

	/** What the client sealed for the winner of an award. False: nobody waits for it. */
	deliver(awardId: string, sealed: Uint8Array): boolean {
		return this.#deliveries.settle(awardId, sealed);
	}

	/** The tender of this round, signed again and verified. False: it is not what was asked for. */
	retender(tender: Tender, envelope: Uint8Array): boolean {
		const wanted = this.#unsigned;
		if (wanted === undefined || !isSameRound(tender, wanted, this.tender)) return false;
		this.#unsigned = undefined;
		void this.#spread(wanted.scope, tender, envelope);
		return true;
	}

	/** A bid that came over a session with this machine. What its certificate does not bear out is no offer. */
	bid({ validForMs, ...bid }: Bid, machineId: MachineId): void {
		const validUntil = this.#options.clock.nowMs() + validForMs;
		const unmet = bid.slotsOffered > 0 ? this.#unmetBy(machineId) : undefined;
		if (unmet !== undefined) this.#log.warn('a host offered itself for what it is not', { machineId, unmet });
		const judged = unmet === undefined ? bid : { ...bid, score: 0, slotsOffered: 0, reason: unmet.slice(0, 200) };
		this.step({ type: 'bid', bid: { ...judged, machineId, validUntil } });
	}

	/** As the bidder has judged itself, by its certificate; its own word counts for what is declared as such. */
	#unmetBy(machineId: MachineId): string | undefined {
		const { mesh, clock } = this.#options;
		const { nodeSelector } = this.tender.requirements;
		const machine =
			machineId === mesh.machineId ? mesh.membership.self : mesh.membership.trust.machine(machineId, clock.nowMs());
		const declared = mesh.hosts().find((host) => host.machineId === machineId)?.labels ?? {};
		return unmetSelector(nodeSelector, effectiveLabels(machine?.cert.labels ?? {}, declared));
	}

	/** A pod of an award asks for admission: whoever wants the placement decides. */
	csr(
		at: SlotGen,
		awardId: string,
		asked: Pick<Extract<PlaceEvent, { type: 'csr' }>, 'papers' | 'statement' | 'credential'>,
	): void {
		this.#log.debug('replica asks for admission', { ...at, awardId });
		this.events.push({ type: 'csr', slot: at.slot, gen: at.gen, awardId, ...asked });
	}

	step(event: RequesterEvent): void {
		const effects = this.#core.step(event, this.#options.clock.nowMs());
		this.#alarm.set(this.#core.nextDeadlineMs());
		for (const effect of effects) this.#perform(effect);
	}

	#perform(effect: RequesterEffect): void {
		switch (effect.type) {
			case 'explain':
				this.#log.debug(effect.message, effect.fields);
				break;
			case 'report':
				this.#report(effect.report);
				break;
			case 'check-leases':
				void this.#checkLeases(effect.slots);
				break;
			case 'tender':
				this.#publish(effect);
				break;
			case 'award':
				void this.#award(effect);
				break;
			case 'cancel-award':
				this.#deliveries.drop(effect.awardId);
				this.#tell(effect.machineId, 'cancel', {
					local: (host) => host.cancel(effect.awardId, effect.reason),
					remote: (caller) => caller.cancel({ awardId: effect.awardId, reason: effect.reason }),
				});
				break;
			case 'close':
				for (const machineId of effect.machines) {
					this.#tell(machineId, 'close', {
						local: (host) => host.close(effect.tenderId),
						remote: (caller) => caller.close({ tenderId: effect.tenderId }),
					});
				}
				break;
			case 'done':
				this.#isDone = true;
				this.#deliveries.close();
				this.#alarm.set(undefined);
				this.#options.onDone(this);
				this.events.end();
				break;
		}
	}

	#report(report: PlacementReport): void {
		const { metrics, clock } = this.#options;
		const { type, ...told } = report;
		const fields = 'reason' in told && told.reason !== undefined ? { ...told, reason: forLog(told.reason) } : told;
		if (type === 'awarded' || type === 'accepted' || type === 'rejected') {
			this.#log.info(`award ${type === 'awarded' ? 'made' : type}`, fields);
			if (type !== 'awarded') metrics.count('beemesh_awards_total', { outcome: type });
			if (type === 'accepted') metrics.observe('beemesh_award_seconds', (clock.nowMs() - this.#startedAtMs) / 1_000);
		} else if (report.type === 'outcome') {
			this.#log.info('placement outcome', fields);
			metrics.count('beemesh_outcomes_total', { outcome: report.outcome });
		} else if (type === 'starved') {
			this.#log.warn('nobody can take these slots now', fields);
		} else {
			this.#log.debug(type === 'bid' ? 'bid received' : 'tendered', fields);
		}
		if (report.type !== 'awarded') {
			this.events.push(report);
			return;
		}
		// Without it nobody could seal anything to the winner; the award fails by itself.
		const credential = this.#credentialOf(report.machineId);
		if (credential !== undefined) this.events.push({ ...report, credential });
	}

	async #checkLeases(slots: readonly SlotGen[]): Promise<void> {
		const { mesh } = this.#options;
		// The core waits 150 ms; what is found later does not count.
		const signal = AbortSignal.timeout(200);
		const looks = slots.map(async ({ slot, gen }) => {
			try {
				return await mesh.findLease({ wid: this.tender.wid, slot, gen }, signal);
			} catch (error) {
				this.#log.debug('no lease could be read', { slot, gen, error });
				return undefined;
			}
		});
		const found = (await Promise.all(looks)).filter((lease) => lease !== undefined);
		this.step({
			type: 'leases',
			found: found.map(({ slot, gen, machineId, untilMs }): ForeignLease => ({ slot, gen, machineId, untilMs })),
		});
	}

	#publish({ tenderId, slots, ring }: Extract<RequesterEffect, { type: 'tender' }>): void {
		const { request, index, tender: original } = this.#options;
		index(this, { tenderId });
		const { scope } = ring;
		// The request's own envelope as long as it says what we ask for; only the workload's own key signs another.
		this.#unsigned = undefined;
		if (tenderId === original.tenderId && slots.length === original.slots.length) {
			void this.#spread(scope, original, request.tender);
			return;
		}
		this.#unsigned = { tenderId, slots, scope };
		this.events.push({ type: 'retender', tenderId, slots: slots.map(({ slot, gen }) => ({ slot, gen })) });
	}

	async #spread(scope: string, tender: Tender, envelope: Uint8Array): Promise<void> {
		const { mesh, local } = this.#options;
		local.tender(tender);
		let reached: ReadonlySet<MachineId> = new Set();
		try {
			reached = await mesh.publishTender(scope, envelope);
		} catch (error) {
			this.#log.debug('gossip took no tender: telling each host', { error });
		}
		// Gossip may not have met a host that has just joined; a small mesh has a session with it.
		const missed = mesh.hosts().filter(({ machineId }) => machineId !== mesh.machineId && !reached.has(machineId));
		for (const { machineId } of missed) {
			this.#tell(machineId, 'tender', {
				local: () => undefined,
				remote: (caller) => caller.tender({ tender: envelope }),
			});
		}
	}

	#credentialOf(machineId: MachineId): Uint8Array | undefined {
		const { mesh, clock } = this.#options;
		if (machineId === mesh.machineId) return mesh.membership.credential;
		return mesh.membership.trust.machine(machineId, clock.nowMs())?.credential;
	}

	async #award(effect: Extract<RequesterEffect, { type: 'award' }>): Promise<void> {
		const { mesh, local, clock, index } = this.#options;
		const { awardId, tenderId, slot, gen, machineId, expMs } = effect;
		index(this, { awardId });
		const body: Award = {
			awardId,
			tenderId,
			wid: this.tender.wid,
			slot,
			gen,
			machineId,
			requester: mesh.machineId,
			manifestCid: this.tender.manifestCid as RecordCid,
			ts: clock.nowMs(),
			exp: expMs,
		};
		const envelope = signRecord('award', body, mesh.membership.keys.signer);
		try {
			const sealed = await this.#deliveries.wait(awardId);
			const answer =
				machineId === mesh.machineId
					? await local.award(envelope, sealed)
					: await (await callerOf(mesh, machineId)).award(
							{ award: envelope, sealed },
							{ timeout: this.#callTimeoutMs },
						);
			this.step({ type: 'award-answer', awardId, ...answer });
		} catch (error) {
			const reason = isMeshError(error) ? `${error.code}: ${error.message}` : `internal: ${(error as Error).message}`;
			this.step({ type: 'award-answer', awardId, accepted: false, reason: reason.slice(0, REASON_CHARS_MAX) });
			// It may have arrived all the same.
			if (!isMeshError(error) || error.applied === 'maybe') {
				this.#tell(machineId, 'cancel', {
					local: (host) => host.cancel(awardId, reason),
					remote: (caller) => caller.cancel({ awardId, reason: reason.slice(0, REASON_CHARS_MAX) }),
				});
			}
		}
	}

	/** Best effort: the other side has time-outs of its own. */
	#tell(
		machineId: MachineId,
		what: string,
		how: { readonly local: (host: LocalHost) => void; readonly remote: (caller: MachineCaller) => Promise<unknown> },
	): void {
		const { mesh, local } = this.#options;
		if (machineId === mesh.machineId) {
			how.local(local);
			return;
		}
		callerOf(mesh, machineId)
			.then(how.remote)
			.catch((error: unknown) => this.#log.debug(`${what} did not arrive`, { machineId, error }));
	}
}

/** The same workload and needs as the client first asked for, for this round and its slots. */
function isSameRound(
	tender: Tender,
	{ tenderId, slots }: { readonly tenderId: string; readonly slots: readonly SlotGen[] },
	first: Tender,
): boolean {
	const needs = ({ wid, manifestCid, requirements, requester, grant }: Tender) =>
		encodeRecord({ wid, manifestCid, requirements, requester, grant });
	const named = (list: readonly SlotGen[]): string => list.map(({ slot, gen }) => `${slot}/${gen}`).join();
	return tender.tenderId === tenderId && named(tender.slots) === named(slots) && sameBytes(needs(tender), needs(first));
}

function forLog(reason: string): string {
	return isSealedReason(reason) ? 'told to whoever asked' : reason;
}
