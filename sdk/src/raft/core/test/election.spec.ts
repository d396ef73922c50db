import { expect } from 'chai';
import { describe, it } from 'mocha';
import { type Entry, encodeConfChange, LEAVE_JOINT, type MemberId, type Message, type VoteMessage } from '../index.ts';
import { bootstrap, Cluster, ELECTION_MS, entry, HEARTBEAT_MS, NO_CONTEXT } from './cluster.ts';

function voteRequest(from: MemberId, to: MemberId, term: number, last: { index: number; term: number }): VoteMessage {
	return { type: 'vote', from, to, term, lastIndex: last.index, lastTerm: last.term, transfer: false };
}

function answers(queue: readonly Message[], type: Message['type']): Message[] {
	return queue.filter((message) => message.type === type);
}

describe('leader election (Raft §5.2)', () => {
	it('elects exactly one leader when nobody leads', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.run(3 * ELECTION_MS);
		expect(cluster.leaders).to.have.length(1);
	});

	it('waits at least an election timeout, and at most two, before it campaigns', () => {
		const node = new Cluster([1, 2, 3]).node(2);
		expect(node.nextDeadlineMs())
			.to.be.at.least(ELECTION_MS)
			.and.below(2 * ELECTION_MS);
	});

	it('draws a new timeout for every term, so that split votes end', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		const first = cluster.node(2).nextDeadlineMs();
		cluster.elect(3);
		cluster.run(3 * ELECTION_MS);
		expect(cluster.node(2).nextDeadlineMs()).to.not.equal(first);
	});

	it('keeps its leader while heartbeats arrive', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		const { term } = cluster.node(1).status();
		cluster.run(20 * ELECTION_MS);
		expect(cluster.leaders).to.deep.equal([1]);
		expect(cluster.node(1).status().term).to.equal(term);
	});

	it('grants one vote per term', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.deliver(voteRequest(2, 1, 5, { index: 9, term: 4 }));
		cluster.deliver(voteRequest(3, 1, 5, { index: 9, term: 4 }));
		expect(answers(cluster.queue, 'vote-response')).to.deep.equal([
			{ type: 'vote-response', from: 1, to: 2, term: 5, reject: false, commit: 0, commitTerm: 0 },
			{ type: 'vote-response', from: 1, to: 3, term: 5, reject: true, commit: 3, commitTerm: 1 },
		]);
	});

	it('repeats a vote that got lost on its way', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.deliver(voteRequest(2, 1, 5, { index: 9, term: 4 }));
		cluster.deliver(voteRequest(2, 1, 5, { index: 9, term: 4 }));
		expect(answers(cluster.queue, 'vote-response').every((m) => m.type === 'vote-response' && !m.reject)).to.equal(
			true,
		);
	});

	it('counts the first answer of a voter only', () => {
		const cluster = new Cluster([1, 2, 3, 4, 5], { preVote: false });
		cluster.step(1, { type: 'campaign' });
		const { term } = cluster.node(1).status();
		for (let i = 0; i < 3; i++) {
			cluster.step(1, {
				type: 'message',
				message: { type: 'vote-response', from: 2, to: 1, term, reject: false, commit: 0, commitTerm: 0 },
			});
		}
		expect(cluster.node(1).status().role).to.equal('candidate');
	});

	it('steps down when it hears of a newer term', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.deliver({
			type: 'append-response',
			from: 2,
			to: 1,
			term: 9,
			index: 0,
			reject: false,
			hintIndex: 0,
			hintTerm: 0,
		});
		expect(cluster.node(1).status()).to.include({ role: 'follower', term: 9, leader: 0 });
	});

	it('a candidate follows whoever won its term', () => {
		const cluster = new Cluster([1, 2, 3], { preVote: false });
		cluster.step(1, { type: 'campaign' });
		const { term } = cluster.node(1).status();
		cluster.deliver({ type: 'heartbeat', from: 2, to: 1, term, commit: 0, readSequence: 0 });
		expect(cluster.node(1).status()).to.include({ role: 'follower', leader: 2 });
	});

	it('elects a sole voter by its own vote', () => {
		const cluster = new Cluster([7]);
		cluster.run(2 * ELECTION_MS);
		expect(cluster.leaders).to.deep.equal([7]);
	});

	it('starts its term with a no-op, which commits what earlier terms left', () => {
		const cluster = Cluster.withLogs({ 1: [2, 2], 2: [2, 2], 3: [2] });
		cluster.elect(1);
		expect(cluster.terms(3, 3)).to.deep.equal([2, 2, 3]);
		expect(cluster.node(1).status().commitIndex).to.equal(6);
	});
});

describe('election restriction (Raft §5.4.1)', () => {
	const cases = [
		{ name: 'a later last term wins over a longer log', own: [2, 2, 2], last: { index: 4, term: 3 }, isGranted: true },
		{ name: 'an earlier last term loses with a longer log', own: [3], last: { index: 9, term: 2 }, isGranted: false },
		{ name: 'equal terms: the longer log wins', own: [2], last: { index: 5, term: 2 }, isGranted: true },
		{ name: 'equal terms: an equal log is enough', own: [2], last: { index: 4, term: 2 }, isGranted: true },
		{ name: 'equal terms: a shorter log loses', own: [2, 2], last: { index: 4, term: 2 }, isGranted: false },
	];
	for (const { name, own, last, isGranted } of cases) {
		it(name, () => {
			const cluster = Cluster.withLogs({ 1: own, 2: [], 3: [] });
			cluster.deliver(voteRequest(2, 1, 8, last));
			expect(cluster.queue.at(-1)).to.include({ type: 'vote-response', from: 1, to: 2, term: 8, reject: !isGranted });
		});
	}

	it('elects nobody without the committed entries', () => {
		const cluster = Cluster.withLogs({ 1: [2, 2], 2: [2, 2], 3: [] });
		cluster.elect(3);
		expect(cluster.leaders).to.deep.equal([]);
	});
});

