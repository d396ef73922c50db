import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { MachineId, RecordCid, ReplicaId, ServiceRecord, WorkloadId } from '../../../wire/index.ts';
import { createMembership, MEMBERSHIP_DEFAULTS, type Membership, type MembershipEffect } from '../membership.ts';
import { beats, supersedes } from '../precedence.ts';

const WID = 'workload-1' as WorkloadId;
const T = MEMBERSHIP_DEFAULTS;

function record(name: string, change: Partial<ServiceRecord> = {}): ServiceRecord {
	return {
		wid: WID,
		replicaId: `replica-${name}` as ReplicaId,
		slot: 0,
		gen: 1,
		incarnation: 0,
		machineId: 'machine-1' as MachineId,
		addresses: [`/memory/${name}`],
		services: [],
		version: '0.0.0',
		manifestCid: 'manifest-1' as RecordCid,
		ready: true,
		leaving: false,
		left: false,
		seq: 1,
		ts: 0,
		exp: 15_000,
		...change,
	};
}

const SELF = record('a');
const B = record('b', { slot: 1 });
const C = record('c', { slot: 2 });
const D = record('d', { slot: 3 });

function start(displace: 'at-once' | 'when-ready' = 'when-ready', ...met: ServiceRecord[]): Membership {
	const membership = createMembership({ ...T, wid: WID, self: SELF.replicaId, displace }, 0);
	membership.step({ type: 'record', record: SELF }, 0);
	for (const one of met) membership.step({ type: 'session-opened', record: one }, 0);
	return membership;
}

/** Steps a tick every 50 ms, hearing from these, until `untilMs`. Effects with their times. */
function run(
	membership: Membership,
	fromMs: number,
	untilMs: number,
	heard: readonly ServiceRecord[] = [],
): { atMs: number; effect: MembershipEffect }[] {
	const out: { atMs: number; effect: MembershipEffect }[] = [];
	for (let nowMs = fromMs; nowMs <= untilMs; nowMs += 50) {
		// Time passes with any input, so every step may have something to do.
		const inputs = [
			...heard.map(({ replicaId }) => ({ type: 'heard', peer: replicaId }) as const),
			{ type: 'tick' } as const,
		];
		for (const effect of inputs.flatMap((input) => membership.step(input, nowMs))) out.push({ atMs: nowMs, effect });
	}
	return out;
}

const typesOf = (effects: readonly MembershipEffect[]): string[] => effects.map(({ type }) => type);

describe('precedence of records', () => {
	it('of one slot: generation, then incarnation, then the lower ID', () => {
		expect(beats(record('a', { gen: 2 }), record('b', { incarnation: 9 }))).to.equal(true);
		expect(beats(record('b', { incarnation: 1 }), record('a'))).to.equal(true);
		expect(beats(record('a'), record('b'))).to.equal(true);
		expect(beats(record('b'), record('a'))).to.equal(false);
	});

	it('of one replica: the higher sequence number, and never the same', () => {
		expect(supersedes({ seq: 2 }, { seq: 1 })).to.equal(true);
		expect(supersedes({ seq: 1 }, { seq: 1 })).to.equal(false);
	});
});

