/** One placement's driver: performs what the requester core decides, and turns answers into its events. */
import { randomBytes } from 'node:crypto';
import type { PlaceEvent, PlaceRequest } from '@beemesh/sdk/api';
import { isMeshError, MeshError } from '@beemesh/sdk/errors';
import { type OpenedBundle, signRecord, signTender } from '@beemesh/sdk/identity';
import type { Logger, Metrics } from '@beemesh/sdk/telemetry';
import type { Award, Bid, Bundle, MachineId, RecordCid, SlotGen, Tender } from '@beemesh/sdk/wire';
import { type Alarm, type Clock, createAlarm, type MeshNode } from '../mesh/index.ts';
import { callerOf, type MachineCaller } from './calls.ts';
import {
	createRequester,
	type Requester,
	type RequesterConfig,
	type RequesterEffect,
	type RequesterEvent,
} from './core/requester.ts';
import type { Entropy, ForeignLease } from './core/types.ts';
import { EventQueue } from './queue.ts';

/** This host's own bidder, reached without a wire. */
export interface LocalHost {
	tender(tender: Tender): void;
	award(envelope: Uint8Array, bundle: Bundle): Promise<{ readonly accepted: boolean; readonly reason?: string }>;
	cancel(awardId: string, reason: string): void;
	close(tenderId: string): void;
}

export interface PlacementOptions {
	readonly request: PlaceRequest;
	/** The verified tender of the request. */
	readonly tender: Tender;
	readonly opened: OpenedBundle;
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
	readonly opened: OpenedBundle;
	readonly #options: PlacementOptions;
	readonly #core: Requester;
	readonly #alarm: Alarm;
	readonly #log: Logger;
	readonly #startedAtMs: number;
	#isDone = false;

	constructor(options: PlacementOptions) {
		const { request, tender, clock, entropy, config } = options;
		this.#options = options;
		this.tender = tender;
		this.opened = options.opened;
		this.#log = options.logger.with({ tenderId: tender.tenderId, wid: tender.wid });
		this.#core = createRequester({ tender, keepTrying: request.keepTrying, entropy, config });
		this.#alarm = createAlarm(clock, () => this.step({ type: 'tick' }));
		this.#startedAtMs = clock.nowMs();
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

	/** A bid that came over a session with this machine. */
	bid({ validForMs, ...bid }: Bid, machineId: MachineId): void {
		this.step({ type: 'bid', bid: { ...bid, machineId, validUntil: this.#options.clock.nowMs() + validForMs } });
	}

	/** A pod of an award asks for admission: whoever wants the placement decides. */
	csr(
		at: SlotGen,
		awardId: string,
		asked: Pick<Extract<PlaceEvent, { type: 'csr' }>, 'csr' | 'cert' | 'statement' | 'credential'>,
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
				void this.#publish(effect);
				break;
			case 'award':
				void this.#award(effect);
				break;
			case 'cancel-award':
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
				this.#alarm.set(undefined);
				this.#options.onDone(this);
				this.events.end();
				break;
		}
	}

	#report(report: Exclude<PlaceEvent, { type: 'csr' }>): void {
		const { metrics, clock } = this.#options;
		const { type, ...fields } = report;
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
		this.events.push(report);
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

	async #publish({ tenderId, slots, ring }: Extract<RequesterEffect, { type: 'tender' }>): Promise<void> {
		const { mesh, request, local, clock, opened, index, tender: original } = this.#options;
		index(this, { tenderId });
		// The request's own envelope as long as it says what we ask for; else we sign for its workload again.
		const isOriginal = tenderId === original.tenderId && slots.length === original.slots.length;
		const nowMs = clock.nowMs();
		const renewed: Omit<Tender, 'nonce'> = {
			...original,
			tenderId,
			slots: slots.map(({ slot, gen }) => ({ slot, gen })),
			ts: nowMs,
			exp: nowMs + (original.exp - original.ts),
		};
		const nonce = isOriginal ? original.nonce : new Uint8Array(randomBytes(16));
		const envelope = isOriginal ? request.tender : signTender(renewed, nonce, opened.tenderKey);
		local.tender(isOriginal ? original : { ...renewed, nonce });
		let reached: ReadonlySet<MachineId> = new Set();
		try {
			reached = await mesh.publishTender(ring.scope, envelope);
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

	async #award(effect: Extract<RequesterEffect, { type: 'award' }>): Promise<void> {
		const { mesh, request, local, clock, index } = this.#options;
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
			const answer =
				machineId === mesh.machineId
					? await local.award(envelope, request.bundle)
					: // The core's own time-out comes first, and cancels.
						await (await callerOf(mesh, machineId)).award(
							{ award: envelope, bundle: request.bundle },
							{ timeout: '5s' },
						);
			this.step({ type: 'award-answer', awardId, ...answer });
		} catch (error) {
			const reason = isMeshError(error) ? `${error.code}: ${error.message}` : `internal: ${(error as Error).message}`;
			this.step({ type: 'award-answer', awardId, accepted: false, reason: reason.slice(0, 500) });
			// It may have arrived all the same.
			if (!isMeshError(error) || error.applied === 'maybe') {
				this.#tell(machineId, 'cancel', {
					local: (host) => host.cancel(awardId, reason),
					remote: (caller) => caller.cancel({ awardId, reason: reason.slice(0, 500) }),
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

/** Checks that a request hangs together before anything is asked of anybody. */
export function requireConsistent(request: PlaceRequest, tender: Tender, opened: OpenedBundle, self: MachineId): void {
	if (tender.requester !== self) {
		throw new MeshError('invalid_input', `the tender names ${tender.requester} as its requester; this host is ${self}`);
	}
	if (tender.wid !== opened.wid) throw new MeshError('invalid_input', 'tender and bundle are of different workloads');
	if (tender.manifestCid !== opened.charter.body.manifestCid) {
		throw new MeshError('invalid_input', 'the tender is for another manifest than the charter in its bundle');
	}
	if (opened.charter.body.deleted) throw new MeshError('invalid_input', 'the workload has been deleted');
	if (Buffer.compare(tender.grant, request.bundle.grant) !== 0) {
		throw new MeshError('invalid_input', 'tender and bundle carry different grants');
	}
}
