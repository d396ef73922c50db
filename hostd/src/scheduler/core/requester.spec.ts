import type { MachineId } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { bidOf, entropyOf, machine, tenderOf } from '../test/fixtures.ts';
import {
	createRequester,
	type PlacementReport,
	type RequesterEffect,
	type RequesterEvent,
	type RequesterOptions,
} from './requester.ts';

type Of<T extends RequesterEffect['type']> = Extract<RequesterEffect, { type: T }>;
type ReportOf<T extends PlacementReport['type']> = Extract<PlacementReport, { type: T }>;

/** One requester with a clock that the test turns, and everything it asked for. */
function placement(options: Partial<RequesterOptions> & { readonly slotCount?: number } = {}) {
	const tender = options.tender ?? tenderOf({ slotCount: options.slotCount ?? 1 });
	const core = createRequester({ tender, keepTrying: false, entropy: entropyOf(), ...options });
	const log: RequesterEffect[] = [];
	let nowMs = 0;
	const step = (event: RequesterEvent): readonly RequesterEffect[] => {
		const effects = core.step(event, nowMs);
		log.push(...effects);
		return effects;
	};
	return {
		core,
		log,
		step,
		get nowMs() {
			return nowMs;
		},
		/** Moves time, stopping at each deadline as a driver would. */
		passMs(ms: number) {
			const endMs = nowMs + ms;
			for (let next = core.nextDeadlineMs(); next !== undefined && next <= endMs; next = core.nextDeadlineMs()) {
				nowMs = Math.max(nowMs, next);
				step({ type: 'tick' });
			}
			nowMs = endMs;
		},
		start: (...hosts: MachineId[]) => step({ type: 'start', hosts }),
		bid: (machineId: MachineId, overrides: Parameters<typeof bidOf>[2] = {}) =>
			step({ type: 'bid', bid: bidOf(core.tenderId, machineId, overrides) }),
		decline: (machineId: MachineId, reason: string) =>
			step({ type: 'bid', bid: bidOf(core.tenderId, machineId, { slotsOffered: 0, score: 0, reason }) }),
		all: <T extends RequesterEffect['type']>(type: T) => log.filter((effect): effect is Of<T> => effect.type === type),
		reports: <T extends PlacementReport['type']>(type: T) =>
			log.flatMap((effect) =>
				effect.type === 'report' && effect.report.type === type ? [effect.report as ReportOf<T>] : [],
			),
		accept(awardId: string) {
			return step({ type: 'award-answer', awardId, accepted: true });
		},
		reject(awardId: string, reason = 'memory: needs 1Gi, 0 free') {
			return step({ type: 'award-answer', awardId, accepted: false, reason });
		},
		done: () => log.some((effect) => effect.type === 'done'),
	};
}

const [a, b, c, d] = [machine('a'), machine('b'), machine('c'), machine('d')] as const;

