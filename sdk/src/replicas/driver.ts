/**
 * Performs what the reconciler decides: tenders through the host, admits the pods that win, asks excess replicas to
 * leave. One per replica; only the responsible one acts.
 */
import type { CosignPapers } from '../discovery/index.ts';
import { isMeshError, MeshError } from '../errors.ts';
import {
	createKemKey,
	type KemKeyPair,
	type KeyPair,
	type OpenedBundle,
	type OpenedMachine,
	openAdmission,
	openPapers,
	openStatement,
	requireSelected,
	sealBundle,
} from '../identity/index.ts';
import type { Caller } from '../streams/rpc/contract.ts';
import { type Logger, type Metrics, silentLogger, silentMetrics } from '../telemetry/index.ts';
import type { MachineId, RecordCid, ReplicaId, SlotGen } from '../wire/index.ts';
import {
	createReconciler,
	type LossCause,
	type ObservedReplica,
	type Reconciler,
	type ReconcilerEffect,
	type ReconcilerInput,
} from './core/index.ts';
import { openReasons, sealRefusal } from './place-reasons.ts';
import type { AdmitRequest, MemberHint, PlaceEvent, placementMethods } from './placement-api.ts';
import { tenderFor } from './tender.ts';

const EVERY_MS = 5000;

export interface LiveReplica extends ObservedReplica {
	readonly machineId: MachineId;
	readonly addresses: readonly string[];
}

/** What the driver needs of the replica it runs in. */
export interface ReplicaWorld {
	/** Calls of the host; throws `unavailable` while it is away. */
	calls(): Caller<typeof placementMethods>;
	bundle(): OpenedBundle;
	/** Signs tenders. */
	readonly tenderKey: KeyPair;
	/** Our host, which collects the bids. */
	readonly machineId: MachineId;
	readonly machineAddresses: readonly string[];
	live(): readonly LiveReplica[];
	generations(): ReadonlyMap<number, number>;
	/** Of a stateful workload: a Raft group takes members in or out. */
	isChangingMembers(): boolean;
	/** Asks it to leave, as soon as no Raft group counts on it. */
	drain(replica: SlotGen & { readonly replicaId: ReplicaId }, reason: string): void;
	/** Verifies the credential of a machine of our mesh. Throws `unauthorized`. */
	machine(credential: Uint8Array): OpenedMachine;
	/**
	 * Makes a newcomer a member, once enough members agree; resolves with the answer that only it can open. Rejects when it
	 * must not be one, e.g. without a quorum.
	 */
	admit(papers: CosignPapers): Promise<Uint8Array>;
	onReconcile(status: { readonly observed: number; readonly desired: number; readonly acted: boolean }): void;
}

/** What one placement is of, and the key that winners' reasons are sealed to. */
interface Placed {
	readonly bundle: OpenedBundle;
	readonly replies: KemKeyPair;
}

interface Awarded {
	readonly at: SlotGen;
	readonly machineId: MachineId;
	/** The first admission request; another one under the same award is refused. */
	csrCid: RecordCid | undefined;
	answer: Promise<AdmitRequest['answer']> | undefined;
}

export class ReplicaDriver {
	readonly #world: ReplicaWorld;
	readonly #core: Reconciler;
	readonly #log: Logger;
	readonly #metrics: Metrics;
	readonly #abort = new AbortController();
	readonly #every: NodeJS.Timeout;
	#timer: NodeJS.Timeout | undefined;

	constructor(world: ReplicaWorld, log: Logger = silentLogger, metrics: Metrics = silentMetrics) {
		this.#world = world;
		this.#log = log;
		this.#metrics = metrics;
		this.#core = createReconciler(performance.now());
		this.#every = setInterval(() => this.observe(), EVERY_MS);
		this.charterChanged();
	}

	charterChanged(): void {
		const { replicas, manifestCid, era, kind, deleted } = this.#world.bundle().charter.body;
		this.#step({ type: 'desired', desired: { replicas, manifestCid, era, kind, deleted } });
	}