describe('membership: who is in', () => {
	it('dials whom a record names, and adds it when its session opens', () => {
		const membership = start();
		expect(typesOf(membership.step({ type: 'record', record: B }, 0))).to.include('dial');
		expect(membership.live().map((m) => m.record)).to.deep.equal([SELF]);
		expect(typesOf(membership.step({ type: 'session-opened', record: B }, 10))).to.deep.equal(['added', 'ready']);
		expect(membership.live().map((m) => m.record.slot)).to.deep.equal([0, 1]);
	});

	it('ignores records of other workloads, expired ones and farewells of strangers', () => {
		const membership = start();
		for (const bad of [
			record('x', { wid: 'workload-2' as WorkloadId }),
			record('x', { exp: 0 }),
			record('x', { left: true }),
		]) {
			expect(membership.step({ type: 'record', record: bad }, 10)).to.deep.equal([]);
			expect(membership.get(bad.replicaId)).to.equal(undefined);
		}
	});

	it('forgets an unreached record when it expires, dialing until then', () => {
		const membership = start();
		membership.step({ type: 'record', record: B }, 0);
		membership.step({ type: 'dial-failed', peer: B.replicaId, refused: true }, 100);
		const dials = run(membership, 150, 3000).filter(({ effect }) => effect.type === 'dial');
		expect(dials.length).to.be.within(1, 3);
		run(membership, 3050, 15_100);
		expect(membership.get(B.replicaId)).to.equal(undefined);
	});

	it('reports readiness once per change, other news as updates, and nothing old', () => {
		const membership = start('when-ready', B);
		const step = (change: Partial<ServiceRecord>) =>
			typesOf(membership.step({ type: 'record', record: { ...B, ...change } }, 10));
		expect(step({ seq: 2, ready: false })).to.deep.equal(['unready']);
		expect(step({ seq: 2, ready: true })).to.deep.equal([]);
		expect(step({ seq: 1, ready: true })).to.deep.equal([]);
		expect(step({ seq: 3, ready: false, services: ['x@1'] })).to.deep.equal(['updated']);
		expect(step({ seq: 4 })).to.deep.equal(['ready']);
	});

	it('a farewell removes at once, and no older record brings it back', () => {
		const membership = start('when-ready', B);
		const effects = membership.step({ type: 'record', record: { ...B, seq: 5, left: true } }, 10);
		expect(effects).to.deep.include({ type: 'removed', record: { ...B, seq: 5, left: true }, cause: 'left' });
		expect(membership.step({ type: 'record', record: { ...B, seq: 4 } }, 20)).to.deep.equal([]);
		expect(typesOf(membership.step({ type: 'session-opened', record: B }, 30))).to.deep.equal(['disconnect']);
	});
});