describe('requester: from tender to outcome', () => {
	it('publishes on the root ring and says how many hosts it knows', () => {
		const p = placement();
		p.start(a, b);
		expect(p.all('tender')).to.have.length(1);
		expect(p.reports('tendered')).to.deep.equal([
			{ type: 'tendered', tenderId: p.core.tenderId, scope: 'root', hosts: 2 },
		]);
	});

	it('awards the best bid, and ends with the outcome', () => {
		const p = placement();
		p.start(a, b);
		p.bid(a, { score: 0.4 });
		p.bid(b, { score: 0.6 });
		const [award] = p.all('award');
		expect(award).to.include({ machineId: b, slot: 0, gen: 1, expMs: 120_000 });
		p.accept(award?.awardId ?? '');
		expect(p.done()).to.equal(false);
		p.step({ type: 'outcome', awardId: award?.awardId ?? '', machineId: b, outcome: 'deployed' });
		expect(p.reports('outcome')).to.deep.equal([
			{ type: 'outcome', slot: 0, gen: 1, machineId: b, outcome: 'deployed' },
		]);
		expect(p.all('close')).to.deep.equal([{ type: 'close', tenderId: p.core.tenderId, machines: [a] }]);
		expect(p.log.at(-1)?.type).to.equal('done');
		expect(p.core.nextDeadlineMs()).to.equal(undefined);
	});

	it('closes early with one spare host, without waiting for the silent', () => {
		const p = placement({ slotCount: 2 });
		p.start(a, b, c, d);
		p.bid(a, { slotsOffered: 2 });
		p.bid(b, { slotsOffered: 2 });
		expect(p.all('award')).to.have.length(0);
		p.bid(c);
		expect(p.all('award')).to.have.length(2);
	});

	it('does not close early on hosts that have replicas while one without may come', () => {
		const soft = [a, b].map((machineId) => ({ machineId, replicas: 1 }));
		const p = placement({ tender: tenderOf({ avoid: { hard: [], soft } }) });
		p.start(a, b, c);
		p.bid(a);
		p.bid(b);
		expect(p.all('award')).to.have.length(0);
		p.bid(c, { score: 0.1 });
		expect(p.all('award').map(({ machineId }) => machineId)).to.deep.equal([c]);
	});

	it('closes early on hosts that have replicas when every other has one too', () => {
		const soft = [a, b, c].map((machineId) => ({ machineId, replicas: 1 }));
		const p = placement({ tender: tenderOf({ avoid: { hard: [], soft } }) });
		p.start(a, b, c);
		p.bid(a, { score: 0.4 });
		p.bid(b, { score: 0.6 });
		expect(p.all('award').map(({ machineId }) => machineId)).to.deep.equal([b]);
	});

	it('does not close on one host that offers everything, while others may come', () => {
		const p = placement({ slotCount: 3 });
		p.start(a, b, c);
		p.bid(a, { slotsOffered: 3, score: 0.9 });
		expect(p.all('award')).to.have.length(0);
		p.bid(b, { slotsOffered: 3 });
		p.bid(c, { slotsOffered: 3 });
		expect(new Set(p.all('award').map(({ machineId }) => machineId))).to.deep.equal(new Set([a, b, c]));
	});

	it('closes when the last known host has answered or has gone', () => {
		const p = placement();
		p.start(a, b, c);
		p.bid(a);
		p.decline(b, 'memory: needs 1Gi, 0 free');
		expect(p.all('award')).to.have.length(0);
		p.step({ type: 'hosts', hosts: [a, b] });
		expect(p.all('award')).to.have.length(1);
	});

	it('waits longer for hosts that are present while slots would crowd, and no longer than that', () => {
		const p = placement({ slotCount: 2 });
		p.start(a, b, c);
		p.bid(a, { slotsOffered: 2 });
		p.passMs(1_999);
		expect(p.all('award')).to.have.length(0);
		p.passMs(1);
		expect(p.all('award').map(({ machineId }) => machineId)).to.deep.equal([a, a]);
		const q = placement({ slotCount: 2 });
		q.start(a, b, c);
		q.bid(a, { slotsOffered: 2 });
		q.passMs(600);
		q.bid(b, { slotsOffered: 2 });
		q.step({ type: 'hosts', hosts: [a, b] });
		expect(
			q
				.all('award')
				.map(({ machineId }) => machineId)
				.sort(),
		).to.deep.equal([a, b]);
	});

	it('closes at the end of the window with what it has', () => {
		const p = placement();
		p.start(a, b);
		p.bid(a);
		p.passMs(499);
		expect(p.all('award')).to.have.length(0);
		p.passMs(1);
		expect(p.all('award')).to.have.length(1);
	});
});

describe('requester: spreading', () => {
	it('gives each host one slot before any host gets a second, best score first', () => {
		const p = placement({ slotCount: 5 });
		p.start(a, b, c);
		p.bid(a, { slotsOffered: 5, score: 0.9 });
		p.bid(b, { slotsOffered: 5, score: 0.5 });
		p.bid(c, { slotsOffered: 1, score: 0.1 });
		expect(p.all('award').map(({ machineId }) => machineId)).to.deep.equal([a, b, c, a, b]);
	});

	it('counts the replicas that the tender knows of', () => {
		const p = placement({
			tender: tenderOf({ slotCount: 2, avoid: { hard: [], soft: [{ machineId: a, replicas: 1 }] } }),
		});
		p.start(a, b, c);
		p.bid(a, { score: 0.9, slotsOffered: 2 });
		p.bid(b, { score: 0.2, slotsOffered: 2 });
		p.bid(c, { score: 0.1, slotsOffered: 2 });
		expect(p.all('award').map(({ machineId }) => machineId)).to.deep.equal([b, c]);
	});

	it('never gives a host more than it offered', () => {
		const p = placement({ slotCount: 4 });
		p.start(a, b);
		p.bid(a, { slotsOffered: 1 });
		p.bid(b, { slotsOffered: 2 });
		expect(p.all('award')).to.have.length(3);
		expect(p.reports('starved')[0]).to.deep.include({ slots: [{ slot: 3, gen: 1 }], hostsAsked: 2 });
	});
});

