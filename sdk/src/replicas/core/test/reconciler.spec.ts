import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { ReplicaId } from '../../../wire/index.ts';
import {
	createReconciler,
	type Desired,
	type ObservedReplica,
	type Reconciler,
	type ReconcilerEffect,
	RECONCILER_DEFAULTS as T,
} from '../reconciler.ts';

const DEPLOYMENT: Desired = { replicas: 3, manifestCid: 'm1', era: 1, kind: 'Deployment', deleted: false };
const STATEFUL: Desired = { ...DEPLOYMENT, kind: 'StatefulSet' };

function replica(slot: number, gen = 1, change: Partial<ObservedReplica> = {}): ObservedReplica {
	const replicaId = `replica-${slot}-${gen}` as ReplicaId;
	return { replicaId, slot, gen, manifestCid: 'm1', ready: true, leaving: false, ...change };
}

/** A workload whose pods the test starts and stops; remembers generations as membership does. */
class World {
	readonly core: Reconciler;
	readonly generations = new Map<number, number>();
	live: ObservedReplica[] = [];
	isChangingMembers = false;
	nowMs = 0;

	constructor(desired: Desired, live: readonly ObservedReplica[], isResponsible = true) {
		this.core = createReconciler(0);
		this.core.step({ type: 'desired', desired }, 0);
		this.core.step({ type: 'responsible', isResponsible }, 0);
		for (const one of live) this.add(one);
	}

	add(one: ObservedReplica): ReconcilerEffect[] {
		this.live = [...this.live.filter((r) => r.replicaId !== one.replicaId), one];
		this.generations.set(one.slot, Math.max(this.generations.get(one.slot) ?? 0, one.gen));
		return this.observe();
	}

	lose(slot: number, cause: 'left' | 'closed' | 'silent' | 'superseded', gen?: number): ReconcilerEffect[] {
		this.live = this.live.filter((r) => r.slot !== slot || (gen !== undefined && r.gen !== gen));
		return [...this.core.step({ type: 'lost', slot, cause }, this.nowMs), ...this.observe()];
	}

	observe(): ReconcilerEffect[] {
		const { live, generations, isChangingMembers } = this;
		return [...this.core.step({ type: 'observed', live, generations, isChangingMembers }, this.nowMs)];
	}

	ended(slot: number, deployed: boolean): ReconcilerEffect[] {
		return [...this.core.step({ type: 'placement-ended', slot, deployed, jitter: 0.5 }, this.nowMs)];
	}

	desire(desired: Desired): ReconcilerEffect[] {
		return [...this.core.step({ type: 'desired', desired }, this.nowMs)];
	}

	/** Ticks at each deadline up to `ms` from now. */
	pass(ms: number): ReconcilerEffect[] {
		const untilMs = this.nowMs + ms;
		const out: ReconcilerEffect[] = [];
		for (;;) {
			const next = this.core.nextDeadlineMs();
			if (next === undefined || next > untilMs) break;
			this.nowMs = Math.max(next, this.nowMs);
			out.push(...this.core.step({ type: 'tick' }, this.nowMs));
		}
		this.nowMs = untilMs;
		return out;
	}
}

const three = (): ObservedReplica[] => [replica(0), replica(1), replica(2)];
const tender = (...slots: [number, number][]): ReconcilerEffect => ({
	type: 'tender',
	slots: slots.map(([slot, gen]) => ({ slot, gen })),
});

