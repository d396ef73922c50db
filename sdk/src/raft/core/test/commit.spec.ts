import { expect } from 'chai';
import { describe, it } from 'mocha';
import { jointIndex, jointVote, majorityIndex, majorityVote } from '../quorum.ts';
import { acknowledgement, Cluster, HEARTBEAT_MS } from './cluster.ts';

describe('commit rule (Raft §5.4.2)', () => {
	it('commits what a majority holds', () => {
		const cluster = new Cluster([1, 2, 3, 4, 5]);
		cluster.elect(1);
		const { commitIndex } = cluster.node(1).status();
		cluster.isolate(1, 2);
		cluster.propose(1, 'x');
		cluster.settle();
		expect(cluster.node(1).status().commitIndex).to.equal(commitIndex);
		cluster.isolate(4, 5);
		cluster.run(2 * HEARTBEAT_MS);
		expect(cluster.node(1).status().commitIndex).to.equal(commitIndex + 1);
	});

	it('classic mistake: counting replicas of an older term (figure 8)', () => {
		// (c): one leads term 4, its entry of term 2 sits on a majority, its own no-op does not.
		const cluster = Cluster.withLogs({ 1: [2], 2: [2], 3: [], 4: [], 5: [3] });
		for (const id of [1, 2, 3, 4]) {
			cluster.deliver({ type: 'vote', from: 9, to: id, term: 3, lastIndex: 0, lastTerm: 0, transfer: false });
		}
		cluster.queue = [];
		cluster.isolate(4, 5);
		// Lose the no-op (index 7): members take the older entry only.
		const { isLost } = cluster;
		cluster.isLost = (m) => isLost(m) || (m.type === 'append' && m.entries.some(({ index }) => index > 6));
		cluster.elect(1);
		cluster.deliver({
			type: 'append',
			from: 1,
			to: 3,
			term: 4,
			prevIndex: 5,
			prevTerm: 1,
			entries: [{ term: 2, index: 6, type: 'normal', data: new Uint8Array(0) }],
			commit: 5,
		});
		cluster.settle();
		expect(cluster.terms(3, 5)).to.deep.equal([2]);
		// The leader knows it of both: the entry of term 2 is on three of five.
		for (const from of [2, 3]) cluster.deliver(acknowledgement(from, 4, 6));
		expect(cluster.node(1).status()).to.include({ role: 'leader', term: 4, commitIndex: 5 });
		// (e): once an entry of its own term is on a majority, both are committed.
		cluster.isLost = isLost;
		cluster.run(3 * HEARTBEAT_MS);
		expect(cluster.node(1).status().commitIndex).to.equal(7);
	});

	it('a heartbeat never commits beyond what its follower holds', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.isLost = (m) => m.to === 3 && m.type === 'append';
		cluster.propose(1, 'x');
		cluster.settle();
		cluster.run(3 * HEARTBEAT_MS);
		const { commitIndex, lastIndex } = cluster.node(3).status();
		expect(commitIndex).to.be.at.most(lastIndex);
		expect(cluster.node(1).status().commitIndex).to.be.above(commitIndex);
	});

	it('refuses a commit index beyond its log', () => {
		const { node } = new Cluster([1, 2, 3]).member(2);
		const message = { type: 'heartbeat', from: 1, to: 2, term: 2, commit: 99, readSequence: 0 } as const;
		expect(() => node.step({ type: 'message', message }, 0)).to.throw(/log ends at 3/);
	});
});

describe('majorities (Raft §5.2, thesis §4.3)', () => {
	const set = (...ids: number[]) => new Set(ids);
	const from = (table: Record<number, number>) => (id: number) => table[id];

	it('is the highest index that more than half hold', () => {
		expect(majorityIndex(set(1, 2, 3), from({ 1: 5, 2: 7, 3: 6 }))).to.equal(6);
		expect(majorityIndex(set(1, 2, 3, 4), from({ 1: 5, 2: 7, 3: 6, 4: 8 }))).to.equal(6);
		expect(majorityIndex(set(1), from({ 1: 4 }))).to.equal(4);
		expect(majorityIndex(set(1, 2, 3), from({ 1: 9 }))).to.equal(0);
	});

	it('needs both halves of a joint configuration', () => {
		const voters = { incoming: set(1, 2, 3), outgoing: set(3, 4, 5) };
		expect(jointIndex(voters, from({ 1: 9, 2: 9, 3: 9, 4: 1, 5: 2 }))).to.equal(2);
		const votes = (yes: number[], no: number[]) => (id: number) =>
			yes.includes(id) ? true : no.includes(id) ? false : undefined;
		expect(jointVote(voters, votes([1, 2], []))).to.equal('pending');
		expect(jointVote(voters, votes([1, 2, 4, 5], []))).to.equal('won');
		expect(jointVote(voters, votes([1, 2, 3], [4, 5]))).to.equal('lost');
	});

	it('agrees with everything when nobody votes', () => {
		expect(majorityIndex(set(), from({}))).to.equal(Number.POSITIVE_INFINITY);
		expect(majorityVote(set(), () => undefined)).to.equal('won');
	});

	it('is lost as soon as a majority is out of reach', () => {
		expect(majorityVote(set(1, 2, 3, 4), (id) => (id <= 2 ? false : undefined))).to.equal('lost');
		expect(majorityVote(set(1, 2, 3), (id) => (id === 1 ? false : undefined))).to.equal('pending');
	});
});