describe('requester: refusals and silence', () => {
	it('goes on to the next bid when an award is rejected', () => {
		const p = placement();
		p.start(a, b);
		p.bid(a, { score: 0.9 });
		p.bid(b);
		p.reject(p.all('award')[0]?.awardId ?? '');
		expect(p.reports('rejected')).to.have.length(1);
		expect(p.all('award').map(({ machineId }) => machineId)).to.deep.equal([a, b]);
	});

	it('waits on for hosts that have not answered when the offers it closed early on are rejected', () => {
		const p = placement();
		p.start(a, b, c);
		p.bid(a, { score: 0.9 });
		p.bid(b);
		for (const index of [0, 1]) p.reject(p.all('award')[index]?.awardId ?? '', 'the host’s policy refuses it');
		expect(p.reports('starved')).to.deep.equal([]);
		p.bid(c);
		expect(p.all('award').map(({ machineId }) => machineId)).to.deep.equal([a, b, c]);
	});

	it('takes four seconds of silence for a rejection, cancels, and ignores the late answer', () => {
		const p = placement();
		p.start(a, b);
		p.bid(a, { score: 0.9 });
		p.bid(b);
		const late = p.all('award')[0]?.awardId ?? '';
		p.passMs(4_000);
		expect(p.all('cancel-award')).to.deep.include.members([
			{ type: 'cancel-award', awardId: late, machineId: a, reason: 'no answer to the award within 4000 ms' },
		]);
		expect(p.all('award').map(({ machineId }) => machineId)).to.deep.equal([a, b]);
		expect(p.accept(late)).to.deep.equal([]);
		expect(p.core.liveAward(late)).to.equal(undefined);
	});

	it('does not ask a host again that rejected one slot of the tender', () => {
		const p = placement({ slotCount: 2 });
		p.start(a);
		p.bid(a, { slotsOffered: 2 });
		const [first, second] = p.all('award');
		p.reject(first?.awardId ?? '');
		expect(p.all('award')).to.have.length(2);
		expect(p.reports('starved')[0]).to.deep.include({
			reasons: [{ requirement: 'memory: needs 1Gi, 0 free', hosts: 1 }],
		});
		p.accept(second?.awardId ?? '');
		p.step({ type: 'outcome', awardId: second?.awardId ?? '', machineId: a, outcome: 'deployed' });
		expect(p.done()).to.equal(true);
	});

	it('does not use an offer that has lapsed', () => {
		const p = placement();
		p.start(a, b);
		p.bid(a, { validUntil: 100 });
		p.passMs(2_000);
		expect(p.all('award')).to.have.length(0);
		expect(p.reports('starved')).to.have.length(1);
	});

	it('counts one bid per host and tender', () => {
		const p = placement();
		p.start(a, b, c);
		p.bid(a, { score: 0.1 });
		expect(p.bid(a, { score: 1 })).to.deep.equal([]);
	});

	it('ignores bids on another tender', () => {
		const p = placement();
		p.start(a, b);
		expect(p.step({ type: 'bid', bid: bidOf('another', a) })).to.deep.equal([]);
	});
});

describe('requester: rings', () => {
	const rings = [{ scope: 'near' }, { scope: 'far' }, { scope: 'root' }];

	it('widens when a window closes without enough bids, and keeps the bids it has', () => {
		const p = placement({ slotCount: 2, config: { rings } });
		p.start(a, b, c);
		p.bid(a);
		p.passMs(500);
		expect(p.all('award')).to.have.length(1);
		expect(p.all('tender').map(({ ring, slots }) => [ring.scope, slots.length])).to.deep.equal([
			['near', 2],
			['far', 1],
		]);
		p.bid(b);
		p.bid(c);
		expect(p.all('award')).to.have.length(2);
		expect(p.all('tender')).to.have.length(2);
	});

	it('starves only after the last ring', () => {
		const p = placement({ config: { rings } });
		p.start(a);
		p.passMs(2_999);
		expect(p.reports('starved')).to.have.length(0);
		p.passMs(1);
		expect(p.reports('starved')).to.have.length(1);
		expect(p.all('tender').map(({ ring }) => ring.scope)).to.deep.equal(['near', 'far', 'root']);
		expect(p.done()).to.equal(true);
	});
});

