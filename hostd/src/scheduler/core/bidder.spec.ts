import type { Award } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { awardOf, entropyOf, GI, ledgerOf, machine, tenderOf } from '../test/fixtures.ts';
import { type BidderEffect, type BidderEvent, createBidder } from './bidder.ts';
import { podKey } from './types.ts';

type Of<T extends BidderEffect['type']> = Extract<BidderEffect, { type: T }>;

const SELF = machine('self');
const ONE_GI = { resources: { cpuMillis: 0, memoryBytes: GI, diskBytes: 0 }, hostPorts: [] };

function bidder(memoryGi = 8) {
	const ledger = ledgerOf({ memoryBytes: memoryGi * GI });
	const host = { machineId: SELF, labels: {}, leaving: false };
	const core = createBidder({ ledger, host: () => host, entropy: entropyOf() });
	const log: BidderEffect[] = [];
	let nowMs = 0;
	const step = (event: BidderEvent): readonly BidderEffect[] => {
		const effects = core.step(event, nowMs);
		log.push(...effects);
		return effects;
	};
	return {
		core,
		ledger,
		host,
		log,
		step,
		passMs(ms: number) {
			const endMs = nowMs + ms;
			for (let next = core.nextDeadlineMs(); next !== undefined && next <= endMs; next = core.nextDeadlineMs()) {
				nowMs = Math.max(nowMs, next);
				step({ type: 'tick' });
			}
			nowMs = endMs;
		},
		tender: (tender = tenderOf(), answerAlways = true) => step({ type: 'tender', tender, answerAlways }),
		award: (award: Award, ttlMs = 120_000) => step({ type: 'award', award, ttlMs }),
		all: <T extends BidderEffect['type']>(type: T) => log.filter((effect): effect is Of<T> => effect.type === type),
	};
}

describe('bidder: answering tenders', () => {
	it('waits (1 − score)·W before it bids, and reserves what it offers', () => {
		const host = bidder();
		host.tender(tenderOf({ slotCount: 2 }));
		expect(host.all('bid')).to.have.length(0);
		host.passMs(110);
		const [bid] = host.all('bid');
		expect(bid).to.include({ slotsOffered: 2 });
		expect(bid?.score).to.be.within(0, 1);
		expect(host.ledger.free().memoryBytes).to.equal(6 * GI);
	});

	it('declines at once with the reason in a small mesh, and is silent in a large one', () => {
		const small = bidder();
		small.tender(tenderOf({ memoryGi: 900 }));
		small.passMs(10);
		expect(small.all('bid')[0]).to.include({ slotsOffered: 0, score: 0, reason: 'memory: needs 900Gi, 8Gi free' });
		const large = bidder();
		large.tender(tenderOf({ memoryGi: 900 }), false);
		large.passMs(1_000);
		expect(large.all('bid')).to.have.length(0);
		expect(large.core.nextDeadlineMs()).to.equal(undefined);
	});

	it('lets an offer lapse at validUntil', () => {
		const host = bidder();
		host.tender();
		host.passMs(110);
		host.passMs(2_800);
		expect(host.ledger.free().memoryBytes).to.equal(7 * GI);
		host.passMs(200);
		expect(host.ledger.free().memoryBytes).to.equal(8 * GI);
	});

	it('drops its offer when the requester closes, and only then', () => {
		const host = bidder();
		const tender = tenderOf();
		host.tender(tender);
		host.passMs(110);
		host.step({ type: 'close', tenderId: tender.tenderId, requester: machine('stranger') });
		expect(host.ledger.free().memoryBytes).to.equal(7 * GI);
		host.step({ type: 'close', tenderId: tender.tenderId, requester: tender.requester });
		expect(host.ledger.free().memoryBytes).to.equal(8 * GI);
	});

	it('does not promise the same memory twice', () => {
		const host = bidder(1);
		host.tender(tenderOf({ tenderId: 'tender-a' }));
		host.tender(tenderOf({ tenderId: 'tender-b' }));
		host.passMs(110);
		expect(host.all('bid').map(({ slotsOffered }) => slotsOffered)).to.deep.equal([1, 0]);
		expect(host.all('bid')[1]?.reason).to.equal('memory: needs 1Gi, 0 free');
	});

	it('answers a tender once', () => {
		const host = bidder();
		host.tender();
		host.tender();
		host.passMs(1_000);
		expect(host.all('bid')).to.have.length(1);
	});
});

