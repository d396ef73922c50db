/**
 * One workload as this process sees it: drives the membership core with sessions, clock and heartbeats, and performs
 * what it decides. A process has one view of its own workload and one per workload that it calls.
 */
import { MeshError } from '../errors.ts';
import type { RpcNode } from '../streams/rpc/session.types.ts';
import type { PeerId, ReplicaId, ServiceRecord, WorkloadId } from '../wire/index.ts';
import type { Advertisement } from './advertisement.ts';
import {
	createMembership,
	MEMBERSHIP_DEFAULTS,
	type Membership,
	type MembershipConfig,
	type MembershipEffect,
	type MembershipInput,
	type MemberView,
} from './core/index.ts';
import type { PeerPrincipal } from './directory.ts';
import { HEARTBEAT, PeerApi } from './peer-api.ts';

const DIAL_TIMEOUT_MS = 3000;
/** A dial that fails faster than this was answered by somebody: no such process, wrong process. */
const REFUSED_WITHIN_MS = 150;
const NOTHING = new Uint8Array(0);

export type MemberEvent = Extract<MembershipEffect, { record: ServiceRecord }>;

export interface ViewOptions {
	readonly wid: WorkloadId;
	readonly self: ReplicaId | undefined;
	readonly displace: MembershipConfig['displace'];
	readonly node: RpcNode<PeerPrincipal>;
	/** Dial replicas that we hear of. False for a workload that only calls us; see {@link WorkloadView.activate}. */
	readonly isActive: boolean;
	onMember(event: MemberEvent): void;
	onSuperseded(slot: number, gen: number): void;
	/** Somebody does not believe us: perhaps membership has changed without our hearing of it. */
	onRefused(): void;
	/** A member let us in no more: our slot is another's, and nobody needs our vote. */
	onOutvoted(): void;
}

export class WorkloadView {
	readonly wid: WorkloadId;
	readonly #options: ViewOptions;
	readonly #core: Membership;
	readonly #advertisements = new Map<ReplicaId, Advertisement>();
	#timer: NodeJS.Timeout | undefined;
	#closed = false;
	#isActive: boolean;

	constructor(options: ViewOptions) {
		this.wid = options.wid;
		this.#options = options;
		this.#isActive = options.isActive;
		const { wid, self, displace } = options;
		this.#core = createMembership({ ...MEMBERSHIP_DEFAULTS, wid, self, displace }, performance.now());
		this.#arm();
	}

	/** Alive or suspect, by slot. */
	live(): readonly MemberView[] {
		return this.#core.live();
	}

	get(peer: ReplicaId): MemberView | undefined {
		return this.#core.get(peer);
	}

	generations(): ReadonlyMap<number, number> {
		return this.#core.generations();
	}

	learnGenerations(seen: Iterable<readonly [number, number]>): void {
		this.#perform(this.#core.learnGenerations(seen, performance.now()));
	}

