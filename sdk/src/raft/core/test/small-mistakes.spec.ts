/** Rules that a hurried change breaks without anybody noticing for months: each has been broken on purpose, unnoticed. */
import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { ConfChange, Message, SnapshotMeta, VoteResponse } from '../index.ts';
import { acknowledgement, append, Cluster, ELECTION_MS, entry, NO_CONTEXT } from './cluster.ts';

function answer(from: number, term: number, reject: boolean): VoteResponse {
	return { type: 'vote-response', from, to: 1, term, reject, commit: 0, commitTerm: 0 };
}

describe('votes (Raft §5.2)', () => {
	it('are refused where somebody is known to lead the term', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.deliver(append(2, 5, [3, 1], []));
		cluster.queue = [];
		cluster.deliver({ type: 'vote', from: 3, to: 2, term: 5, lastIndex: 9, lastTerm: 4, transfer: false });
		expect(cluster.queue).to.deep.include({ ...answer(2, 5, true), to: 3, commit: 3, commitTerm: 1 });
	});

	it('stand as they were first given', () => {
		const cluster = new Cluster([1, 2, 3, 4, 5], { preVote: false });
		cluster.step(1, { type: 'campaign' });
		const { term } = cluster.node(1).status();
		for (const [from, reject] of [
			[2, true],
			[2, false],
			[3, false],
		] as const)
			cluster.deliver(answer(from, term, reject));
		expect(cluster.node(1).status().role).to.equal('candidate');
		cluster.deliver(answer(4, term, false));
		expect(cluster.node(1).status().role).to.equal('leader');
	});
});

describe('elections (Raft §5.2)', () => {
	it('do not begin before the timeout that was drawn', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.nowMs = (cluster.node(2).nextDeadlineMs() ?? 0) - 1;
		cluster.step(2, { type: 'tick' });
		expect(cluster.node(2).status().role).to.equal('follower');
		cluster.nowMs += 1;
		cluster.step(2, { type: 'tick' });
		expect(cluster.node(2).status().role).to.equal('pre-candidate');
	});

	it('are told of to a leader of an older term, whose followers ignore campaigns (thesis §9.6)', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.deliver(append(2, 5, [3, 1], []));
		cluster.queue = [];
		cluster.deliver({ type: 'heartbeat', from: 3, to: 2, term: 4, commit: 0, readSequence: 0 });
		expect(cluster.queue).to.deep.equal([{ ...acknowledgement(2, 5, 0), to: 3 }]);
	});
});

describe('hand-over (thesis §3.10)', () => {
	it('waits until the chosen member has everything', () => {
		const cluster = new Cluster([1, 2, 3], { messageBytesMax: 1, inflightMessagesMax: 1 });
		cluster.elect(1);
		cluster.isolate(3);
		for (const text of ['a', 'b', 'c']) cluster.propose(1, text);
		cluster.settle();
		cluster.heal();
		const { term, lastIndex } = cluster.node(1).status();
		cluster.step(1, { type: 'transfer-leader', to: 3 });
		cluster.queue = [];
		cluster.deliver(acknowledgement(3, term, lastIndex - 1));
		expect(cluster.queue.some(({ type }) => type === 'timeout-now')).to.equal(false);
		cluster.deliver(acknowledgement(3, term, lastIndex));
		expect(cluster.queue.some(({ type, to }) => type === 'timeout-now' && to === 3)).to.equal(true);
	});
});

describe('changes of members (thesis §4)', () => {
	it('take a newcomer for alive until it had time to answer', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		change(cluster, [{ type: 'add-learner', id: 4 }]);
		const newcomer = cluster
			.node(1)
			.status()
			.progress.find(({ id }) => id === 4);
		expect(newcomer?.isRecentlyActive).to.equal(true);
	});

	it('leave a leader that they removed without a say', () => {
		const cluster = new Cluster([1, 2, 3], { stepDownOnRemoval: false });
		cluster.elect(1);
		change(cluster, [{ type: 'remove', id: 1 }]);
		expect(cluster.propose(1, 'x')).to.include({ outcome: 'refused', reason: 'removed' });
	});

	function change(cluster: Cluster, changes: ConfChange['changes']): void {
		cluster.step(1, {
			type: 'propose-conf-change',
			id: 1,
			change: { transition: 'auto', changes, context: NO_CONTEXT },
		});
		cluster.settle();
	}
});