describe('bidder: awards', () => {
	function offered(slotCount = 1, memoryGi = 8) {
		const host = bidder(memoryGi);
		const tender = tenderOf({ slotCount });
		host.tender(tender);
		host.passMs(110);
		return { host, tender };
	}

	it('answers before it deploys, and holds the pod and the rest of its offer', () => {
		const { host, tender } = offered(3);
		const effects = host.award(awardOf(tender, SELF));
		expect(effects.map(({ type }) => type)).to.deep.equal(['answer', 'deploy']);
		expect(host.ledger.has(podKey(tender.wid, 0, 1))).to.equal(true);
		expect(host.ledger.free().memoryBytes).to.equal(5 * GI);
		host.passMs(3_000);
		expect(host.ledger.free().memoryBytes).to.equal(7 * GI);
	});

	it('gives the same answer to the same award, and deploys once', () => {
		const { host, tender } = offered();
		host.award(awardOf(tender, SELF));
		host.award(awardOf(tender, SELF));
		expect(host.all('answer').map(({ accepted }) => accepted)).to.deep.equal([true, true]);
		expect(host.all('deploy')).to.have.length(1);
	});

	it('refuses an award that is not what was tendered, and changes nothing', () => {
		const { host, tender } = offered();
		const before = host.ledger.usage();
		const wrong: [Partial<Award>, RegExp][] = [
			[{ tenderId: '00000000000000000000UNKN0WN' }, /^tender:/],
			[{ requester: machine('stranger') }, /^requester:/],
			[{ slot: 7 }, /^slot: 7/],
			[{ gen: 2 }, /^slot: 0 generation 2/],
			[{ wid: 'workload-2' as Award['wid'] }, /^slot:/],
			[{ manifestCid: 'manifest-2' as Award['manifestCid'] }, /^manifest:/],
		];
		for (const [overrides, reason] of wrong) {
			const [answer] = host.award(awardOf(tender, SELF, overrides)).filter(({ type }) => type === 'answer');
			expect(answer).to.include({ accepted: false });
			expect((answer as Of<'answer'>).reason).to.match(reason);
		}
		expect(host.ledger.usage()).to.deep.equal(before);
		expect(host.all('deploy')).to.have.length(0);
	});

	it('re-checks when its offer has lapsed, and refuses what no longer fits', () => {
		const { host, tender } = offered(1, 1);
		host.passMs(4_000);
		host.ledger.reserve('pod/other', { wid: tender.wid, resources: tender.requirements.resources, hostPorts: [] });
		host.award(awardOf(tender, SELF));
		expect(host.all('answer')[0]).to.deep.include({ accepted: false, reason: 'memory: needs 1Gi, 0 free' });
	});

	it('refuses when it is leaving by now', () => {
		const { host, tender } = offered();
		host.host.leaving = true;
		host.award(awardOf(tender, SELF));
		expect(host.all('answer')[0]?.reason).to.match(/^leaving:/);
	});

	it('refuses a second award for a slot that it has', () => {
		const { host, tender } = offered(2);
		host.award(awardOf(tender, SELF));
		host.award(awardOf(tender, SELF, { awardId: '00000000000000000000000AW2' }));
		expect(host.all('answer')[1]?.reason).to.equal('lease: slot 0 generation 1 is on this host already');
	});
});

describe('bidder: deploying', () => {
	function deploying() {
		const host = bidder();
		const tender = tenderOf();
		host.tender(tender);
		host.passMs(110);
		const award = awardOf(tender, SELF);
		host.award(award);
		return { host, tender, award };
	}
	const held = (host: ReturnType<typeof bidder>): number => 8 * GI - host.ledger.free().memoryBytes;

	it('keeps the claim of what runs', () => {
		const { host, award } = deploying();
		host.step({ type: 'deployed', awardId: award.awardId });
		expect(host.all('outcome')).to.deep.equal([{ type: 'outcome', award, outcome: 'deployed' }]);
		expect(host.ledger.usage().running.memoryBytes).to.equal(GI);
		host.passMs(200_000);
		expect(host.all('lease')).to.have.length(0);
		expect(held(host)).to.equal(GI);
	});

	it('releases the claim of what failed, and scores lower from then on', () => {
		const { host, tender, award } = deploying();
		host.step({ type: 'deploy-failed', awardId: award.awardId, reason: 'ImagePull: no such image' });
		expect(host.all('outcome')[0]).to.deep.include({ outcome: 'failed', reason: 'ImagePull: no such image' });
		expect(held(host)).to.equal(0);
		host.tender({ ...tender, tenderId: 'tender-2' });
		host.passMs(110);
		const [before, after] = host.all('bid');
		expect(after?.score).to.be.lessThan(before?.score ?? 0);
	});

	it('renews a lease each second, only when it takes longer than one', () => {
		const { host } = deploying();
		host.passMs(999);
		expect(host.all('lease')).to.have.length(0);
		host.passMs(2_001);
		expect(host.all('lease').map(({ renewNonce }) => renewNonce)).to.deep.equal([1, 2, 3]);
	});

	it('aborts on cancel by its requester only', () => {
		const { host, award } = deploying();
		host.step({ type: 'cancel', awardId: award.awardId, requester: machine('stranger'), reason: 'x' });
		expect(host.all('abort')).to.have.length(0);
		host.step({ type: 'cancel', awardId: award.awardId, requester: award.requester, reason: 'the client is gone' });
		expect(host.all('abort')).to.have.length(1);
		expect(host.all('outcome')[0]?.outcome).to.equal('cancelled');
		expect(held(host)).to.equal(0);
		// The driver's report of the aborted deployment comes later and means nothing.
		expect(host.step({ type: 'deploy-failed', awardId: award.awardId, reason: 'aborted' })).to.deep.equal([]);
	});

	it('gives up at the award’s end, or five seconds after it lost the requester', () => {
		const expired = deploying();
		expired.host.passMs(120_000);
		expect(expired.host.all('outcome')[0]).to.deep.include({ outcome: 'failed' });
		const lost = deploying();
		lost.host.step({ type: 'host-lost', machineId: lost.award.requester });
		lost.host.passMs(4_000);
		lost.host.step({ type: 'host-back', machineId: lost.award.requester });
		lost.host.passMs(4_000);
		expect(lost.host.all('abort')).to.have.length(0);
		lost.host.step({ type: 'host-lost', machineId: lost.award.requester });
		lost.host.passMs(5_000);
		expect(lost.host.all('outcome')[0]?.outcome).to.equal('cancelled');
	});

	it('lets an admitted replica live on, whatever becomes of its requester', () => {
		const { host, award } = deploying();
		host.step({ type: 'admitted', awardId: award.awardId });
		host.step({ type: 'host-lost', machineId: award.requester });
		host.passMs(200_000);
		expect(host.all('abort')).to.have.length(0);
		expect(host.core.deploying()).to.deep.equal([award]);
	});
});