describe('membership: detection (SWIM §3.1)', () => {
	it('sends heartbeats to all sessions, every interval', () => {
		const membership = start('when-ready', B, C);
		const beats = run(membership, 0, 2000, [B, C]).filter(({ effect }) => effect.type === 'heartbeat');
		expect(beats.length).to.be.within(7, 9);
	});

	it('suspects who is silent, asks two others, and gives the verdict within a second', () => {
		const membership = start('when-ready', B, C, D);
		const seen = run(membership, 50, 1000, [C, D]).filter(({ effect }) => effect.type !== 'heartbeat');
		expect(seen.map(({ effect }) => effect.type)).to.deep.equal(['suspect', 'probe', 'probe', 'disconnect', 'removed']);
		expect(seen.at(-1)?.atMs).to.be.at.most(T.suspectAfterMs + T.probeMs + 50);
		expect(seen.at(-1)?.effect).to.include({ cause: 'silent' });
		expect(new Set(seen.flatMap(({ effect }) => (effect.type === 'probe' ? [effect.via] : [])))).to.deep.equal(
			new Set([C.replicaId, D.replicaId]),
		);
	});

	it('a sign of life refutes the suspicion', () => {
		const membership = start('when-ready', B);
		run(membership, 50, T.suspectAfterMs);
		expect(membership.get(B.replicaId)?.phase).to.equal('suspect');
		expect(typesOf(membership.step({ type: 'heard', peer: B.replicaId }, T.suspectAfterMs + 10))).to.deep.equal([
			'ready',
		]);
		expect(membership.get(B.replicaId)?.phase).to.equal('alive');
	});

	describe('patience with one that was suspected in vain', () => {
		/** Silence until the verdict. */
		function verdictAfterMs(membership: Membership, heardMs: number): number {
			const seen = run(membership, heardMs + 10, heardMs + 20_000);
			return (seen.find(({ effect }) => effect.type === 'removed')?.atMs ?? Number.NaN) - heardMs;
		}
		const plainMs = T.suspectAfterMs + T.probeMs;

		function afterVain(times: number): { membership: Membership; heardMs: number } {
			const membership = start('when-ready', B);
			let heardMs = 0;
			for (let i = 0; i < times; i++) {
				const factor = Math.min(2 ** i, T.patienceMax);
				run(membership, heardMs + 50, heardMs + T.suspectAfterMs * factor + 50);
				expect(membership.get(B.replicaId)?.phase).to.equal('suspect');
				heardMs += T.suspectAfterMs * factor + 60;
				membership.step({ type: 'heard', peer: B.replicaId }, heardMs);
			}
			return { membership, heardMs };
		}

		it('doubles each time, up to a limit', () => {
			for (const [times, factor] of [
				[0, 1],
				[1, 2],
				[2, 4],
				[3, 8],
				[5, 8],
			] as const) {
				const { membership, heardMs } = afterVain(times);
				expect(verdictAfterMs(membership, heardMs)).to.be.within(plainMs * factor, plainMs * factor + 110);
			}
		});

		it('halves with every half minute of calm', () => {
			const { membership, heardMs } = afterVain(2);
			const calmMs = heardMs + 2 * T.calmMs;
			run(membership, heardMs + 50, calmMs, [B]);
			expect(verdictAfterMs(membership, calmMs)).to.be.within(plainMs, plainMs + 60);
		});

		it('is given to one that was taken for dead and never was, and not to one that was started again', () => {
			for (const [incarnation, factor] of [
				[0, 2],
				[1, 1],
			] as const) {
				const membership = start('when-ready', B);
				run(membership, 50, 2000);
				expect(membership.get(B.replicaId)?.phase).to.equal('gone');
				membership.step({ type: 'session-opened', record: { ...B, incarnation, seq: 2 } }, 3000);
				expect(verdictAfterMs(membership, 3000)).to.be.within(plainMs * factor, plainMs * factor + 60);
			}
		});
	});

	it('one that others reach stays suspect, and is probed again', () => {
		const membership = start('when-ready', B, C);
		let nowMs = 50;
		let probes = 0;
		for (; nowMs < 5000; nowMs += 50) {
			for (const effect of membership.step({ type: 'heard', peer: C.replicaId }, nowMs)) {
				expect(effect.type).to.not.equal('removed');
				if (effect.type !== 'probe') continue;
				probes++;
				membership.step({ type: 'probe-answered', peer: B.replicaId, alive: true }, nowMs);
			}
		}
		expect(probes).to.be.at.least(3);
		expect(membership.get(B.replicaId)?.phase).to.equal('suspect');
	});

	it('a closed session and a refused dial are a verdict at once', () => {
		const membership = start('when-ready', B);
		expect(typesOf(membership.step({ type: 'session-closed', peer: B.replicaId }, 100))).to.deep.equal([
			'suspect',
			'dial',
		]);
		const effects = membership.step({ type: 'dial-failed', peer: B.replicaId, refused: true }, 105);
		expect(effects).to.deep.include({ type: 'removed', record: B, cause: 'closed' });
	});

	it('a closed session that can be dialed again costs nothing but a suspicion', () => {
		const membership = start('when-ready', B);
		membership.step({ type: 'session-closed', peer: B.replicaId }, 100);
		expect(typesOf(membership.step({ type: 'session-opened', record: B }, 120))).to.deep.equal(['ready']);
	});

	it('the dead are dialed again, and welcome when they answer', () => {
		const membership = start('when-ready', B);
		const dials = run(membership, 50, 6000).filter(({ effect }) => effect.type === 'dial');
		expect(dials.length).to.be.at.least(1);
		expect(typesOf(membership.step({ type: 'session-opened', record: B }, 6010))).to.deep.equal(['added', 'ready']);
	});

	it('dials the vanished for a day, ever less often, and at least twice a minute', () => {
		const membership = start('when-ready', B);
		const dials: number[] = [];
		for (let nowMs = 50; nowMs < 25 * 3_600_000; nowMs = Math.max(nowMs + 50, membership.nextDeadlineMs())) {
			for (const { type } of membership.step({ type: 'tick' }, nowMs)) {
				if (type !== 'dial') continue;
				dials.push(nowMs);
				membership.step({ type: 'dial-failed', peer: B.replicaId, refused: false }, nowMs);
			}
		}
		const pauses = dials.slice(1).map((atMs, i) => atMs - (dials[i] ?? 0));
		expect(pauses[0]).to.be.at.most(T.redialGoneMs + T.heartbeatMs);
		expect(Math.max(...pauses)).to.be.at.most(T.redialGoneMaxMs + T.heartbeatMs);
		expect(dials.at(-1)).to.be.within(23.9 * 3_600_000, 24.1 * 3_600_000);
		expect(membership.get(B.replicaId)).to.equal(undefined);
	});

	it('remembers the newest 64 of the vanished, and none that was restarted in place', () => {
		const membership = start('when-ready');
		const crashed = Array.from({ length: 80 }, (_, i) => record(`x${i}`, { slot: 100 + i }));
		crashed.forEach((one, i) => {
			membership.step({ type: 'session-opened', record: one }, 1000 + i);
			membership.step({ type: 'session-closed', peer: one.replicaId }, 1000 + i);
			membership.step({ type: 'dial-failed', peer: one.replicaId, refused: true }, 1000 + i);
		});
		membership.step({ type: 'session-opened', record: record('y', { slot: 179, incarnation: 1 }) }, 1100);
		const remembered = crashed.filter(({ replicaId }) => membership.get(replicaId) !== undefined);
		expect(remembered.map(({ slot }) => slot)).to.deep.equal(Array.from({ length: 64 }, (_, i) => 115 + i));
	});

	it('blames nobody for the time that the observer itself stood still (Lifeguard)', () => {
		const membership = start('when-ready', B);
		run(membership, 50, 300, [B]);
		expect(typesOf(membership.step({ type: 'tick' }, 10_000))).to.deep.equal(['heartbeat']);
		expect(membership.get(B.replicaId)?.phase).to.equal('alive');
	});

	it('names its next deadline, and never one that has passed after a step', () => {
		const membership = start('when-ready', B);
		for (let i = 0; i < 200; i++) {
			const nowMs = membership.nextDeadlineMs();
			membership.step({ type: 'tick' }, nowMs);
			for (const via of [B]) membership.step({ type: 'dial-failed', peer: via.replicaId, refused: false }, nowMs);
			expect(membership.nextDeadlineMs()).to.be.greaterThan(nowMs);
		}
	});
});