describe('requester: starving', () => {
	it('says which requirement no host met, and on how many hosts', () => {
		const p = placement();
		p.start(a, b, c, d);
		p.decline(a, 'memory: needs 900Gi, 20Gi free');
		p.decline(b, 'memory: needs 900Gi, 8Gi free');
		p.decline(c, 'nodeSelector: needs zone=eu, the host has us');
		p.passMs(2_000);
		expect(p.reports('starved')).to.deep.equal([
			{
				type: 'starved',
				slots: [{ slot: 0, gen: 1 }],
				hostsAsked: 4,
				reasons: [
					{ requirement: 'memory: needs 900Gi', hosts: 2 },
					{ requirement: 'no answer', hosts: 1 },
					{ requirement: 'nodeSelector: needs zone=eu, the host has us', hosts: 1 },
				],
			},
		]);
		expect(p.done()).to.equal(true);
	});

	it('asks again with growing pauses when told to, under a new tender, until cancelled', () => {
		const p = placement({ keepTrying: true });
		p.start(a);
		const seen: number[] = [];
		let asked = p.all('tender').length;
		while (seen.length < 6) {
			p.passMs(10);
			if (p.all('tender').length > asked) {
				asked = p.all('tender').length;
				seen.push(p.nowMs);
			}
		}
		const pauses = seen.map((atMs, i) => atMs - (seen[i - 1] ?? 0));
		expect(pauses[0]).to.be.within(2_990, 3_020);
		for (const pause of pauses) expect(pause).to.be.within(2_990, 12_020);
		expect(pauses.at(-1)).to.be.greaterThan(8_000);
		expect(new Set(p.all('tender').map(({ tenderId }) => tenderId)).size).to.equal(asked);
		p.step({ type: 'cancel' });
		expect(p.done()).to.equal(true);
	});

	it('takes a late bid between two rounds', () => {
		const p = placement({ keepTrying: true });
		p.start(a);
		p.passMs(2_100);
		p.bid(a);
		expect(p.all('award')).to.have.length(1);
		p.passMs(1_500);
		expect(p.all('tender')).to.have.length(1);
	});

	it('keeps placed slots while it asks again for the rest', () => {
		const p = placement({ slotCount: 2, keepTrying: true });
		p.start(a);
		p.bid(a);
		const [award] = p.all('award');
		p.accept(award?.awardId ?? '');
		p.passMs(1_200);
		expect(p.all('tender').map(({ slots }) => slots)).to.deep.equal([
			[
				{ slot: 0, gen: 1 },
				{ slot: 1, gen: 1 },
			],
			[{ slot: 1, gen: 1 }],
		]);
	});
});

describe('requester: trouble after the award', () => {
	function deploying(overrides: Parameters<typeof placement>[0] = {}) {
		const p = placement(overrides);
		p.start(a, b);
		p.bid(a);
		p.decline(b, 'x');
		const awardId = p.all('award')[0]?.awardId ?? '';
		p.accept(awardId);
		return { p, awardId };
	}

	it('gives a slot up when its host is gone for three seconds, not for two', () => {
		const { p } = deploying();
		p.step({ type: 'hosts', hosts: [b] });
		p.passMs(2_000);
		p.step({ type: 'hosts', hosts: [a, b] });
		p.passMs(5_000);
		expect(p.done()).to.equal(false);
		p.step({ type: 'hosts', hosts: [b] });
		p.passMs(3_000);
		expect(p.reports('outcome')[0]).to.deep.include({
			outcome: 'failed',
			reason: 'the host was lost while it deployed',
		});
		expect(p.done()).to.equal(true);
	});

	it('lets an award expire after 120 s without admission', () => {
		const { p, awardId } = deploying();
		p.passMs(119_999);
		expect(p.core.liveAward(awardId)).to.not.equal(undefined);
		p.passMs(1);
		expect(p.reports('outcome')[0]?.outcome).to.equal('failed');
		expect(p.all('cancel-award')[0]?.awardId).to.equal(awardId);
		expect(p.core.liveAward(awardId)).to.equal(undefined);
	});

	it('counts the time to become ready from the admission', () => {
		const { p, awardId } = deploying();
		p.passMs(100_000);
		p.step({ type: 'admitted', awardId });
		p.passMs(119_999);
		expect(p.done()).to.equal(false);
		p.passMs(1);
		expect(p.reports('outcome')[0]?.reason).to.match(/^admitted, but not ready/);
	});

	it('cancels what is not admitted when its client goes, and leaves what is', () => {
		const p = placement({ slotCount: 2 });
		p.start(a, b);
		p.bid(a);
		p.bid(b);
		const [first, second] = p.all('award');
		p.accept(first?.awardId ?? '');
		p.accept(second?.awardId ?? '');
		p.step({ type: 'admitted', awardId: first?.awardId ?? '' });
		p.step({ type: 'cancel' });
		expect(p.all('cancel-award').map(({ awardId }) => awardId)).to.deep.equal([second?.awardId]);
		expect(p.all('done')).to.have.length(1);
	});

	it('believes an outcome only from the host that was awarded', () => {
		const { p, awardId } = deploying();
		expect(p.step({ type: 'outcome', awardId, machineId: b, outcome: 'deployed' })).to.deep.equal([]);
		expect(p.step({ type: 'outcome', awardId: 'another', machineId: a, outcome: 'deployed' })).to.deep.equal([]);
		expect(p.done()).to.equal(false);
	});
});

