import { expect } from 'chai';
import { describe, it } from 'mocha';
import { entropyOf, GI, ledgerOf, machine, tenderOf } from '../test/fixtures.ts';
import { scoreOf, tieBreak } from './score.ts';
import { claimOf, type HostView } from './types.ts';

function hostWith(overrides: Partial<HostView> = {}): HostView {
	return { machineId: machine(1), labels: {}, leaving: false, ledger: ledgerOf(), reliability: 1, ...overrides };
}

describe('score of a host for a tender', () => {
	it('is deterministic and never leaves [0, 1]', () => {
		const { random } = entropyOf(7);
		for (let i = 0; i < 2_000; i++) {
			const ledger = ledgerOf({ cpuMillis: Math.floor(random() * 8000), memoryBytes: Math.floor(random() * 64 * GI) });
			const tender = tenderOf({ memoryGi: Math.floor(random() * 90) });
			ledger.adopt('pod/x', claimOf(tenderOf({ memoryGi: Math.floor(random() * 90) })));
			const host = hostWith({ ledger, reliability: random() });
			const { total } = scoreOf(tender, host);
			expect(total).to.be.within(0, 1);
			expect(scoreOf(tender, host).total).to.equal(total);
		}
	});

	it('falls with each replica of the workload on the host, told or seen', () => {
		const told = (replicas: number) =>
			scoreOf(tenderOf({ avoid: { hard: [], soft: [{ machineId: machine(1), replicas }] } }), hostWith()).total;
		expect(told(0)).to.be.greaterThan(told(1));
		expect(told(1)).to.be.greaterThan(told(2));
		const ledger = ledgerOf();
		ledger.adopt('pod/a', { ...claimOf(tenderOf()), resources: { cpuMillis: 0, memoryBytes: 0, diskBytes: 0 } });
		expect(scoreOf(tenderOf(), hostWith({ ledger })).total).to.be.closeTo(told(1), 1e-9);
	});

	it('prefers the fuller of two hosts, the balanced of two, and the more reliable of two', () => {
		const other = { ...tenderOf({ memoryGi: 2 }), wid: 'workload-2' as never };
		const fuller = ledgerOf();
		fuller.adopt('pod/a', { ...claimOf(other), resources: { cpuMillis: 1000, memoryBytes: 2 * GI, diskBytes: 0 } });
		const crooked = ledgerOf();
		crooked.adopt('pod/a', { ...claimOf(other), resources: { cpuMillis: 2000, memoryBytes: 0, diskBytes: 0 } });
		const score = (ledger = ledgerOf(), reliability = 1) =>
			scoreOf(tenderOf(), hostWith({ ledger, reliability })).total;
		expect(score(fuller)).to.be.greaterThan(score());
		expect(score(fuller)).to.be.greaterThan(score(crooked));
		expect(score(ledgerOf(), 1)).to.be.greaterThan(score(ledgerOf(), 0.5));
	});

	it('breaks ties by tender and machine, evenly', () => {
		expect(tieBreak('a', machine(1))).to.equal(tieBreak('a', machine(1)));
		const wins = new Map<number, number>();
		for (let i = 0; i < 3_000; i++) {
			const best = [0, 1, 2].sort(
				(a, b) => tieBreak(`tender-${i}`, machine(a)) - tieBreak(`tender-${i}`, machine(b)),
			)[0] as number;
			wins.set(best, (wins.get(best) ?? 0) + 1);
		}
		for (const count of wins.values()) expect(count).to.be.within(700, 1_300);
	});
});