describe('membership: one replica per slot', () => {
	const newer = record('e', { slot: 1, gen: 2 });

	it('stateful: the newer generation displaces the older at once, and for good', () => {
		const membership = start('at-once', B);
		const effects = membership.step({ type: 'record', record: { ...newer, ready: false } }, 10);
		expect(effects).to.deep.include({ type: 'removed', record: B, cause: 'superseded' });
		membership.step({ type: 'session-opened', record: { ...newer, ready: false } }, 20);
		run(membership, 70, 70_000);
		expect(typesOf(membership.step({ type: 'session-opened', record: B }, 70_010))).to.not.include('added');
	});

	it('stateless: the older serves until the newer is ready', () => {
		const membership = start('when-ready', B);
		membership.step({ type: 'session-opened', record: { ...newer, ready: false } }, 10);
		expect(membership.live().map((m) => [m.record.slot, m.record.gen])).to.deep.equal([
			[0, 1],
			[1, 2],
			[1, 1],
		]);
		const effects = membership.step({ type: 'record', record: { ...newer, seq: 2 } }, 20);
		expect(effects).to.deep.include({ type: 'removed', record: B, cause: 'superseded' });
	});

	it('stateless: one that comes back displaced keeps its session, to learn by whom', () => {
		const membership = start('when-ready', B);
		run(membership, 50, 2000);
		expect(membership.get(B.replicaId)?.phase).to.equal('gone');
		membership.step({ type: 'session-opened', record: newer }, 2010);
		expect(typesOf(membership.step({ type: 'session-opened', record: B }, 2020))).to.deep.equal([]);
		expect(membership.live().map((m) => m.record)).to.deep.equal([SELF, newer]);
	});

	it('a restart in place displaces its former self', () => {
		const membership = start('at-once', B);
		const again = record('b2', { slot: 1, incarnation: 1 });
		membership.step({ type: 'session-opened', record: again }, 10);
		expect(membership.live().map((m) => m.record.replicaId)).to.deep.equal([SELF.replicaId, again.replicaId]);
	});

	it('tells us when a newer one has our own slot: by its record, or by hearsay of its generation', () => {
		const told = start('at-once').step({ type: 'record', record: record('z', { gen: 3 }) }, 10);
		expect(told).to.deep.include({ type: 'self-superseded', slot: 0, gen: 3 });
		expect(start('at-once').learnGenerations([[0, 4]], 10)).to.deep.include({
			type: 'self-superseded',
			slot: 0,
			gen: 4,
		});
		expect(start('when-ready').learnGenerations([[0, 4]], 10)).to.deep.equal([]);
	});

	it('remembers the highest generation of each slot', () => {
		const membership = start('when-ready', B);
		membership.step({ type: 'record', record: newer }, 10);
		membership.learnGenerations(
			[
				[7, 3],
				[1, 1],
			],
			20,
		);
		expect([...membership.generations()].sort()).to.deep.equal([
			[0, 1],
			[1, 2],
			[7, 3],
		]);
	});
});
