import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { MemberId, SnapshotMeta } from '../index.ts';
import { Cluster, HEARTBEAT_MS } from './cluster.ts';

/** Takes a snapshot of what `id` has applied, and drops the log up to it. */
function compact(cluster: Cluster, id: MemberId): SnapshotMeta {
	const { node, disk } = cluster.member(id);
	const { appliedIndex, confState } = node.status();
	const term = disk.entries.find(({ index }) => index === appliedIndex)?.term ?? 0;
	const snapshot = { index: appliedIndex, term, confState };
	cluster.step(id, { type: 'compacted', snapshot, compactIndex: appliedIndex });
	return snapshot;
}

function clusterWithLaggard(): { cluster: Cluster; snapshot: SnapshotMeta } {
	const cluster = new Cluster([1, 2, 3]);
	cluster.elect(1);
	cluster.isolate(3);
	for (const text of ['a', 'b', 'c']) cluster.propose(1, text);
	cluster.settle();
	const snapshot = compact(cluster, 1);
	return { cluster, snapshot };
}

describe('snapshots (Raft §7)', () => {
	it('are sent to a member whose next entry is compacted', () => {
		const { cluster, snapshot } = clusterWithLaggard();
		cluster.heal();
		cluster.run(3 * HEARTBEAT_MS);
		expect(cluster.delivered.some((m) => m.type === 'snapshot' && m.to === 3)).to.equal(true);
		expect(cluster.node(3).status()).to.include({ commitIndex: snapshot.index, appliedIndex: snapshot.index });
		expect(cluster.member(3).disk).to.deep.include({ snapshot });
	});

	it('are followed by the entries after them', () => {
		const { cluster } = clusterWithLaggard();
		cluster.propose(1, 'd');
		cluster.settle();
		cluster.heal();
		cluster.run(3 * HEARTBEAT_MS);
		expect(cluster.member(3).applied).to.deep.equal(['d']);
		const progress = cluster
			.node(1)
			.status()
			.progress.find(({ id }) => id === 3);
		expect(progress).to.include({ state: 'replicate', matchIndex: cluster.node(1).status().lastIndex });
	});

	it('nothing else is sent meanwhile', () => {
		const { cluster } = clusterWithLaggard();
		cluster.heal();
		cluster.isLost = ({ type }) => type === 'snapshot';
		cluster.run(3 * HEARTBEAT_MS);
		expect(
			cluster
				.node(1)
				.status()
				.progress.find(({ id }) => id === 3)?.state,
		).to.equal('snapshot');
		cluster.delivered.length = 0;
		cluster.propose(1, 'd');
		cluster.settle();
		expect(cluster.delivered.filter(({ to, type }) => to === 3 && type === 'append')).to.deep.equal([]);
	});

	it('are tried again when the stream failed', () => {
		const { cluster } = clusterWithLaggard();
		cluster.isLost = ({ type }) => type === 'snapshot';
		cluster.run(3 * HEARTBEAT_MS);
		cluster.step(1, { type: 'snapshot-status', id: 3, ok: false });
		cluster.heal();
		cluster.run(3 * HEARTBEAT_MS);
		expect(cluster.node(3).status().commitIndex).to.equal(cluster.node(1).status().commitIndex);
	});

	it('replace log and membership on the receiver', () => {
		const cluster = Cluster.withLogs({ 1: [2, 2], 2: [2, 2], 3: [3, 3, 3] });
		const confState = { voters: [1, 3, 4], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
		const snapshot = { index: 40, term: 6, confState };
		cluster.deliver({ type: 'snapshot', from: 1, to: 3, term: 7, snapshot });
		expect(cluster.node(3).status()).to.deep.include({ firstIndex: 41, lastIndex: 40, commitIndex: 40, confState });
		expect(cluster.queue.at(-1)).to.include({ type: 'append-response', index: 40, reject: false });
		expect(cluster.member(3).disk.entries).to.deep.equal([]);
	});

	it('reach a newcomer that was added after they were taken', () => {
		const cluster = new Cluster([1, 2, 3]);
		cluster.elect(1);
		cluster.propose(1, 'a');
		cluster.settle();
		const snapshot = compact(cluster, 1);
		cluster.add(4);
		const change = { transition: 'auto', changes: [{ type: 'add-voter', id: 4 }], context: new Uint8Array(0) } as const;
		cluster.step(1, { type: 'propose-conf-change', id: 1, change });
		cluster.run(3 * HEARTBEAT_MS);
		expect(cluster.member(4).disk).to.deep.include({ snapshot });
		expect(cluster.node(4).status().confState.voters).to.deep.equal([1, 2, 3, 4]);
	});

	it('are acknowledged only when installed', () => {
		const { cluster, snapshot } = clusterWithLaggard();
		cluster.member(3).holdsDisk = true;
		cluster.heal();
		cluster.queue = [];
		const { term } = cluster.node(1).status();
		cluster.deliver({ type: 'snapshot', from: 1, to: 3, term, snapshot });
		expect(cluster.queue).to.deep.equal([]);
		expect(cluster.node(3).nextDeadlineMs()).to.equal(undefined);
		cluster.releaseDisk(3);
		expect(cluster.queue).to.have.length(1);
	});

	it('classic mistake: a snapshot that goes backwards', () => {
		const { cluster, snapshot } = clusterWithLaggard();
		const before = cluster.node(2).status();
		cluster.heal();
		const old = { ...snapshot, index: 4, term: 2 };
		cluster.deliver({ type: 'snapshot', from: 1, to: 2, term: before.term, snapshot: old });
		expect(cluster.node(2).status()).to.deep.include({ lastIndex: before.lastIndex, commitIndex: before.commitIndex });
		cluster.step(1, { type: 'compacted', snapshot: old, compactIndex: 4 });
		cluster.run(3 * HEARTBEAT_MS);
		const sent = cluster.delivered.find((m) => m.type === 'snapshot' && m.to === 3);
		expect(sent).to.deep.include({ snapshot });
	});

	it('classic mistake: a snapshot whose term is wrong cannot come from compaction of the log', () => {
		const { cluster, snapshot } = clusterWithLaggard();
		expect(snapshot.term).to.equal(2);
		expect(cluster.node(1).status()).to.include({ firstIndex: snapshot.index + 1 });
		// The term of the compacted entry still answers the consistency check of the next append.
		cluster.propose(1, 'd');
		cluster.settle();
		expect(cluster.member(2).applied).to.deep.equal(['a', 'b', 'c', 'd']);
	});

	it('one that the log already covers keeps what follows it', () => {
		const cluster = Cluster.withLogs({ 1: [2, 2, 2], 2: [2, 2, 2], 3: [2, 2, 2] });
		const { confState } = cluster.node(3).status();
		const snapshot = { index: 5, term: 2, confState };
		cluster.deliver({ type: 'snapshot', from: 1, to: 3, term: 3, snapshot });
		expect(cluster.node(3).status()).to.include({ commitIndex: 5, lastIndex: 6 });
	});

	it('a restart begins at the snapshot', () => {
		const { cluster, snapshot } = clusterWithLaggard();
		cluster.heal();
		cluster.run(3 * HEARTBEAT_MS);
		cluster.restart(3);
		expect(cluster.node(3).status()).to.deep.include({
			firstIndex: snapshot.index + 1,
			appliedIndex: snapshot.index,
			confState: snapshot.confState,
		});
	});
});
