import { expect } from 'chai';
import { describe, it } from 'mocha';
import { createRaftNode, resolveRaftConfig } from '../index.ts';
import { bootstrap, Cluster, ELECTION_MS, entry, HEARTBEAT_MS } from './cluster.ts';

describe('persistence before promises (Raft §5.2, figure 2)', () => {
	it('classic mistake: reply before persist (vote)', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.member(2).holdsDisk = true;
		const effects = cluster.step(2, {
			type: 'message',
			message: { type: 'vote', from: 1, to: 2, term: 2, lastIndex: 9, lastTerm: 1, transfer: false },
		});
		expect(effects.messages).to.deep.equal([]);
		expect(effects.persist).to.deep.include({ mustSync: true, hardState: { term: 2, vote: 1, commit: 3 } });
		expect(effects.persist?.messages.map(({ type }) => type)).to.deep.equal(['vote-response']);
	});

	it('classic mistake: reply before persist (append)', () => {
		const cluster = new Cluster([1, 2, 3]);
		const effects = cluster.step(2, {
			type: 'message',
			message: {
				type: 'append',
				from: 1,
				to: 2,
				term: 2,
				prevIndex: 3,
				prevTerm: 1,
				entries: [entry(2, 4, 'x')],
				commit: 4,
			},
		});
		expect(effects.messages).to.deep.equal([]);
		expect(effects.persist?.messages.map(({ type }) => type)).to.deep.equal(['append-response']);
		// Committed elsewhere, but not on this disk yet: not applied either.
		expect(effects.apply).to.deep.equal([]);
	});

	it('classic mistake: forgetting the vote after restart', () => {
		const cluster = new Cluster([1, 2, 3]);
		const ask = (from: number) =>
			cluster.deliver({ type: 'vote', from, to: 2, term: 5, lastIndex: 9, lastTerm: 4, transfer: false });
		ask(1);
		cluster.restart(2);
		cluster.queue = [];
		ask(3);
		expect(cluster.queue).to.have.length(1);
		expect(cluster.queue[0]).to.include({ type: 'vote-response', from: 2, to: 3, term: 5, reject: true });
	});

	it('a candidate counts its own vote when it is durable, not before', () => {
		const cluster = new Cluster([1], {});
		cluster.member(1).holdsDisk = true;
		cluster.step(1, { type: 'campaign' });
		expect(cluster.node(1).status().role).to.equal('pre-candidate');
		cluster.releaseDisk(1);
		expect(cluster.node(1).status().role).to.equal('leader');
	});

	it('a leader replicates while its own disk writes, and commits with the others', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.member(1).holdsDisk = true;
		cluster.propose(1, 'x');
		cluster.settle();
		expect(cluster.member(1).disk.entries).to.have.length(4);
		expect(cluster.node(1).status()).to.include({ commitIndex: 5, appliedIndex: 4, stableIndex: 4 });
		cluster.releaseDisk(1);
		expect(cluster.member(1).applied).to.deep.equal(['x']);
	});

	it('a leader does not count itself before its write is durable', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.isolate(3);
		cluster.member(1).holdsDisk = true;
		cluster.propose(1, 'x');
		cluster.settle();
		expect(cluster.node(1).status().commitIndex).to.equal(4);
		cluster.releaseDisk(1);
		expect(cluster.node(1).status().commitIndex).to.equal(5);
	});

	it('only a moved commit index needs no sync', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		const message = { type: 'heartbeat', from: 1, to: 2, term: 2, commit: 4, readSequence: 0 } as const;
		cluster.restart(2);
		const effects = cluster.step(2, { type: 'message', message });
		expect(effects.persist?.mustSync ?? false).to.equal(false);
	});

	it('a write of an older term proves nothing about entries that were replaced since', () => {
		const cluster = new Cluster([1, 2, 3]);
		const member = cluster.member(2);
		member.holdsDisk = true;
		const send = (from: number, term: number, texts: readonly string[]) =>
			cluster.step(2, {
				type: 'message',
				message: {
					type: 'append',
					from,
					to: 2,
					term,
					prevIndex: 3,
					prevTerm: 1,
					entries: texts.map((text, i) => entry(term, 4 + i, text)),
					commit: 3,
				},
			});
		const first = send(1, 2, ['a']);
		send(3, 3, ['b']);
		if (first.persist === undefined) throw new Error('the first entries must be written');
		member.node.step(first.persist.done, 0);
		expect(member.node.status().stableIndex).to.equal(3);
		cluster.releaseDisk(2);
		expect(member.node.status().stableIndex).to.equal(4);
		expect(cluster.terms(2, 3)).to.deep.equal([3]);
	});
});