describe('bidder: a deployment of the hostd before this one', () => {
	const award = awardOf(tenderOf(), SELF);
	const resumed = () => {
		const host = bidder();
		// As hosting adopts it.
		host.ledger.adopt(podKey(award.wid, award.slot, award.gen), { wid: award.wid, ...ONE_GI });
		host.step({ type: 'resumed', award });
		host.step({ type: 'host-lost', machineId: award.requester });
		host.passMs(25_000);
		return host;
	};

	it('is told to its requester when it ends, and until then its lease is renewed', () => {
		const host = resumed();
		expect(host.all('lease').length).to.be.at.least(1);
		expect(host.all('abort')).to.have.length(0);
		host.step({ type: 'deployed', awardId: award.awardId });
		expect(host.all('outcome').map(({ outcome }) => outcome)).to.deep.equal(['deployed']);
		expect(host.ledger.free().memoryBytes).to.equal(7 * GI);
	});

	it('gives back what it held when it comes to nothing, or nobody wants it any more', () => {
		const failed = resumed();
		failed.step({ type: 'deploy-failed', awardId: award.awardId, reason: 'it keeps ending' });
		expect(failed.all('outcome')[0]).to.include({ outcome: 'failed', reason: 'it keeps ending' });
		const cancelled = resumed();
		cancelled.step({ type: 'cancel', awardId: award.awardId, requester: award.requester, reason: 'too late' });
		expect(cancelled.all('abort')).to.have.length(1);
		for (const { ledger } of [failed, cancelled]) expect(ledger.free().memoryBytes).to.equal(8 * GI);
	});
});

describe('bidder: any order of events', () => {
	it('holds nothing once all is over', () => {
		for (let seed = 1; seed <= 300; seed++) {
			const { random } = entropyOf(seed);
			const host = bidder();
			const tenders = [0, 1, 2].map((i) =>
				tenderOf({ tenderId: `tender-${i}`, slotCount: 3, memoryGi: 1 + Math.floor(random() * 3) }),
			);
			for (let i = 0; i < 60; i++) {
				const tender = tenders[Math.floor(random() * 3)] as ReturnType<typeof tenderOf>;
				const slot = Math.floor(random() * 3);
				const awardId = `award-${tender.tenderId}-${slot}`;
				const dice = random();
				if (dice < 0.2) host.tender(tender);
				else if (dice < 0.5) host.award(awardOf(tender, SELF, { awardId, slot }));
				else if (dice < 0.6) host.step({ type: 'cancel', awardId, requester: tender.requester, reason: 'x' });
				else if (dice < 0.7) host.step({ type: 'deploy-failed', awardId, reason: 'x' });
				else if (dice < 0.8) host.step({ type: 'close', tenderId: tender.tenderId, requester: tender.requester });
				else host.passMs(Math.floor(random() * 400));
				expect(host.ledger.free().memoryBytes, `seed ${seed}`).to.be.at.least(0);
			}
			host.passMs(300_000);
			expect(host.ledger.free(), `seed ${seed}`).to.deep.equal(host.ledger.allocatable());
			expect(host.core.nextDeadlineMs(), `seed ${seed}`).to.equal(undefined);
			expect(host.all('deploy').length, `seed ${seed}`).to.equal(host.all('outcome').length);
		}
	});
});