	/** Of all members that are not gone, to pass on. */
	advertisements(): readonly Advertisement[] {
		return [...this.#advertisements.values()].filter(({ record }) => {
			const phase = this.#core.get(record.replicaId)?.phase;
			return phase !== undefined && phase !== 'gone';
		});
	}

	/** From now on we call this workload, so its replicas are worth a dial. */
	activate(): void {
		this.#isActive = true;
	}

	/** Takes a verified advertisement. True when it was news. */
	learn(advertisement: Advertisement): boolean {
		const { record } = advertisement;
		const known = this.#advertisements.get(record.replicaId);
		if (known === undefined ? !this.#isActive : known.record.seq >= record.seq) return false;
		this.#advertisements.set(record.replicaId, advertisement);
		this.#step({ type: 'record', record: onOurClock(record) });
		if (this.#core.get(record.replicaId) === undefined) this.#advertisements.delete(record.replicaId);
		return true;
	}

	sessionOpened(advertisement: Advertisement): void {
		this.#advertisements.set(advertisement.record.replicaId, this.#newest(advertisement));
		this.#step({ type: 'session-opened', record: onOurClock(advertisement.record) });
	}

	sessionClosed(peer: PeerId): void {
		this.#step({ type: 'session-closed', peer: peer as ReplicaId });
	}

	heard(peer: PeerId): void {
		this.#step({ type: 'heard', peer: peer as ReplicaId });
	}

	close(): void {
		this.#closed = true;
		clearTimeout(this.#timer);
	}

	#newest(advertisement: Advertisement): Advertisement {
		const known = this.#advertisements.get(advertisement.record.replicaId);
		return known !== undefined && known.record.seq > advertisement.record.seq ? known : advertisement;
	}

	#step(input: MembershipInput): void {
		if (this.#closed) return;
		this.#perform(this.#core.step(input, performance.now()));
		this.#arm();
	}

	#arm(): void {
		clearTimeout(this.#timer);
		if (this.#closed) return;
		const waitMs = Math.max(1, this.#core.nextDeadlineMs() - performance.now());
		this.#timer = setTimeout(() => this.#onTimer(), waitMs);
	}

	#onTimer(): void {
		this.#step({ type: 'tick' });
		for (const peer of this.#advertisements.keys()) {
			if (this.#core.get(peer) === undefined) this.#advertisements.delete(peer);
		}
	}

	#perform(effects: readonly MembershipEffect[]): void {
		const { node } = this.#options;
		for (const effect of effects) {
			switch (effect.type) {
				case 'heartbeat':
					for (const peer of effect.peers) node.get(peer)?.notify(HEARTBEAT, NOTHING);
					break;
				case 'dial':
					void this.#dial(effect.peer, effect.addresses);
					break;
				case 'probe':
					void this.#probe(effect.via, effect.peer);
					break;
				case 'disconnect':
					void node.get(effect.peer)?.close('no answer, or displaced by a newer replica');
					break;
				case 'self-superseded':
					this.#options.onSuperseded(effect.slot, effect.gen);
					break;
				default:
					this.#options.onMember(effect);
			}
		}
	}

	async #dial(peer: ReplicaId, addresses: readonly string[]): Promise<void> {
		const startMs = performance.now();
		try {
			const signal = AbortSignal.timeout(DIAL_TIMEOUT_MS);
			await (this.#isActive
				? this.#options.node.connect(peer, { addresses, signal })
				: Promise.reject(new MeshError('unavailable', 'callers are not called back')));
		} catch (error) {
			this.refused(error);
			const wasFast = performance.now() - startMs < REFUSED_WITHIN_MS;
			this.#step({ type: 'dial-failed', peer, refused: wasFast });
		}
	}

	/** A peer refused us: perhaps because it knows of a newer replica in our slot. */
	refused(error: unknown): void {
		const { code, details } = error as Partial<MeshError>;
		if (code === 'unauthorized') this.#options.onRefused();
		const { slot, gen } = (details ?? {}) as { slot?: unknown; gen?: unknown };
		if (code !== 'conflict' || typeof slot !== 'number' || typeof gen !== 'number') return;
		this.learnGenerations([[slot, gen]]);
		const { self } = this.#options;
		if (self !== undefined && this.#core.get(self)?.record.slot === slot) this.#options.onOutvoted();
	}

	async #probe(via: ReplicaId, peer: ReplicaId): Promise<void> {
		let alive = false;
		try {
			const session = this.#options.node.get(via);
			const timeout = MEMBERSHIP_DEFAULTS.probeMs;
			if (session !== undefined) ({ alive } = await session.caller(PeerApi).probe({ peer }, { timeout }));
		} catch {
			// No answer is no sign of life.
		}
		this.#step({ type: 'probe-answered', peer, alive });
	}
}

/** Expiry as a moment of the monotonic clock: the wall clocks of two machines differ, and jump. */
function onOurClock(record: ServiceRecord): ServiceRecord {
	return { ...record, exp: performance.now() + (record.exp - record.ts) };
}