describe('restart', () => {
	it('keeps term, vote and log, and hands committed entries out again', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.propose(1, 'x');
		cluster.settle();
		cluster.run(2 * HEARTBEAT_MS);
		const before = cluster.node(2).status();
		cluster.restart(2);
		const after = cluster.node(2).status();
		expect(after).to.include({ term: before.term, vote: before.vote, lastIndex: 5, role: 'follower' });
		expect(cluster.member(2).applied).to.deep.equal(['x']);
	});

	it('keeps every committed entry when all crash at once', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.propose(1, 'x');
		cluster.settle();
		for (const id of [1, 2, 3]) cluster.restart(id);
		cluster.run(3 * ELECTION_MS);
		cluster.run(2 * HEARTBEAT_MS);
		for (const id of [1, 2, 3]) expect(cluster.member(id).applied).to.deep.equal(['x']);
	});

	it('classic mistake: a commit index beyond the log after restart', () => {
		const { entries } = bootstrap([1, 2, 3]);
		const hardState = { term: 4, vote: 0, commit: 9 };
		expect(() => createRaftNode({ id: 1, random: () => 0, nowMs: 0, hardState, entries }))
			.to.throw(/log ends at 3, before its commit index 9/)
			.with.property('code', 'corrupt');
	});

	it('never applies below the index its state machine is at', () => {
		const { entries } = bootstrap([1]);
		const log = [...entries, entry(1, 2, 'a'), entry(1, 3, 'b')];
		const hardState = { term: 1, vote: 0, commit: 3 };
		const confState = { voters: [1], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
		const options = { id: 1, random: () => 0, nowMs: 0, hardState, entries: log, appliedIndex: 2, confState };
		const node = createRaftNode(options);
		expect(node.drain().apply.map(({ index }) => index)).to.deep.equal([3]);
	});
});

describe('options', () => {
	const valid = { id: 1, random: () => 0, nowMs: 0 };
	const confState = { voters: [1], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
	const cases = [
		{ name: 'a member without an id', options: { id: 0 }, message: /id must be a positive integer, got 0/ },
		{
			name: 'heartbeats as rare as elections',
			options: { electionTimeoutMs: 100, heartbeatMs: 100 },
			message: /heartbeatMs \(100\) must be less than electionTimeoutMs \(100\)/,
		},
		{
			name: 'a window smaller than a message',
			options: { inflightBytesMax: 10, messageBytesMax: 20 },
			message: /inflightBytesMax \(10\) must not be below messageBytesMax \(20\)/,
		},
		{ name: 'a log with a gap', options: { entries: [entry(1, 2)] }, message: /without a gap, found index 2/ },
		{ name: 'members that stand in no log', options: { confState }, message: /bootstrapLog/ },
		{
			name: 'a state machine ahead of the commit index',
			options: { entries: [entry(1, 1)], appliedIndex: 1 },
			message: /appliedIndex \(1\)/,
		},
		{
			name: 'members of an unknown index',
			options: { hardState: { term: 1, vote: 0, commit: 1 }, entries: [entry(1, 1)], appliedIndex: 1 },
			message: /confState is missing: the members at 1/,
		},
		{
			name: 'newer members than those that the next changes are applied to',
			options: { snapshot: { index: 5, term: 1, confState }, confState: { ...confState, voters: [1, 2] } },
			message: /confState is not that of the snapshot at 5/,
		},
	];
	for (const { name, options, message } of cases) {
		it(`refuse ${name}`, () => {
			expect(() => resolveRaftConfig({ ...valid, ...options }))
				.to.throw(message)
				.with.property('code', 'invalid_input');
		});
	}

	it('are frozen once resolved', () => {
		expect(resolveRaftConfig(valid)).to.be.frozen.and.include({ electionTimeoutMs: 1000, heartbeatMs: 100 });
	});
});
