import { expect } from 'chai';
import { describe, it } from 'mocha';
import { type AppendMessage, createRaftNode, type Message } from '../index.ts';
import { append, bootstrap, bytes, Cluster, ELECTION_MS, emptyDisk, entry, HEARTBEAT_MS } from './cluster.ts';

function appends(queue: readonly Message[], to: number): AppendMessage[] {
	return queue.filter((message) => message.type === 'append' && message.to === to) as AppendMessage[];
}

describe('log replication (Raft §5.3)', () => {
	it('applies proposals in one order everywhere', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(2);
		for (const text of ['a', 'b', 'c']) cluster.propose(2, text);
		cluster.settle();
		cluster.run(2 * HEARTBEAT_MS);
		for (const id of [1, 2, 3]) expect(cluster.member(id).applied).to.deep.equal(['a', 'b', 'c']);
	});

	it('says where an accepted proposal stands', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.step(1, { type: 'propose', id: 8, payloads: [bytes('x'), bytes('y')] });
		expect(cluster.member(1).proposals).to.deep.equal([{ id: 8, outcome: 'accepted', term: 2, index: 5, count: 2 }]);
	});

	it('refuses proposals where nobody leads, and names the leader where another does', () => {
		const cluster = new Cluster([1, 2, 3]);
		expect(cluster.propose(1, 'x')).to.deep.equal({ id: 0, outcome: 'refused', reason: 'not-leader', leader: 0 });
		cluster.elect(1);
		expect(cluster.propose(2, 'x')).to.deep.equal({ id: 0, outcome: 'refused', reason: 'not-leader', leader: 1 });
	});

	it('takes one batch of effects for many proposals', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		const { node } = cluster.member(1);
		for (let id = 0; id < 10; id++) node.absorb({ type: 'propose', id, payloads: [bytes('x')] }, 0);
		const effects = node.drain();
		expect(effects.persist?.entries).to.have.length(10);
		expect(effects.proposals).to.have.length(10);
	});

	it('accepts entries only after the one that precedes them', () => {
		const cluster = Cluster.withLogs({ 1: [], 2: [2], 3: [] });
		cluster.deliver(append(2, 5, [9, 4], [entry(5, 10)], 0));
		expect(cluster.queue).to.deep.equal([
			{ type: 'append-response', from: 2, to: 1, term: 5, index: 9, reject: true, hintIndex: 4, hintTerm: 2 },
		]);
	});

	it('replaces what conflicts with the leader (figure 7)', () => {
		// (f) in the figure: many entries of terms that never committed.
		const cluster = Cluster.withLogs({ 1: [4, 4, 5], 2: [2, 2, 2, 3, 3, 3], 3: [4, 4, 5] });
		cluster.elect(1);
		expect(cluster.terms(2, 3)).to.deep.equal(cluster.terms(1, 3));
	});

	it('backtracks at most once per term', () => {
		const cluster = Cluster.withLogs({
			1: [3, 3, 3, 3, 3, 3, 3, 7],
			2: [3, 3, 4, 4, 5, 5, 5, 6],
			3: [3, 3, 3, 3, 3, 3, 3, 7],
		});
		cluster.elect(1);
		cluster.run(ELECTION_MS);
		expect(cluster.terms(2, 3)).to.deep.equal(cluster.terms(1, 3));
		const rejections = cluster.delivered.filter((m) => m.type === 'append-response' && m.from === 2 && m.reject);
		expect(rejections.length).to.be.at.most(3);
	});

	it('brings a member with an empty disk up to date', () => {
		const cluster = new Cluster([1, 2, 3], { messageBytesMax: 40 });
		cluster.elect(1);
		for (let i = 0; i < 30; i++) cluster.propose(1, `v${i}`);
		cluster.settle();
		cluster.step(1, {
			type: 'propose-conf-change',
			id: 1,
			change: { transition: 'auto', changes: [{ type: 'add-learner', id: 4 }], context: bytes('') },
		});
		cluster.settle();
		cluster.add(4, emptyDisk());
		cluster.run(3 * HEARTBEAT_MS);
		expect(cluster.member(4).applied).to.deep.equal(cluster.member(1).applied);
		expect(cluster.node(4).status().confState).to.deep.include({ voters: [1, 2, 3], learners: [4] });
	});

	it('classic mistake: truncating committed entries on a late append', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.deliver(append(2, 2, [3, 1], [entry(2, 4, 'a'), entry(2, 5, 'b'), entry(2, 6, 'c')], 6));
		// A copy of an earlier message, shorter than what has been accepted since.
		cluster.deliver(append(2, 2, [3, 1], [entry(2, 4, 'a')], 4));
		expect(cluster.terms(2, 3)).to.deep.equal([2, 2, 2]);
		expect(cluster.node(2).status()).to.include({ commitIndex: 6, lastIndex: 6 });
	});

	it('classic mistake: duplicated and reordered appends change nothing', () => {
		const cluster = new Cluster([1, 2, 3]);
		const first = append(2, 2, [3, 1], [entry(2, 4, 'a'), entry(2, 5, 'b')], 3);
		const second = append(2, 2, [5, 2], [entry(2, 6, 'c'), entry(2, 7, 'd')], 3);
		for (const message of [second, first, second, first, first, second]) cluster.deliver(message);
		expect(cluster.terms(2, 3)).to.deep.equal([2, 2, 2, 2]);
		expect(cluster.node(2).status().lastIndex).to.equal(7);
	});

	it('does not commit entries that the message did not prove', () => {
		// Two has a tail of its own; the leader's commit index covers those indices, its message does not.
		const cluster = Cluster.withLogs({ 1: [], 2: [2, 2, 2], 3: [] });
		cluster.deliver(append(2, 5, [3, 1], [], 6));
		expect(cluster.node(2).status().commitIndex).to.equal(3);
	});
});

