import { expect } from 'chai';
import { describe, it } from 'mocha';
import { type ConfChangeItem, decodeConfChange, encodeConfChange, LEAVE_JOINT, type MemberId } from '../index.ts';
import { Cluster, ELECTION_MS, HEARTBEAT_MS, NO_CONTEXT } from './cluster.ts';

type Transition = 'auto' | 'joint-implicit' | 'joint-explicit';

function change(cluster: Cluster, leader: MemberId, changes: ConfChangeItem[], transition: Transition = 'auto') {
	cluster.step(leader, { type: 'propose-conf-change', id: 1, change: { transition, changes, context: NO_CONTEXT } });
	return cluster.member(leader).proposals.at(-1);
}

function voters(cluster: Cluster, id: MemberId): readonly MemberId[] {
	return cluster.node(id).status().confState.voters;
}

describe('membership changes (Raft §6, thesis §4)', () => {
	it('adds a learner, brings it up to date, and promotes it', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.propose(1, 'before');
		cluster.add(4);
		change(cluster, 1, [{ type: 'add-learner', id: 4 }]);
		cluster.run(3 * HEARTBEAT_MS);
		expect(cluster.member(4).applied).to.deep.equal(['before']);
		change(cluster, 1, [{ type: 'add-voter', id: 4 }]);
		cluster.run(3 * HEARTBEAT_MS);
		for (const id of [1, 2, 3, 4]) expect(voters(cluster, id)).to.deep.equal([1, 2, 3, 4]);
	});

	it('classic mistake: a learner counted in a quorum', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.add(4);
		change(cluster, 1, [{ type: 'add-learner', id: 4 }]);
		cluster.run(3 * HEARTBEAT_MS);
		const { commitIndex } = cluster.node(1).status();
		cluster.isolate(1, 4);
		cluster.propose(1, 'x');
		cluster.settle();
		expect(cluster.node(4).status().lastIndex).to.equal(commitIndex + 1);
		expect(cluster.node(1).status().commitIndex).to.equal(commitIndex);
	});

	it('a learner never campaigns', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.add(4);
		change(cluster, 1, [{ type: 'add-learner', id: 4 }]);
		cluster.run(3 * HEARTBEAT_MS);
		expect(cluster.node(4).nextDeadlineMs()).to.equal(undefined);
		cluster.step(4, { type: 'campaign' });
		expect(cluster.node(4).status().role).to.equal('follower');
	});

	it('a member that nobody has added stays silent', () => {
		const cluster = new Cluster([]);
		cluster.add(9);
		cluster.run(10 * ELECTION_MS);
		expect(cluster.node(9).status()).to.include({ role: 'follower', term: 0 });
	});

	it('takes effect when applied, not when appended', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.isolate(1);
		change(cluster, 1, [{ type: 'remove', id: 3 }]);
		cluster.settle();
		expect(voters(cluster, 1)).to.deep.equal([1, 2, 3]);
	});

	it('allows one change at a time', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.isolate(1);
		expect(change(cluster, 1, [{ type: 'add-voter', id: 4 }])).to.include({ outcome: 'accepted' });
		const second = change(cluster, 1, [{ type: 'add-voter', id: 5 }]);
		expect(second).to.include({ outcome: 'refused', reason: 'conf-change-pending' });
	});

	it('classic mistake: a single-server change before an entry of the term is committed (2015)', () => {
		const cluster = Cluster.withLogs({ 1: [2], 2: [2], 3: [2], 4: [2] });
		cluster.isLost = ({ type }) => type === 'append';
		cluster.elect(1);
		expect(cluster.node(1).status().role).to.equal('leader');
		const early = change(cluster, 1, [{ type: 'add-voter', id: 5 }]);
		expect(early).to.include({ outcome: 'refused', reason: 'conf-change-pending' });
		cluster.heal();
		cluster.run(3 * HEARTBEAT_MS);
		expect(change(cluster, 1, [{ type: 'add-voter', id: 5 }])).to.include({ outcome: 'accepted' });
	});

	it('refuses a change that cannot be made', () => {
		const cluster = new Cluster([1]);
		cluster.elect(1);
		const last = change(cluster, 1, [{ type: 'remove', id: 1 }]);
		expect(last).to.include({ outcome: 'refused', reason: 'invalid-conf-change' });
	});

	it('nobody campaigns while a committed change is not applied', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		const { node } = cluster.member(2);
		const { lastIndex } = node.status();
		const conf = { transition: 'auto', changes: [{ type: 'add-voter', id: 4 }], context: NO_CONTEXT } as const;
		const effects = node.step(
			{
				type: 'message',
				message: {
					type: 'append',
					from: 1,
					to: 2,
					term: 2,
					prevIndex: lastIndex,
					prevTerm: 2,
					entries: [{ term: 2, index: lastIndex + 1, type: 'conf-change', data: encodeConfChange(conf) }],
					commit: lastIndex + 1,
				},
			},
			0,
		);
		if (effects.persist === undefined) throw new Error('the entry must be written');
		const { apply } = node.step(effects.persist.done, 0);
		expect(apply.at(-1)?.type).to.equal('conf-change');
		node.step({ type: 'campaign' }, 0);
		expect(node.status().role).to.equal('follower');
		node.step([{ type: 'applied', index: lastIndex + 1 }, { type: 'campaign' }], 0);
		expect(node.status().role).to.equal('pre-candidate');
	});

	it('a leader that removed itself steps down once the change is committed', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		change(cluster, 1, [{ type: 'remove', id: 1 }]);
		cluster.settle();
		expect(cluster.node(1).status().role).to.equal('follower');
		cluster.run(3 * ELECTION_MS);
		expect(cluster.leaders).to.have.length(1).and.not.include(1);
	});

	it('classic mistake: a removed node that disrupts the others', () => {
		const cluster = new Cluster([1, 2, 3, 4]);
		cluster.elect(1);
		// Four never hears that it was removed.
		cluster.isolate(4);
		change(cluster, 1, [{ type: 'remove', id: 4 }]);
		cluster.settle();
		cluster.heal();
		const { term } = cluster.node(1).status();
		cluster.run(30 * ELECTION_MS);
		expect(cluster.leaders).to.deep.equal([1]);
		expect(cluster.node(1).status().term).to.equal(term);
	});

	it('a promoted learner that does not know it yet may still vote', () => {
		const cluster = new Cluster([1, 2]);
		cluster.elect(1);
		cluster.add(3);
		change(cluster, 1, [{ type: 'add-learner', id: 3 }]);
		cluster.run(3 * HEARTBEAT_MS);
		cluster.isolate(3);
		change(cluster, 1, [{ type: 'add-voter', id: 3 }]);
		cluster.settle();
		cluster.run(2 * HEARTBEAT_MS);
		// One dies; two needs three.
		cluster.isolate(1);
		cluster.run(4 * ELECTION_MS);
		expect(cluster.node(2).status().role).to.equal('leader');
		expect(voters(cluster, 3)).to.deep.equal([1, 2, 3]);
	});
});