	setResponsible(isResponsible: boolean): void {
		this.#step({ type: 'responsible', isResponsible });
	}

	lost(slot: number, cause: LossCause): void {
		this.#step({ type: 'lost', slot, cause });
	}

	/** Compares again; at every change of membership, and every 5 s. */
	observe(): void {
		this.#step({
			type: 'observed',
			live: this.#world.live(),
			generations: this.#world.generations(),
			isChangingMembers: this.#world.isChangingMembers(),
		});
	}

	close(): void {
		clearInterval(this.#every);
		clearTimeout(this.#timer);
		this.#abort.abort();
	}

	#step(input: ReconcilerInput): void {
		if (this.#abort.signal.aborted) return;
		const effects = this.#core.step(input, performance.now());
		for (const effect of effects) this.#perform(effect);
		const { observed, desired } = this.#core.status();
		if (input.type === 'observed') this.#world.onReconcile({ observed, desired, acted: effects.length > 0 });
		clearTimeout(this.#timer);
		const deadlineMs = this.#core.nextDeadlineMs();
		if (deadlineMs === undefined) return;
		this.#timer = setTimeout(() => this.#step({ type: 'tick' }), Math.max(1, deadlineMs - performance.now()));
	}

	#perform(effect: ReconcilerEffect): void {
		if (effect.type === 'tender') {
			void this.#place(effect.slots);
			return;
		}
		const { slot, gen, replicaId } = effect.replica;
		this.#world.drain({ slot, gen, replicaId }, effect.reason);
	}

	async #place(slots: readonly SlotGen[]): Promise<void> {
		const pending = new Set(slots.map(({ slot }) => slot));
		const awards = new Map<string, Awarded>();
		const end = (slot: number, deployed: boolean): void => {
			if (!pending.delete(slot)) return;
			this.#metrics.count('beemesh_replica_placements_total', { outcome: deployed ? 'deployed' : 'failed' });
			this.#step({ type: 'placement-ended', slot, deployed, jitter: Math.random() });
		};
		try {
			const bundle = this.#world.bundle();
			const replies = createKemKey();
			const { tenderId, envelope } = this.#tender(bundle, slots);
			this.#log.info('tender for lost or wanted replicas', { tenderId, slots });
			const request = { tender: envelope, keepTrying: false };
			for await (const event of this.#world.calls().place(request, { signal: this.#abort.signal })) {
				this.#onEvent(openReasons(event, replies), { bundle, replies }, awards, end);
			}
		} catch (error) {
			if (this.#abort.signal.aborted) return;
			this.#log.warn('placement ended early', { error, slots });
		} finally {
			for (const slot of [...pending]) end(slot, false);
		}
	}

	#tender(bundle: OpenedBundle, slots: readonly SlotGen[], tenderId?: string) {
		const { machineId, machineAddresses, tenderKey } = this.#world;
		return tenderFor({
			...{ bundle, tenderKey },
			slots,
			requester: machineId,
			requesterAddresses: machineAddresses,
			runningOn: this.#world.live().map((replica) => replica.machineId),
			nowMs: Date.now(),
			...(tenderId === undefined ? {} : { tenderId }),
		});
	}

	#onEvent(
		event: PlaceEvent,
		placed: Placed,
		awards: Map<string, Awarded>,
		end: (slot: number, deployed: boolean) => void,
	): void {
		switch (event.type) {
			case 'retender':
				void this.#retender(event, placed);
				break;
			case 'awarded': {
				const { slot, gen, machineId } = event;
				awards.set(event.awardId, { at: { slot, gen }, machineId, csrCid: undefined, answer: undefined });
				void this.#deliver(event, placed);
				break;
			}
			case 'csr':
				void this.#answer(event, placed, awards.get(event.awardId));
				break;
			case 'outcome':
				this.#log.info('placement ended', {
					slot: event.slot,
					gen: event.gen,
					outcome: event.outcome,
					reason: event.reason,
				});
				end(event.slot, event.outcome === 'deployed');
				break;
			case 'starved':
				this.#log.warn('no host takes these slots', { slots: event.slots, reasons: event.reasons });
				for (const { slot } of event.slots) end(slot, false);
				break;
			default:
				this.#log.debug('placement', { ...event });
		}
	}

	async #retender({ slots, tenderId }: Extract<PlaceEvent, { type: 'retender' }>, { bundle }: Placed): Promise<void> {
		try {
			const { envelope } = this.#tender(bundle, slots, tenderId);
			await this.#world.calls().retender({ tender: envelope });
		} catch (error) {
			this.#log.warn('the tender was not made again', { tenderId, error });
		}
	}

	/** To a machine of our mesh that fits the workload only, whatever our host says of it. */
	async #deliver(event: Extract<PlaceEvent, { type: 'awarded' }>, { bundle, replies }: Placed): Promise<void> {
		const { awardId, machineId, credential, slot, gen } = event;
		try {
			const machine = this.#world.machine(credential);
			if (machine.machineId !== machineId)
				throw new MeshError('unauthorized', `the certificate shown for ${machineId} is of ${machine.machineId}`);
			requireSelected(bundle.manifest, machine);
			await this.#world.calls().deliver({ awardId, sealed: sealBundle(bundle.bundle, awardId, machine, replies) });
		} catch (error) {
			this.#log.warn('the workload was not delivered to the winner', { slot, gen, machineId, error });
		}
	}

	async #answer(
		event: Extract<PlaceEvent, { type: 'csr' }>,
		{ replies }: Placed,
		award: Awarded | undefined,
	): Promise<void> {
		const { awardId, slot, gen } = event;
		try {
			const machine = this.#world.machine(event.credential);
			const { csrCid } = openStatement(event.statement, machine).body;
			let answer: AdmitRequest['answer'];
			if (award === undefined) answer = { admitted: false, reason: 'this award is not of this tender' };
			else if (award.csrCid !== undefined && award.csrCid !== csrCid) {
				answer = { admitted: false, reason: 'another replica has asked under this award' };
			} else {
				award.csrCid = csrCid;
				award.answer ??= this.#admit(event, machine, award, replies);
				answer = await award.answer;
			}
			await this.#world.calls().admit({ awardId, csrCid, answer: sealRefusal(answer, machine) });
		} catch (error) {
			this.#log.warn('a request for admission is left without an answer', { slot, gen, error });
		}
	}

	async #admit(
		event: Extract<PlaceEvent, { type: 'csr' }>,
		machine: OpenedMachine,
		award: Awarded,
		replies: KemKeyPair,
	): Promise<AdmitRequest['answer']> {
		const { wid } = this.#world.bundle();
		const { awardId: asked, credential, statement: envelope } = event;
		try {
			const papers = openPapers(event.papers, asked, replies);
			const { csr, statement } = openAdmission(papers.csr, envelope, machine);
			const { machineId } = statement.body;
			const { slot, gen, replicaId, awardId } = csr.body;
			const isAwarded = machineId === award.machineId && slot === award.at.slot && gen === award.at.gen;
			if (!isAwarded || awardId !== asked || csr.body.wid !== wid) {
				throw new MeshError('unauthorized', 'the request is not for the slot, generation and machine of its award');
			}
			const sealed = await this.#world.admit({ ...papers, statement: envelope, credential });
			this.#log.info('replica admitted', { slot, gen, replicaId, machineId });
			return { admitted: true, sealed, members: this.#hints(), foundingSlots: 0 };
		} catch (error) {
			const reason = isMeshError(error) ? error.message : String(error);
			this.#log.warn('replica not admitted', { ...award.at, error });
			return { admitted: false, reason };
		}
	}

	#hints(): MemberHint[] {
		return this.#world
			.live()
			.map(({ replicaId, slot, gen, addresses }) => ({ replicaId, slot, gen, addresses: [...addresses] }));
	}
}
