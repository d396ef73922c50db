import { expect } from 'chai';
import { describe, it } from 'mocha';
import { GI, ledgerOf, machine, tenderOf } from '../test/fixtures.ts';
import { binary, evaluate } from './evaluate.ts';
import { claimOf, type HostView, podKey } from './types.ts';

function hostWith(overrides: Partial<HostView> = {}): HostView {
	return { machineId: machine(1), labels: {}, leaving: false, ledger: ledgerOf(), reliability: 1, ...overrides };
}

function reasonOf(...input: Parameters<typeof evaluate>): string {
	const evaluation = evaluate(...input);
	return evaluation.offer ? `offers ${evaluation.slots}` : evaluation.reason;
}

describe('evaluation of a tender by a host', () => {
	it('offers as many replicas as fit, and no more than are wanted', () => {
		expect(evaluate(tenderOf({ slotCount: 3, memoryGi: 1 }), hostWith())).to.deep.equal({ offer: true, slots: 3 });
		expect(evaluate(tenderOf({ slotCount: 9, memoryGi: 3 }), hostWith())).to.deep.equal({ offer: true, slots: 2 });
	});

	it('names the resource that is short, with what is needed and what is free', () => {
		expect(reasonOf(tenderOf({ memoryGi: 900 }), hostWith())).to.equal('memory: needs 900Gi, 8Gi free');
		expect(reasonOf(tenderOf(), hostWith({ ledger: ledgerOf({ cpuMillis: 250 }) }))).to.equal(
			'cpu: needs 500m, 250m free',
		);
		const disk = tenderOf();
		const wants = {
			...disk,
			requirements: { ...disk.requirements, resources: { cpuMillis: 0, memoryBytes: 0, diskBytes: 200 * GI } },
		};
		expect(reasonOf(wants, hostWith())).to.equal('disk: needs 200Gi, 100Gi free');
	});

	it('counts what is only reserved as used', () => {
		const ledger = ledgerOf();
		ledger.reserve('bid/other', claimOf(tenderOf({ memoryGi: 8 })));
		expect(reasonOf(tenderOf(), hostWith({ ledger }))).to.equal('memory: needs 1Gi, 0 free');
	});

	it('requires each label of the nodeSelector, and is not fooled by inherited names', () => {
		const tender = tenderOf();
		const select = (nodeSelector: Record<string, string>) => ({
			...tender,
			requirements: { ...tender.requirements, nodeSelector },
		});
		expect(reasonOf(select({ zone: 'eu' }), hostWith({ labels: { zone: 'eu' } }))).to.equal('offers 1');
		expect(reasonOf(select({ zone: 'eu' }), hostWith({ labels: { zone: 'us' } }))).to.equal(
			'nodeSelector: needs zone=eu, the host has us',
		);
		expect(reasonOf(select({ constructor: 'x' }), hostWith())).to.equal(
			'nodeSelector: needs constructor=x, the host is certified for no such label',
		);
	});

	it('offers one replica where a host port is wanted, and none where it is taken', () => {
		const base = tenderOf({ slotCount: 3 });
		const tender = {
			...base,
			requirements: { ...base.requirements, hostPorts: [{ port: 80, protocol: 'TCP' as const }] },
		};
		const ledger = ledgerOf();
		expect(evaluate(tender, hostWith({ ledger }))).to.deep.equal({ offer: true, slots: 1 });
		ledger.reserve('pod/x', claimOf(tender));
		expect(reasonOf(tender, hostWith({ ledger }))).to.equal('hostPort: needs 80/TCP, it is taken');
	});

	it('makes no offer when it is excluded or leaving', () => {
		expect(reasonOf(tenderOf({ avoid: { hard: [machine(1)], soft: [] } }), hostWith())).to.match(/^avoid:/);
		expect(reasonOf(tenderOf(), hostWith({ leaving: true }))).to.match(/^leaving:/);
	});

	it('does not offer a slot that it has already', () => {
		const ledger = ledgerOf();
		const tender = tenderOf({ slotCount: 2 });
		ledger.reserve(podKey(tender.wid, 0, 1), claimOf(tender));
		expect(evaluate(tender, hostWith({ ledger }))).to.deep.equal({ offer: true, slots: 1 });
		expect(reasonOf({ ...tender, slots: [{ slot: 0, gen: 1 }] }, hostWith({ ledger }))).to.equal(
			'lease: slot 0 generation 1 is on this host already',
		);
	});

	it('writes sizes as Kubernetes does, and never more than there is', () => {
		expect([900 * GI, 1.99 * GI, 2 ** 20, 1500, 12].map(binary)).to.deep.equal([
			'900Gi',
			'1.9Gi',
			'1Mi',
			'1.4Ki',
			'12',
		]);
	});
});