describe('reconciling: a lost replica', () => {
	it('is tendered under the next generation, once, after the grace for its cause', () => {
		for (const [cause, graceMs] of [
			['left', 0],
			['closed', T.graceClosedMs],
			['silent', T.graceSilentMs],
		] as const) {
			const world = new World(DEPLOYMENT, three());
			const early = [...world.lose(1, cause), ...(graceMs > 0 ? world.pass(graceMs - 1) : [])];
			if (graceMs > 0) expect(early).to.deep.equal([]);
			expect([...early, ...world.pass(1)]).to.deep.equal([tender([1, 2])]);
			expect(world.pass(60_000)).to.deep.equal([]);
		}
	});

	it('that comes back within its grace costs nothing', () => {
		const world = new World(DEPLOYMENT, three());
		world.lose(1, 'silent');
		world.pass(T.graceSilentMs - 1);
		expect(world.add(replica(1, 1, { replicaId: 'again' as ReplicaId }))).to.deep.equal([]);
		expect(world.pass(60_000)).to.deep.equal([]);
	});

	it('several at once go into one tender', () => {
		const world = new World(DEPLOYMENT, three());
		world.lose(1, 'closed');
		world.lose(2, 'closed');
		expect(world.pass(T.graceClosedMs)).to.deep.equal([tender([1, 2], [2, 2])]);
	});

	it('is only the responsible replica’s business', () => {
		const world = new World(DEPLOYMENT, three(), false);
		world.lose(2, 'closed');
		expect(world.pass(60_000)).to.deep.equal([]);
		expect(world.core.step({ type: 'responsible', isResponsible: true }, world.nowMs)).to.deep.equal([tender([2, 2])]);
	});

	it('that finds no host is tried again after 0.5 s, doubling to 10 s, and afresh once it has lived', () => {
		const world = new World(DEPLOYMENT, three());
		world.lose(2, 'left');
		const waits: number[] = [];
		for (let i = 0; i < 8; i++) {
			const sinceMs = world.nowMs;
			expect(world.ended(2, false)).to.deep.equal([]);
			waits.push((world.core.nextDeadlineMs() ?? 0) - sinceMs);
			expect(world.pass(waits.at(-1) ?? 0)).to.deep.equal([tender([2, 2])]);
		}
		expect(waits.map(Math.round)).to.deep.equal([500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000]);
		world.ended(2, true);
		world.add(replica(2, 2));
		expect(world.lose(2, 'left')).to.deep.equal([]);
		// Deployed a moment ago: its session gets the time that silence gets.
		expect(world.pass(T.graceSilentMs)).to.deep.equal([tender([2, 3])]);
	});
});