describe('requester: foreign leases', () => {
	const lost = () => tenderOf({ slots: [{ slot: 1, gen: 2 }] });

	it('looks for a lease before it tenders a lost slot, not longer than 150 ms', () => {
		const p = placement({ tender: lost() });
		p.start(a);
		expect(p.all('check-leases')[0]?.slots).to.deep.equal([{ slot: 1, gen: 2 }]);
		expect(p.all('tender')).to.have.length(0);
		p.passMs(150);
		expect(p.all('tender')).to.have.length(1);
		// The answer comes too late to matter.
		expect(p.step({ type: 'leases', found: [{ slot: 1, gen: 2, machineId: b, untilMs: 9_999 }] })).to.deep.equal([]);
	});

	it('backs off from a slot that somebody else is deploying, and says so', () => {
		const p = placement({ tender: lost(), keepTrying: true });
		p.start(a);
		p.step({ type: 'leases', found: [{ slot: 1, gen: 2, machineId: b, untilMs: 3_000 }] });
		expect(p.all('tender')).to.have.length(0);
		expect(p.reports('starved')[0]?.reasons.map(({ requirement }) => requirement)).to.include(
			`lease: slot 1 generation 2 is being deployed by ${b}`,
		);
		p.passMs(1_000);
		p.step({ type: 'leases', found: [] });
		expect(p.all('tender')).to.have.length(1);
	});
});

describe('requester: any order of events', () => {
	it('ends, awards a slot to one live host at a time, and says nothing after the end', () => {
		for (let seed = 1; seed <= 400; seed++) {
			const { random } = entropyOf(seed);
			const hosts = [a, b, c, d];
			const p = placement({
				slotCount: 1 + Math.floor(random() * 4),
				keepTrying: random() < 0.5,
				entropy: entropyOf(seed),
			});
			p.start(...hosts);
			for (let i = 0; i < 60; i++) {
				const host = hosts[Math.floor(random() * 4)] as MachineId;
				const awards = p.all('award');
				const awardId = awards[Math.floor(random() * awards.length)]?.awardId ?? 'none';
				const dice = random();
				if (dice < 0.3)
					p.bid(host, { score: random(), slotsOffered: Math.floor(random() * 3), validUntil: p.nowMs + 3_000 });
				else if (dice < 0.5) p.accept(awardId);
				else if (dice < 0.6) p.reject(awardId);
				else if (dice < 0.7) p.step({ type: 'outcome', awardId, machineId: host, outcome: 'deployed' });
				else if (dice < 0.8) p.step({ type: 'hosts', hosts: hosts.filter(() => random() < 0.8) });
				else p.passMs(Math.floor(random() * 1_000));
				const live = awards.map((award) => p.core.liveAward(award.awardId)).filter((award) => award !== undefined);
				expect(new Set(live.map(({ slot }) => slot)).size, `seed ${seed}`).to.equal(live.length);
			}
			p.step({ type: 'cancel' });
			p.passMs(400_000);
			expect(p.all('done'), `seed ${seed}`).to.have.length(1);
			expect(p.log.at(-1)?.type, `seed ${seed}`).to.equal('done');
		}
	});
});
