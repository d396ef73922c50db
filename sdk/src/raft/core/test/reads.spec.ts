import { expect } from 'chai';
import { describe, it } from 'mocha';
import { Cluster, ELECTION_MS, HEARTBEAT_MS } from './cluster.ts';

describe('linearizable reads by ReadIndex (thesis §6.4)', () => {
	it('answers on the leader after one round of heartbeats, without a log entry', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.step(1, { type: 'read-index', id: 7 });
		expect(cluster.member(1).reads).to.deep.equal([]);
		cluster.settle();
		expect(cluster.member(1).reads).to.deep.equal([{ id: 7, outcome: 'ready', index: 4 }]);
		expect(cluster.node(1).status().lastIndex).to.equal(4);
	});

	it('confirms many reads with one round', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		const { node } = cluster.member(1);
		for (let id = 1; id <= 100; id++) node.absorb({ type: 'read-index', id }, 0);
		expect(node.drain().messages).to.have.length(2);
	});

	it('answers a follower with the index of the leader', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.propose(1, 'x');
		cluster.settle();
		cluster.step(3, { type: 'read-index', id: 1 });
		cluster.settle();
		expect(cluster.member(3).reads).to.deep.equal([{ id: 1, outcome: 'ready', index: 5 }]);
	});

	it('asks again when the question or the answer got lost', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.isLost = ({ type }) => type === 'read-index' || type === 'read-index-response';
		cluster.step(3, { type: 'read-index', id: 1 });
		cluster.settle();
		cluster.heal();
		cluster.run(3 * HEARTBEAT_MS);
		expect(cluster.member(3).reads).to.deep.equal([{ id: 1, outcome: 'ready', index: 4 }]);
	});

	it('classic mistake: a stale read index from a deposed leader', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.isolate(1);
		cluster.step(1, { type: 'read-index', id: 1 });
		cluster.step(2, { type: 'forget-leader' });
		cluster.step(3, { type: 'forget-leader' });
		cluster.elect(2);
		cluster.propose(2, 'newer');
		cluster.settle();
		expect(cluster.member(1).reads).to.deep.equal([]);
		cluster.heal();
		cluster.run(3 * ELECTION_MS);
		expect(cluster.member(1).reads).to.deep.equal([{ id: 1, outcome: 'refused', leader: 0 }]);
	});

	it('classic mistake: a read index before the leader committed its no-op', () => {
		const cluster = Cluster.withLogs({ 1: [2], 2: [2], 3: [2] });
		cluster.isLost = ({ type }) => type === 'append';
		cluster.elect(1);
		cluster.step(1, { type: 'read-index', id: 1 });
		cluster.run(3 * HEARTBEAT_MS);
		expect(cluster.node(1).status()).to.include({ role: 'leader', commitIndex: 3 });
		expect(cluster.member(1).reads).to.deep.equal([]);
		cluster.heal();
		cluster.run(3 * HEARTBEAT_MS);
		expect(cluster.member(1).reads).to.deep.equal([{ id: 1, outcome: 'ready', index: 5 }]);
	});

	it('a sole voter knows what is committed only after its no-op, too', () => {
		const cluster = new Cluster([1]);
		cluster.member(1).holdsDisk = true;
		cluster.step(1, { type: 'campaign' });
		cluster.step(1, { type: 'read-index', id: 1 });
		cluster.releaseDisk(1);
		cluster.step(1, { type: 'read-index', id: 2 });
		expect(cluster.member(1).reads).to.deep.equal([
			{ id: 1, outcome: 'refused', leader: 0 },
			{ id: 2, outcome: 'ready', index: 2 },
		]);
	});

	it('an answer meant for an earlier life of the follower is not taken', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.step(3, { type: 'read-index', id: 1 });
		const held: typeof cluster.queue = [];
		cluster.isLost = (message) => message.type === 'read-index-response' && held.push(message) > 0;
		cluster.settle();
		cluster.restart(3);
		cluster.run(2 * HEARTBEAT_MS);
		cluster.step(3, { type: 'read-index', id: 1 });
		cluster.heal();
		cluster.queue = [];
		for (const message of held) cluster.deliver(message);
		expect(held).to.have.length(1);
		expect(cluster.member(3).reads).to.deep.equal([]);
	});

	it('does not answer without a quorum', () => {
		const cluster = new Cluster([1, 2, 3, 4, 5]);
		cluster.elect(1);
		cluster.isolate(1, 2);
		cluster.step(1, { type: 'read-index', id: 1 });
		cluster.settle();
		expect(cluster.member(1).reads).to.deep.equal([]);
	});

	it('refuses where no leader is known', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.step(2, { type: 'read-index', id: 9 });
		expect(cluster.member(2).reads).to.deep.equal([{ id: 9, outcome: 'refused', leader: 0 }]);
	});

	it('needs both majorities in a joint state', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		for (const id of [4, 5]) cluster.add(id);
		cluster.step(1, {
			type: 'propose-conf-change',
			id: 1,
			change: {
				transition: 'joint-explicit',
				changes: [
					{ type: 'add-voter', id: 4 },
					{ type: 'add-voter', id: 5 },
					{ type: 'remove', id: 2 },
					{ type: 'remove', id: 3 },
				],
				context: new Uint8Array(0),
			},
		});
		cluster.settle();
		cluster.run(3 * HEARTBEAT_MS);
		expect(cluster.node(1).status().confState).to.deep.include({ voters: [1, 4, 5], votersOutgoing: [1, 2, 3] });
		cluster.isolate(2, 3);
		cluster.step(1, { type: 'read-index', id: 1 });
		cluster.settle();
		expect(cluster.member(1).reads).to.deep.equal([]);
	});
});