describe('reconciling: the first apply and scaling', () => {
	it('leaves slots never seen to whoever applies, for a while', () => {
		const world = new World(DEPLOYMENT, [replica(0)]);
		expect(world.pass(T.settleMs - 1)).to.deep.equal([]);
		expect(world.pass(1)).to.deep.equal([tender([1, 1], [2, 1])]);
	});

	it('tenders new slots at once when the owner asks for more', () => {
		const world = new World(DEPLOYMENT, three());
		expect(world.desire({ ...DEPLOYMENT, replicas: 5, era: 2 })).to.deep.equal([tender([3, 1], [4, 1])]);
	});

	it('gives a newcomer time to meet those whom others have seen', () => {
		const world = new World(DEPLOYMENT, [replica(0), replica(2)]);
		world.generations.set(1, 4);
		expect(world.observe()).to.deep.equal([]);
		expect(world.pass(T.meetMs - 1)).to.deep.equal([]);
		expect(world.pass(1)).to.deep.equal([tender([1, 5])]);
	});

	it('gives one that has met nobody longer: it may be cut off, and the others well', () => {
		const world = new World(DEPLOYMENT, [replica(0)]);
		for (const slot of [1, 2]) world.generations.set(slot, 4);
		expect(world.observe()).to.deep.equal([]);
		expect(world.pass(T.aloneMs - 1)).to.deep.equal([]);
		expect(world.pass(1)).to.deep.equal([tender([1, 5], [2, 5])]);
	});

	it('does not take for alone who has met somebody and lost him again', () => {
		const world = new World(DEPLOYMENT, [replica(0), replica(1)]);
		world.generations.set(2, 4);
		expect(world.lose(1, 'left')).to.deep.equal([tender([1, 2])]);
		expect(world.pass(T.meetMs)).to.deep.equal([tender([2, 5])]);
	});

	it('ignores an older era', () => {
		const world = new World({ ...DEPLOYMENT, era: 5 }, three());
		expect(world.desire({ ...DEPLOYMENT, replicas: 5, era: 4 })).to.deep.equal([]);
	});

	it('starts new slots of a StatefulSet one after the other', () => {
		const world = new World(STATEFUL, three());
		expect(world.desire({ ...STATEFUL, replicas: 5, era: 2 })).to.deep.equal([tender([3, 1])]);
		world.ended(3, true);
		expect(world.add(replica(3, 1, { ready: false }))).to.deep.equal([]);
		expect(world.add(replica(3))).to.deep.equal([tender([4, 1])]);
	});

	it('drains the excess: all of a Deployment, the highest first', () => {
		const world = new World(DEPLOYMENT, three());
		const drains = world.desire({ ...DEPLOYMENT, replicas: 1, era: 2 });
		expect(drains.map((e) => e.type === 'drain' && [e.replica.slot, e.reason])).to.deep.equal([
			[2, 'scaled-down'],
			[1, 'scaled-down'],
		]);
	});

	it('drains the excess of a StatefulSet one by one', () => {
		const world = new World(STATEFUL, three());
		const slotsOf = (effects: ReconcilerEffect[]) => effects.map((e) => e.type === 'drain' && e.replica.slot);
		expect(slotsOf(world.desire({ ...STATEFUL, replicas: 1, era: 2 }))).to.deep.equal([2]);
		expect(world.pass(T.redrainMs - 1)).to.deep.equal([]);
		expect(slotsOf(world.pass(1))).to.deep.equal([2]);
		expect(slotsOf(world.lose(2, 'left'))).to.deep.equal([1]);
		expect(slotsOf(world.lose(1, 'left'))).to.deep.equal([]);
	});

	it('a slot that is wanted again gets a new generation', () => {
		const world = new World(DEPLOYMENT, three());
		world.desire({ ...DEPLOYMENT, replicas: 2, era: 2 });
		world.lose(2, 'left');
		expect(world.desire({ ...DEPLOYMENT, era: 3 })).to.deep.equal([tender([2, 2])]);
	});

	it('does nothing for a deleted workload', () => {
		const world = new World(DEPLOYMENT, three());
		world.desire({ ...DEPLOYMENT, deleted: true, era: 2 });
		expect([...world.lose(1, 'left'), ...world.pass(60_000)]).to.deep.equal([]);
	});
});