describe('acknowledgements (Raft §5.3)', () => {
	it('of what comes before the committed end there, whatever it is', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.deliver(append(2, 5, [1, 1], [entry(1, 2)]));
		expect(cluster.queue).to.deep.equal([acknowledgement(2, 5, 3)]);
	});

	it('cover what is known to match, not what stands behind it', () => {
		const cluster = Cluster.withLogs({ 1: [], 2: [2, 2], 3: [] });
		cluster.deliver(append(2, 5, [3, 1], []));
		expect(cluster.queue).to.deep.include({ ...acknowledgement(2, 5, 3) });
	});

	it('are not undone by rejections that come late', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		const { term, lastIndex } = cluster.node(1).status();
		const late = { ...acknowledgement(2, term, lastIndex), reject: true, hintIndex: 0, hintTerm: 0 };
		const progress = () =>
			cluster
				.node(1)
				.status()
				.progress.find(({ id }) => id === 2);
		cluster.deliver(late);
		expect(progress()).to.include({ state: 'replicate', matchIndex: lastIndex, nextIndex: lastIndex + 1 });
		cluster.step(1, { type: 'unreachable', id: 2 });
		cluster.deliver(late);
		expect(progress()).to.include({ state: 'probe', matchIndex: lastIndex, nextIndex: lastIndex + 1 });
	});

	it('never take back what a member was known to hold', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.propose(1, 'x');
		cluster.settle();
		const { term, lastIndex } = cluster.node(1).status();
		cluster.deliver(acknowledgement(2, term, lastIndex - 1));
		const progress = cluster
			.node(1)
			.status()
			.progress.find(({ id }) => id === 2);
		expect(progress?.matchIndex).to.equal(lastIndex);
	});
});

describe('snapshots that come late (Raft §7)', () => {
	it('change nothing, and are answered with what is committed', () => {
		const cluster = Cluster.withLogs({ 1: [], 2: [2, 2], 3: [] });
		const confState = { voters: [1, 2, 3], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
		const snapshot: SnapshotMeta = { index: 2, term: 9, confState };
		cluster.deliver({ type: 'snapshot', from: 1, to: 2, term: 9, snapshot });
		expect(cluster.queue).to.deep.include({ ...acknowledgement(2, 9, 3) });
		expect(cluster.node(2).status()).to.include({ lastIndex: 5, commitIndex: 3, firstIndex: 1 });
	});

	it('are not sent to a member that has been silent', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.isolate(3);
		for (const text of ['a', 'b', 'c']) cluster.propose(1, text);
		cluster.run(2.5 * ELECTION_MS);
		const { appliedIndex, term, confState } = cluster.node(1).status();
		cluster.step(1, {
			type: 'compacted',
			snapshot: { index: appliedIndex, term, confState },
			compactIndex: appliedIndex,
		});
		// What was under way to it is lost; what it lacks is compacted.
		cluster.step(1, { type: 'unreachable', id: 3 });
		cluster.queue = [];
		cluster.propose(1, 'd');
		const isSnapshot = ({ type, to }: Message): boolean => type === 'snapshot' && to === 3;
		expect(cluster.queue.some(isSnapshot)).to.equal(false);
		// It answers a heartbeat.
		cluster.deliver({ type: 'heartbeat-response', from: 3, to: 1, term, readSequence: 0 });
		expect(cluster.queue.some(isSnapshot)).to.equal(false);
		cluster.heal();
		cluster.deliver({ type: 'heartbeat-response', from: 3, to: 1, term, readSequence: 0 });
		expect(cluster.queue.some(isSnapshot)).to.equal(true);
	});
});

describe('writes that end late (persistence, Raft §3.8)', () => {
	/** A member with an entry of term 2 that is being written, then told of term 3. */
	function writing(): Cluster {
		const cluster = new Cluster([1, 2, 3]);
		cluster.member(2).holdsDisk = true;
		cluster.deliver(append(2, 2, [3, 1], [entry(2, 4)]));
		cluster.deliver({ type: 'vote', from: 3, to: 2, term: 3, lastIndex: 9, lastTerm: 2, transfer: true });
		return cluster;
	}

	/** Ends the first of the writes that are under way. */
	function endFirst(cluster: Cluster, id: number): void {
		const first = cluster.member(id).held.shift();
		if (first === undefined) throw new Error('nothing is being written');
		cluster.step(id, first.done);
	}

	it('make nothing durable that was put in place of what they wrote', () => {
		const cluster = writing();
		cluster.deliver({ ...append(2, 3, [3, 1], [entry(3, 4)]), from: 3 });
		endFirst(cluster, 2);
		endFirst(cluster, 2);
		expect(cluster.node(2).status()).to.include({ term: 3, lastIndex: 4, stableIndex: 3 });
		endFirst(cluster, 2);
		expect(cluster.node(2).status().stableIndex).to.equal(4);
	});

	it('make nothing durable that went and came back meanwhile (A-B-A)', () => {
		const cluster = writing();
		cluster.deliver({ ...append(2, 3, [3, 1], [entry(3, 4)]), from: 3 });
		cluster.deliver(append(2, 4, [3, 1], [entry(2, 4)]));
		endFirst(cluster, 2);
		// Two writes are still to come, and the next puts the entry of term 3 there.
		expect(cluster.node(2).status()).to.include({ term: 4, lastIndex: 4, stableIndex: 3 });
		while (cluster.member(2).held.length > 0) endFirst(cluster, 2);
		expect(cluster.node(2).status().stableIndex).to.equal(4);
	});
});