describe('pre-vote (thesis §9.6)', () => {
	it('does not raise the term of a node that cannot win', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		const { term } = cluster.node(1).status();
		cluster.isolate(3);
		cluster.run(20 * ELECTION_MS);
		expect(cluster.node(3).status().term).to.equal(term);
		cluster.heal();
		cluster.run(2 * ELECTION_MS);
		expect(cluster.leaders).to.deep.equal([1]);
		expect(cluster.node(1).status().term).to.equal(term);
	});

	it('classic mistake: a pre-vote that ignores a live leader', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.run(3 * HEARTBEAT_MS);
		// Two hears its leader, so three's question about the next term is not even answered.
		const { term, lastIndex } = cluster.node(2).status();
		const lastTerm = term;
		const from = 3;
		cluster.deliver({ type: 'pre-vote', from, to: 2, term: term + 1, lastIndex, lastTerm, transfer: false });
		expect(answers(cluster.queue, 'pre-vote-response')).to.deep.equal([]);
	});

	it('classic mistake: a pre-vote that livelocks on an old term', () => {
		// One and two fell out at different terms while none of them leads; the older term must learn the newer.
		const cluster = Cluster.withLogs({ 1: [2], 2: [2], 3: [2] });
		cluster.isolate(3);
		cluster.deliver(voteRequest(9, 1, 7, { index: 0, term: 0 }));
		cluster.queue = [];
		expect(cluster.node(1).status().term).to.equal(7);
		cluster.elect(2);
		cluster.run(4 * ELECTION_MS);
		expect(cluster.leaders).to.have.length(1);
	});

	it('a granted pre-vote binds nobody', () => {
		const cluster = new Cluster([1, 2, 3]);
		const { lastIndex } = cluster.node(1).status();
		const ask = (from: MemberId) =>
			cluster.deliver({ type: 'pre-vote', from, to: 1, term: 2, lastIndex, lastTerm: 1, transfer: false });
		ask(2);
		ask(3);
		expect(answers(cluster.queue, 'pre-vote-response')).to.deep.equal([
			{ type: 'pre-vote-response', from: 1, to: 2, term: 2, reject: false, commit: 0, commitTerm: 0 },
			{ type: 'pre-vote-response', from: 1, to: 3, term: 2, reject: false, commit: 0, commitTerm: 0 },
		]);
		expect(cluster.node(1).status()).to.include({ term: 1, vote: 0 });
	});
});

describe('what a rejecting voter knows (found by the simulation, seed 945)', () => {
	it('frees members who need votes of members that were removed', () => {
		// One and two were removed and know it; three and four have not heard that the joint state was left. Both old
		// members have longer logs, so three cannot win the outgoing half, and neither of them campaigns.
		const swap = encodeConfChange({
			transition: 'joint-implicit',
			changes: [
				{ type: 'add-voter', id: 4 },
				{ type: 'remove', id: 1 },
				{ type: 'remove', id: 2 },
			],
			context: NO_CONTEXT,
		});
		const tail: Entry[] = [
			{ term: 2, index: 4, type: 'conf-change', data: swap },
			{ term: 2, index: 5, type: 'conf-change', data: encodeConfChange(LEAVE_JOINT) },
			entry(2, 6, 'never committed'),
		];
		const cluster = new Cluster([]);
		for (const id of [1, 2, 3, 4]) {
			const isRemoved = id <= 2;
			const { entries } = bootstrap([1, 2, 3]);
			entries.push(...tail.slice(0, isRemoved ? 3 : 2));
			const hardState = { term: 2, vote: 0, commit: isRemoved ? 5 : 4 };
			cluster.add(id, { hardState, snapshot: undefined, entries });
		}
		cluster.run(6 * ELECTION_MS);
		expect(cluster.leaders).to.have.length(1);
		const [leader = 0] = cluster.leaders;
		expect(cluster.node(leader).status().confState).to.deep.include({ voters: [3, 4], votersOutgoing: [] });
	});
});

describe('leader stickiness and check-quorum (thesis §4.2.3, §6.2)', () => {
	it('ignores a campaign within an election timeout of hearing from a leader', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.run(3 * HEARTBEAT_MS);
		cluster.deliver(voteRequest(3, 2, 99, { index: 99, term: 98 }));
		expect(cluster.node(2).status().term).to.be.below(99);
	});

	it('a leader cut off from its quorum steps down within two election timeouts', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.isolate(1);
		cluster.run(2 * ELECTION_MS);
		expect(cluster.node(1).status().role).to.not.equal('leader');
	});

	it('a leader that hears from a majority stays, although one member is gone', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.isolate(3);
		cluster.run(10 * ELECTION_MS);
		expect(cluster.leaders).to.deep.equal([1]);
	});

	it('a follower told that its leader is gone may vote at once', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.isolate(1);
		cluster.step(2, { type: 'forget-leader' });
		cluster.step(3, { type: 'forget-leader' });
		cluster.elect(2);
		expect(cluster.node(2).status().role).to.equal('leader');
	});

	it('a node stuck at a higher term gets a leader again', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.isolate(1, 2);
		// As if three had voted for somebody who vanished.
		cluster.deliver(voteRequest(3, 3, 50, { index: 99, term: 49 }));
		cluster.queue = [];
		cluster.heal();
		cluster.run(10 * ELECTION_MS);
		expect(cluster.leaders).to.have.length(1);
		const terms = [1, 2, 3].map((id) => cluster.node(id).status().term);
		expect(new Set(terms).size).to.equal(1);
	});
});