describe('reconciling: an update', () => {
	it('Deployment: a surge of one; the next only when the last is ready and its elder gone', () => {
		const world = new World(DEPLOYMENT, three());
		const m2 = { manifestCid: 'm2' };
		expect(world.desire({ ...DEPLOYMENT, ...m2, era: 2 })).to.deep.equal([tender([2, 2])]);
		expect(world.add(replica(2, 2, { ...m2, ready: false }))).to.deep.equal([]);
		expect(world.ended(2, true)).to.deep.equal([]);
		expect(world.pass(60_000)).to.deep.equal([]);
		expect(world.add(replica(2, 2, m2))).to.deep.equal([]);
		expect(world.lose(2, 'superseded', 1)).to.deep.equal([tender([1, 2])]);
	});

	it('Deployment: a new version that no host takes is tried ever more seldom, while the old one serves', () => {
		const world = new World(DEPLOYMENT, [replica(0), replica(1), replica(2)]);
		const waitsMs: number[] = [];
		let tenders = world.desire({ ...DEPLOYMENT, era: 2, manifestCid: 'm2' });
		for (let i = 0; i < 6; i++) {
			const [effect] = tenders;
			if (effect?.type !== 'tender') throw new Error(`try ${i}: ${JSON.stringify(tenders)}`);
			world.ended(effect.slots[0]?.slot ?? -1, false);
			const fromMs = world.nowMs;
			world.observe();
			world.nowMs = world.core.nextDeadlineMs() ?? Number.NaN;
			waitsMs.push(world.nowMs - fromMs);
			tenders = [...world.core.step({ type: 'tick' }, world.nowMs)];
		}
		expect(waitsMs).to.deep.equal([500, 1_000, 2_000, 4_000, 8_000, 10_000]);
	});

	it('StatefulSet: highest ordinal first, its successor before it goes, while all others are ready', () => {
		const world = new World(STATEFUL, three());
		const m2 = { manifestCid: 'm2' };
		expect(world.desire({ ...STATEFUL, ...m2, era: 2 })).to.deep.equal([tender([2, 2])]);
		// Admitted, the successor displaces its elder at once, long before it is ready.
		expect(world.lose(2, 'superseded')).to.deep.equal([]);
		expect(world.add(replica(2, 2, { ...m2, ready: false }))).to.deep.equal([]);
		expect(world.ended(2, true)).to.deep.equal([]);
		expect(world.add(replica(2, 2, m2))).to.deep.equal([tender([1, 2])]);
	});

	it('StatefulSet: a single replica is not drained before it has a successor', () => {
		const world = new World({ ...STATEFUL, replicas: 1 }, [replica(0)]);
		expect(world.desire({ ...STATEFUL, replicas: 1, manifestCid: 'm2', era: 2 })).to.deep.equal([tender([0, 2])]);
		expect(world.ended(0, false)).to.deep.equal([]);
		expect(world.pass(T.backoffMinMs * 1.2)).to.deep.equal([tender([0, 2])]);
	});

	it('StatefulSet: waits while a group takes members in or out, though everybody looks ready', () => {
		const world = new World(STATEFUL, three());
		world.isChangingMembers = true;
		world.observe();
		expect(world.desire({ ...STATEFUL, manifestCid: 'm2', era: 2 })).to.deep.equal([]);
		expect(world.desire({ ...STATEFUL, replicas: 2, era: 3 })).to.deep.equal([]);
		world.isChangingMembers = false;
		expect(world.observe().map((e) => e.type === 'drain' && e.replica.slot)).to.deep.equal([2]);
	});

	it('StatefulSet: waits while another slot is not ready (never below quorum)', () => {
		const world = new World(STATEFUL, [replica(0), replica(1, 1, { ready: false }), replica(2)]);
		expect(world.desire({ ...STATEFUL, manifestCid: 'm2', era: 2 })).to.deep.equal([]);
		expect(world.add(replica(1))).to.have.length(1);
	});
});

describe('reconciler: a host that is drained', () => {
	for (const desired of [DEPLOYMENT, STATEFUL]) {
		it(`${desired.kind}: each of its replicas gets a successor before it goes, one at a time`, () => {
			const world = new World(desired, three());
			const leaving = [replica(0, 1, { leaving: true }), replica(2, 1, { leaving: true })];
			expect(leaving.flatMap((one) => world.add(one))).to.deep.equal([tender([0, 2])]);
			world.ended(0, true);
			expect(world.add(replica(0, 2))).to.deep.equal([]);
			expect(world.lose(0, 'superseded', 1)).to.deep.equal([tender([2, 2])]);
		});

		it(`${desired.kind}: when no host takes one, all that are leaving go without`, () => {
			const world = new World(desired, three());
			for (const slot of [1, 2]) world.add(replica(slot, 1, { leaving: true }));
			const gone = world.ended(1, false).map((e) => e.type === 'drain' && [e.replica.slot, e.reason]);
			expect(gone).to.deep.equal([
				[1, 'nowhere-to-go'],
				[2, 'nowhere-to-go'],
			]);
			expect(world.observe()).to.deep.equal([]);
		});

		it(`${desired.kind}: those that are leaving do not wait behind a lost slot that no host takes`, () => {
			const world = new World(desired, three());
			expect(world.lose(1, 'left')).to.deep.equal([tender([1, 2])]);
			for (const slot of [0, 2]) world.add(replica(slot, 1, { leaving: true }));
			const gone = world.ended(1, false).map((e) => e.type === 'drain' && [e.replica.slot, e.reason]);
			expect(gone).to.deep.equal([
				[0, 'nowhere-to-go'],
				[2, 'nowhere-to-go'],
			]);
		});
	}
});