describe('flow control', () => {
	function leaderWithSilentFollower(options: ConstructorParameters<typeof Cluster>[1]): Cluster {
		const cluster = new Cluster([1, 2, 3], options);
		cluster.elect(1);
		cluster.isLost = ({ from }) => from === 2;
		return cluster;
	}

	it('pipelines up to the window and no further', () => {
		const cluster = leaderWithSilentFollower({ inflightMessagesMax: 4 });
		for (let i = 0; i < 10; i++) cluster.propose(1, `v${i}`);
		const sent = appends(cluster.queue, 2).filter(({ entries }) => entries.length > 0);
		expect(sent).to.have.length(4);
		const progress = cluster
			.node(1)
			.status()
			.progress.find(({ id }) => id === 2);
		expect(progress).to.include({ state: 'replicate', isPaused: true, isInflightFull: true });
	});

	it('limits the bytes under way', () => {
		const cluster = leaderWithSilentFollower({ messageBytesMax: 100, inflightBytesMax: 100 });
		for (let i = 0; i < 10; i++) cluster.propose(1, 'x'.repeat(60));
		expect(appends(cluster.queue, 2).filter(({ entries }) => entries.length > 0)).to.have.length(2);
	});

	it('probes one message at a time', () => {
		const cluster = leaderWithSilentFollower({});
		cluster.step(1, { type: 'unreachable', id: 2 });
		for (let i = 0; i < 5; i++) cluster.propose(1, `v${i}`);
		expect(appends(cluster.queue, 2)).to.have.length(1);
	});

	it('recovers a follower whose messages were all lost', () => {
		const cluster = leaderWithSilentFollower({ inflightMessagesMax: 2 });
		for (let i = 0; i < 10; i++) cluster.propose(1, `v${i}`);
		cluster.isLost = ({ to }) => to === 2;
		cluster.settle();
		cluster.heal();
		cluster.run(4 * HEARTBEAT_MS);
		expect(cluster.member(2).applied).to.deep.equal(cluster.member(1).applied);
	});

	it('splits what is more than a message may carry', () => {
		const cluster = new Cluster([1, 2, 3], { messageBytesMax: 64 });
		cluster.elect(1);
		cluster.isolate(3);
		for (let i = 0; i < 20; i++) cluster.propose(1, `value ${i}`);
		cluster.settle();
		cluster.heal();
		cluster.run(4 * HEARTBEAT_MS);
		expect(cluster.member(3).applied).to.have.length(20);
		for (const message of cluster.delivered) {
			if (message.type !== 'append' || message.entries.length < 2) continue;
			const size = message.entries.reduce((sum, { data }) => sum + data.byteLength + 16, 0);
			expect(size).to.be.at.most(64);
		}
	});

	it('refuses proposals beyond the uncommitted bytes, and takes them again after a commit', () => {
		const cluster = leaderWithSilentFollower({ uncommittedBytesMax: 100 });
		cluster.isLost = ({ from, to }) => from !== 1 || to !== 1;
		for (let i = 0; i < 2; i++) expect(cluster.propose(1, 'x'.repeat(50)).outcome).to.equal('accepted');
		expect(cluster.propose(1, 'x')).to.include({ outcome: 'refused', reason: 'quota' });
		cluster.heal();
		cluster.run(3 * HEARTBEAT_MS);
		expect(cluster.propose(1, 'x').outcome).to.equal('accepted');
	});

	it('takes a proposal of any size when nothing is uncommitted', () => {
		const cluster = new Cluster([1, 2, 3], { uncommittedBytesMax: 10 });
		cluster.elect(1);
		expect(cluster.propose(1, 'x'.repeat(1000)).outcome).to.equal('accepted');
	});

	it('hands out no more to apply than the limit until it is applied', () => {
		const disk = bootstrap([1]);
		for (let i = 0; i < 10; i++) disk.entries.push(entry(1, 2 + i, 'x'.repeat(20)));
		const hardState = { term: 1, vote: 0, commit: 11 };
		const limits = { applyingBytesMax: 120, entryBytes: () => 40 };
		const node = createRaftNode({ id: 1, random: () => 0, nowMs: 0, hardState, entries: disk.entries, ...limits });
		expect(node.drain().apply.map(({ index }) => index)).to.deep.equal([1, 2, 3]);
		expect(node.drain().apply).to.deep.equal([]);
		expect(node.step({ type: 'applied', index: 3 }, 0).apply.map(({ index }) => index)).to.deep.equal([4, 5, 6]);
	});
});
