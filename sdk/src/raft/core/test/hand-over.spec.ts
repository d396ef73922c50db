import { expect } from 'chai';
import { describe, it } from 'mocha';
import { Cluster, ELECTION_MS, HEARTBEAT_MS } from './cluster.ts';

describe('leadership hand-over (thesis §3.10)', () => {
	it('makes the chosen member leader without waiting for a timeout', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.step(1, { type: 'transfer-leader', to: 3 });
		cluster.settle();
		expect(cluster.leaders).to.deep.equal([3]);
		expect(cluster.nowMs).to.equal(0);
	});

	it('brings a lagging member up to date first', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.isolate(3);
		for (const text of ['a', 'b']) cluster.propose(1, text);
		cluster.settle();
		cluster.heal();
		cluster.step(1, { type: 'transfer-leader', to: 3 });
		cluster.run(3 * HEARTBEAT_MS);
		expect(cluster.leaders).to.deep.equal([3]);
		expect(cluster.member(3).applied).to.deep.equal(['a', 'b']);
	});

	it('chooses the most caught-up member when none is named', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.isolate(2);
		cluster.propose(1, 'x');
		cluster.settle();
		cluster.heal();
		cluster.step(1, { type: 'transfer-leader', to: 0 });
		cluster.settle();
		expect(cluster.leaders).to.deep.equal([3]);
	});

	it('a follower passes the wish on to its leader', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.step(2, { type: 'transfer-leader', to: 2 });
		cluster.settle();
		expect(cluster.leaders).to.deep.equal([2]);
	});

	it('takes no proposals while it is under way', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.isolate(3);
		cluster.step(1, { type: 'transfer-leader', to: 3 });
		expect(cluster.propose(1, 'x')).to.include({ outcome: 'refused', reason: 'transferring' });
	});

	it('classic mistake: a hand-over that leaves no leader', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.isolate(3);
		cluster.step(1, { type: 'transfer-leader', to: 3 });
		cluster.run(2 * ELECTION_MS);
		expect(cluster.leaders).to.deep.equal([1]);
		expect(cluster.propose(1, 'x').outcome).to.equal('accepted');
		expect(cluster.node(1).status().transferee).to.equal(0);
	});

	it('is never given to a learner, to a stranger, or to itself', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.add(4);
		cluster.step(1, {
			type: 'propose-conf-change',
			id: 1,
			change: { transition: 'auto', changes: [{ type: 'add-learner', id: 4 }], context: new Uint8Array(0) },
		});
		cluster.run(2 * HEARTBEAT_MS);
		for (const to of [4, 9, 1]) {
			cluster.step(1, { type: 'transfer-leader', to });
			expect(cluster.node(1).status().transferee).to.equal(0);
		}
	});

	it('another wish replaces the one under way', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.isolate(3);
		cluster.step(1, { type: 'transfer-leader', to: 3 });
		cluster.step(1, { type: 'transfer-leader', to: 2 });
		cluster.settle();
		expect(cluster.leaders).to.deep.equal([2]);
	});

	it('is given up when the chosen member is removed', () => {
		const cluster = new Cluster([1, 2, 3, 4]);
		cluster.elect(1);
		cluster.isLost = ({ type, to }) => to === 4 && type !== 'append';
		cluster.step(1, {
			type: 'propose-conf-change',
			id: 1,
			change: { transition: 'auto', changes: [{ type: 'remove', id: 4 }], context: new Uint8Array(0) },
		});
		cluster.step(1, { type: 'transfer-leader', to: 4 });
		cluster.settle();
		expect(cluster.node(1).status()).to.include({ role: 'leader', transferee: 0 });
	});
});