describe('joint consensus (thesis §4.3)', () => {
	const replace: ConfChangeItem[] = [
		{ type: 'add-voter', id: 4 },
		{ type: 'add-voter', id: 5 },
		{ type: 'remove', id: 2 },
		{ type: 'remove', id: 3 },
	];

	function joint(transition: Transition): Cluster {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		for (const id of [4, 5]) cluster.add(id);
		change(cluster, 1, replace, transition);
		return cluster;
	}

	it('leaves by itself once everybody in both halves agrees', () => {
		const cluster = joint('auto');
		cluster.run(5 * HEARTBEAT_MS);
		for (const id of [1, 4, 5]) expect(voters(cluster, id)).to.deep.equal([1, 4, 5]);
		expect(cluster.node(1).status().confState.votersOutgoing).to.deep.equal([]);
	});

	it('commits nothing without the outgoing majority', () => {
		const cluster = joint('joint-explicit');
		cluster.run(3 * HEARTBEAT_MS);
		const { commitIndex } = cluster.node(1).status();
		cluster.isolate(2, 3);
		cluster.propose(1, 'x');
		cluster.settle();
		expect(cluster.node(1).status().commitIndex).to.equal(commitIndex);
	});

	it('commits nothing without the incoming majority', () => {
		const cluster = joint('joint-explicit');
		cluster.run(3 * HEARTBEAT_MS);
		const { commitIndex } = cluster.node(1).status();
		cluster.isolate(4, 5);
		cluster.propose(1, 'x');
		cluster.settle();
		expect(cluster.node(1).status().commitIndex).to.equal(commitIndex);
	});

	it('an explicit joint state waits to be left, and takes no other change meanwhile', () => {
		const cluster = joint('joint-explicit');
		cluster.run(3 * HEARTBEAT_MS);
		const refused = change(cluster, 1, [{ type: 'add-voter', id: 6 }]);
		expect(refused).to.include({ outcome: 'refused', reason: 'in-joint-state' });
		cluster.run(2 * HEARTBEAT_MS);
		cluster.step(1, { type: 'propose-conf-change', id: 2, change: LEAVE_JOINT });
		cluster.run(3 * HEARTBEAT_MS);
		expect(cluster.node(1).status().confState).to.deep.equal({
			voters: [1, 4, 5],
			votersOutgoing: [],
			learners: [],
			learnersNext: [],
			autoLeave: false,
		});
	});

	it('there is nothing to leave outside a joint state', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.step(1, { type: 'propose-conf-change', id: 2, change: LEAVE_JOINT });
		expect(cluster.member(1).proposals.at(-1)).to.include({ outcome: 'refused', reason: 'not-in-joint-state' });
	});

	it('a demoted voter votes until the joint state is left', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		change(cluster, 1, [{ type: 'add-learner', id: 3 }], 'joint-explicit');
		cluster.run(3 * HEARTBEAT_MS);
		expect(cluster.node(1).status().confState).to.deep.include({ votersOutgoing: [1, 2, 3], learnersNext: [3] });
		cluster.step(1, { type: 'propose-conf-change', id: 2, change: LEAVE_JOINT });
		cluster.run(3 * HEARTBEAT_MS);
		expect(cluster.node(3).status().confState).to.deep.include({ voters: [1, 2], learners: [3], learnersNext: [] });
	});

	it('a new leader leaves the joint state that its predecessor entered', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		for (const id of [4, 5]) cluster.add(id);
		// The predecessor never gets to propose leaving.
		cluster.isLost = (m) =>
			m.type === 'append' && m.entries.some(({ type, data }) => type !== 'normal' && !data.length);
		change(cluster, 1, replace, 'joint-implicit');
		cluster.settle();
		cluster.isolate(1);
		cluster.run(10 * ELECTION_MS);
		cluster.heal();
		cluster.run(3 * ELECTION_MS);
		const [leader] = cluster.leaders;
		expect(voters(cluster, leader as MemberId)).to.deep.equal([1, 4, 5]);
	});
});

describe('membership entries', () => {
	it('survive encoding', () => {
		const context = new TextEncoder().encode('slot 3, generation 2');
		const original = {
			transition: 'joint-explicit',
			changes: [
				{ type: 'add-learner', id: 4 },
				{ type: 'remove', id: 2 ** 52 + 1 },
			],
			context,
		} as const;
		const decoded = decodeConfChange(encodeConfChange(original));
		expect({ ...decoded, context: [...decoded.context] }).to.deep.equal({ ...original, context: [...context] });
	});

	it('leaving the joint state is an empty payload', () => {
		expect(encodeConfChange(LEAVE_JOINT)).to.have.length(0);
		expect(decodeConfChange(new Uint8Array(0))).to.equal(LEAVE_JOINT);
	});

	it('are refused when malformed', () => {
		for (const bad of [[1], [9, 0, 0, 0, 0], [0, 200, 0, 0, 0], [0, 1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0]]) {
			expect(() => decodeConfChange(Uint8Array.from(bad)))
				.to.throw(/cannot be read/)
				.with.property('code', 'corrupt');
		}
	});
});
