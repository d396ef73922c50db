import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, describe, it } from 'mocha';
import { encodeFrame } from '../codec/frames.ts';
import type { MemberId, VoteResponse } from '../core/index.ts';
import { openGroup } from '../group.ts';
import type { GroupLink } from '../link.ts';
import { encodeCommand } from '../sessions.ts';
import { openFileLog } from '../storage/file/file-log.ts';
import { Disk } from '../storage/file/test/disk.ts';
import type { LogStore } from '../storage/log-store.ts';
import { openMemoryLog } from '../storage/memory/memory-log.ts';
import { Cluster, type ClusterOptions, type Counter, counter, failureOf, identity } from './cluster.ts';

type CounterCluster = Cluster<Counter, typeof counter.command, number>;

let cluster: CounterCluster;
const three = [1, 2, 3];

async function start(options: Partial<ClusterOptions<Counter, typeof counter.command, number>> = {}): Promise<void> {
	cluster = new Cluster({ machine: counter, ...options });
	await cluster.startAll(three);
}

const others = (id: MemberId): MemberId[] => three.filter((other) => other !== id);
const logOf = async (id: MemberId): Promise<number[]> =>
	cluster.group(id).read((state) => state.log.slice(), { level: 'stale' });
const allHave = (log: readonly number[]) => async (): Promise<void> => {
	for (const id of cluster.groups.keys()) expect(await logOf(id), `member ${id}`).to.deep.equal(log);
};

describe('Raft group', () => {
	afterEach(async () => {
		await cluster[Symbol.asyncDispose]();
	});

	describe('group: leaders and proposals', () => {
		it('elects one leader, applies a proposal everywhere and answers its caller', async () => {
			await start();
			const leader = await cluster.elected();
			expect(leader.role).to.equal('leader');
			expect(leader.hasQuorum).to.equal(true);
			expect(await cluster.run(leader.propose({ add: 5 }))).to.equal(5);
			expect(await cluster.run(leader.propose({ add: 2 }))).to.equal(7);
			await cluster.pass(200);
			await allHave([5, 2])();
		});

		it('takes proposals on any member and passes them to the leader', async () => {
			await start();
			const leader = await cluster.elected();
			const results = await cluster.run(Promise.all(three.map((id) => cluster.group(id).propose({ add: id }))));
			expect(Math.max(...results)).to.equal(6);
			const [follower] = others(leader.selfId);
			expect(await cluster.run(cluster.group(follower as number).propose({ add: 10 }))).to.equal(16);
		});

		it('keeps the order in which one caller proposes', async () => {
			await start();
			const leader = await cluster.elected();
			const adds = Array.from({ length: 200 }, (_, i) => i);
			await cluster.run(Promise.all(adds.map((add) => leader.propose({ add }))));
			await cluster.pass(200);
			await allHave(adds)();
		});

		it('refuses what does not fit the schema, and what is too large, before it is proposed', async () => {
			await start({ settings: { entryBytesMax: 8 } });
			const leader = await cluster.elected();
			const misfit = await failureOf(leader.propose({ add: 'one' } as unknown as { add: number }));
			expect(misfit).to.include({ code: 'invalid_input', applied: 'no' });
			expect(misfit.message).to.include('add: must be a number');
			expect(await failureOf(leader.propose({ add: 0.123456789 }))).to.include({ code: 'invalid_input' });
			expect(await cluster.run(leader.propose({ add: 1 }))).to.equal(1);
		});

		it('hands what the state machine throws to the proposer, and goes on', async () => {
			await start();
			const leader = await cluster.elected();
			const error = await failureOf(cluster.run(leader.propose({ add: -1 })));
			expect(error.message).to.include('must not be negative');
			expect(await cluster.run(leader.propose({ add: 1 }))).to.equal(1);
		});

		it('refuses more proposals than it may hold', async () => {
			await start({ settings: { outstandingMax: 2 } });
			const leader = await cluster.elected();
			const held = [leader.propose({ add: 1 }), leader.propose({ add: 2 })];
			// Validation gives way once before the proposal counts.
			await Promise.resolve();
			await Promise.resolve();
			expect(await failureOf(cluster.run(leader.propose({ add: 3 })))).to.include({ code: 'exhausted', applied: 'no' });
			await cluster.run(Promise.all(held));
		});
	});

	describe('group: losing the leader', () => {
		it('elects another within two election timeouts, and loses nothing acknowledged', async () => {
			await start();
			const first = await cluster.elected();
			await cluster.run(first.propose({ add: 1 }));
			await cluster.crash(first.selfId);
			const crashedMs = cluster.clock.nowMs();
			const survivor = cluster.group(others(first.selfId)[0] as number);
			expect(await cluster.run(survivor.propose({ add: 2 }))).to.equal(3);
			expect(cluster.clock.nowMs() - crashedMs).to.be.below(1_300);
		});

		it('is faster still when the leader’s connections break', async () => {
			await start();
			const first = await cluster.elected();
			await cluster.run(first.propose({ add: 1 }));
			await cluster.crash(first.selfId);
			const crashedMs = cluster.clock.nowMs();
			cluster.network.announceLost(first.selfId);
			const survivor = cluster.group(others(first.selfId)[0] as number);
			expect(await cluster.run(survivor.propose({ add: 2 }))).to.equal(3);
			expect(cluster.clock.nowMs() - crashedMs).to.be.below(250);
		});

		it('shrugs off a wrong hint: pre-vote keeps the leader that others still hear', async () => {
			await start();
			const leader = await cluster.elected();
			const { term } = leader;
			for (const id of others(leader.selfId).slice(0, 1)) {
				cluster.network.filter = (from, to) => !(from === leader.selfId && to === id);
				cluster.network.announceLost(leader.selfId);
				await cluster.pass(100);
			}
			cluster.network.filter = () => true;
			await cluster.elected();
			expect(await cluster.run(cluster.group(1).propose({ add: 1 }))).to.equal(1);
			expect(cluster.leader?.term).to.satisfy((now: bigint) => now - term <= 1n);
		});

		it('restarts from disk with everything it acknowledged', async () => {
			await start();
			const leader = await cluster.elected();
			for (let add = 1; add <= 20; add++) await cluster.run(leader.propose({ add }));
			for (const id of three) await cluster.crash(id);
			for (const id of three) await cluster.start(id);
			const next = await cluster.elected();
			expect(await cluster.run(next.propose({ add: 100 }))).to.equal(310);
		});

		it('applies a proposal once, however many leaders it was offered to', async () => {
			// Answers to forwarded proposals and half of all appends get lost, and leaders are replaced all the time.
			await start({ seed: 5 });
			await cluster.elected();
			let n = 0;
			cluster.network.filter = () => ++n % 3 !== 0;
			const calls: Promise<number>[] = [];
			for (let add = 1; add <= 30; add++) {
				for (const id of three) calls.push(cluster.group(id).propose({ add: add * 10 + id }));
				await cluster.pass(120);
				const leader = cluster.leader;
				if (leader !== undefined && add % 3 === 0) leader.transferLeadership().catch(() => undefined);
			}
			cluster.network.filter = () => true;
			const settled = await cluster.run(Promise.allSettled(calls));
			await cluster.pass(2_000);
			const log = await logOf(1);
			expect(new Set(log).size, 'nothing twice').to.equal(log.length);
			const expected = Array.from({ length: 30 }, (_, i) => three.map((id) => (i + 1) * 10 + id)).flat();
			settled.forEach((outcome, i) => {
				if (outcome.status === 'fulfilled') expect(log).to.include(expected[i]);
				else if (outcome.reason.applied === 'no') expect(log).to.not.include(expected[i]);
			});
			expect(settled.filter(({ status }) => status === 'fulfilled').length).to.be.greaterThan(60);
			await allHave(log)();
		});

		it('applies a command with a caller’s id once, whoever repeats it', async () => {
			await start();
			await cluster.elected();
			const results = three.map((id) => cluster.group(id).propose({ add: 7 }, { id: 'order 17' }));
			expect(await cluster.run(Promise.all(results))).to.deep.equal([7, 7, 7]);
			await cluster.pass(200);
			await allHave([7])();
		});

		it('hands over without an election timeout passing', async () => {
			await start();
			const leader = await cluster.elected();
			const [to] = others(leader.selfId);
			const startMs = cluster.clock.nowMs();
			await cluster.run(leader.transferLeadership(to));
			expect(cluster.clock.nowMs() - startMs).to.be.below(50);
			expect((await cluster.elected()).selfId).to.equal(to);
		});
	});

	describe('group: without a majority', () => {
		it('a minority refuses writes and linear reads with no_quorum, and still reads stale', async () => {
			await start();
			const leader = await cluster.elected();
			await cluster.run(leader.propose({ add: 4 }));
			await cluster.pass(200);
			const [lonely, ...rest] = others(leader.selfId) as [number, number];
			cluster.network.split([lonely], [leader.selfId, ...rest]);
			await cluster.until('the minority notices', () => !cluster.group(lonely).hasQuorum);
			const refused = await failureOf(cluster.run(cluster.group(lonely).propose({ add: 1 })));
			expect(refused).to.include({ code: 'no_quorum', applied: 'no' });
			const read = await failureOf(cluster.run(cluster.group(lonely).read((state) => state.total)));
			expect(read).to.include({ code: 'no_quorum' });
			expect(await cluster.group(lonely).read((state) => state.total, { level: 'stale' })).to.equal(4);
			// The majority goes on; the minority catches up when it is back.
			expect(await cluster.run(leader.propose({ add: 1 }))).to.equal(5);
			cluster.network.heal();
			expect(await cluster.run(cluster.group(lonely).read((state) => state.total))).to.equal(5);
		});

		it('a leader cut off says unknown_outcome for what it took, steps down, and the outcome is one of the two', async () => {
			await start();
			const leader = await cluster.elected();
			await cluster.run(leader.propose({ add: 1 }));
			cluster.network.split([leader.selfId], others(leader.selfId));
			const error = await failureOf(cluster.run(leader.propose({ add: 2 })));
			expect(error).to.include({ code: 'unknown_outcome', applied: 'maybe' });
			expect(leader.role).to.not.equal('leader');
			expect(leader.hasQuorum).to.equal(false);
		});

		it('a proposal that a cut-off leader took survives on its own when the partition heals', async () => {
			await start();
			const leader = await cluster.elected();
			await cluster.run(leader.propose({ add: 1 }));
			cluster.network.split([leader.selfId], others(leader.selfId));
			const pending = leader.propose({ add: 2 });
			await cluster.until('a new leader', () =>
				others(leader.selfId).some((id) => cluster.group(id).role === 'leader'),
			);
			cluster.network.heal();
			expect(await cluster.run(pending)).to.equal(3);
			await cluster.pass(500);
			await allHave([1, 2])();
		});

		it('a read that began after a write sees it, on every member', async () => {
			await start();
			const leader = await cluster.elected();
			for (let add = 1; add <= 10; add++) {
				const total = await cluster.run(leader.propose({ add }));
				for (const id of three)
					expect(await cluster.run(cluster.group(id).read((state) => state.total))).to.equal(total);
			}
		});

		it('a call ends when its caller cancels it', async () => {
			await start();
			const leader = await cluster.elected();
			cluster.network.split([1], [2], [3]);
			await cluster.until('no leader', () => !leader.hasQuorum);
			const abort = new AbortController();
			const calls = [
				leader.propose({ add: 1 }, { signal: abort.signal }),
				leader.read(() => 0, { signal: abort.signal }),
			];
			const failures = calls.map((call) => failureOf(call));
			await cluster.pass(10);
			abort.abort();
			for (const error of await cluster.run(Promise.all(failures)))
				expect(error).to.include({ code: 'cancelled', applied: 'no' });
		});
	});

	describe('group: members', () => {
		it('replaces a dead member: learner, caught up, promoted in one step with the removal', async () => {
			await start();
			const leader = await cluster.elected();
			for (let add = 1; add <= 50; add++) await cluster.run(leader.propose({ add }));
			const dead = others(leader.selfId)[0] as number;
			await cluster.crash(dead);
			await cluster.start(1025);
			const desired = [...three.filter((id) => id !== dead), 1025].map(identity);
			const kinds: string[] = [];
			for (const group of cluster.groups.values()) {
				group.reconcileMembers(desired);
				group.onEvent((event) => {
					if (event.type !== 'members' || group !== leader) return;
					const { voters, learners } = event.confState;
					kinds.push(`${voters.join()}|${learners.join()}`);
				});
			}
			const want = desired.map(({ id }) => id).sort((a, b) => a - b);
			await cluster.until('the newcomer votes', () =>
				[...cluster.groups.values()].every(
					({ confState: c }) => c.voters.join() === want.join() && c.votersOutgoing.length === 0,
				),
			);
			expect(kinds[0]).to.equal(`${three.join()}|1025`);
			expect(
				kinds.every((kind) => kind.split('|')[0]?.split(',').length === 3),
				kinds.join(' '),
			).to.equal(true);
			expect(await cluster.run(cluster.group(1025).propose({ add: 1 }))).to.equal(1276);
			const names = leader.members().map(({ id, context }) => `${id} is ${Buffer.from(context).toString()}`);
			expect(names).to.deep.equal(want.map((id) => `${id} is member ${id}`));
		});

		it('grows from one member to five and shrinks to three, with its leader removed at last', async () => {
			cluster = new Cluster({ machine: counter });
			await cluster.start(1, [1]);
			const first = await cluster.elected();
			await cluster.run(first.propose({ add: 1 }));
			for (const id of [2, 3, 4, 5]) await cluster.start(id);
			const reconcile = (ids: readonly number[]): void => {
				for (const group of cluster.groups.values()) group.reconcileMembers(ids.map(identity));
			};
			reconcile([1, 2, 3, 4, 5]);
			await cluster.until('five vote', () => first.confState.voters.length === 5);
			reconcile([3, 4, 5]);
			await cluster.until('three vote', () => cluster.group(4).confState.voters.join() === '3,4,5');
			await cluster.until('one of them leads', () => [3, 4, 5].includes(cluster.group(4).leaderId ?? 0));
			expect(await cluster.run(cluster.group(4).propose({ add: 2 }))).to.equal(3);
		});

		it('refuses first members that do not name itself', async () => {
			cluster = new Cluster({ machine: counter });
			expect(await failureOf(cluster.start(9, [1, 2]))).to.include({ code: 'invalid_input' });
		});
	});

	describe('group: disk', () => {
		it('a leader whose disk runs full hands over, and takes part again when there is room', async () => {
			await start();
			const leader = await cluster.elected();
			await cluster.run(leader.propose({ add: 1 }));
			cluster.medium(leader.selfId).full = true;
			// The others hold it, but this replica learns results by applying, and it applies what its own disk holds.
			const taken = failureOf(cluster.run(leader.propose({ add: 2 })));
			await cluster.until('another leads', () => cluster.leader !== undefined && cluster.leader !== leader);
			expect(await cluster.run((cluster.leader as typeof leader).propose({ add: 3 }))).to.equal(6);
			expect(await failureOf(leader.propose({ add: 99 }))).to.include({ code: 'disk_full', applied: 'no' });
			expect(await taken).to.include({ code: 'unknown_outcome' });
			const full = cluster.events.filter(({ event }) => event.type === 'disk');
			expect(full.map(({ id, event }) => [id, event.type === 'disk' && event.isFull])).to.deep.equal([
				[leader.selfId, true],
			]);
			cluster.medium(leader.selfId).full = false;
			await cluster.until(
				'it caught up',
				() => leader.appliedIndex === cluster.leader?.appliedIndex && leader.hasQuorum,
			);
			await allHave([1, 2, 3])();
		});

		it('a group of one refuses with disk_full, acknowledges nothing, and goes on when there is room', async () => {
			cluster = new Cluster({ machine: counter });
			const only = await cluster.start(1, [1]);
			await cluster.elected();
			await cluster.run(only.propose({ add: 1 }));
			cluster.medium(1).full = true;
			const taken = failureOf(cluster.run(only.propose({ add: 2 })));
			await cluster.pass(100);
			const refused = await failureOf(only.propose({ add: 4 }));
			expect(refused).to.include({ code: 'disk_full', applied: 'no' });
			expect(await cluster.run(taken)).to.include({ code: 'unknown_outcome' });
			cluster.medium(1).full = false;
			const isRoomAgain = (): boolean => cluster.events.some(({ event }) => event.type === 'disk' && !event.isFull);
			await cluster.until('it noticed', isRoomAgain);
			// What it had taken counts now; what it refused does not.
			expect(await cluster.run(only.propose({ add: 8 }))).to.equal(11);
		});

		it('a leader whose disk does not answer is replaced within two election timeouts, and comes back', async () => {
			const stalled = new Set<MemberId>();
			const waiting: (() => void)[] = [];
			const store = (id: MemberId): LogStore => {
				const log = openMemoryLog(cluster.medium(id));
				const append: LogStore['append'] = async (batch) => {
					if (stalled.has(id)) await new Promise<void>((resolve) => waiting.push(resolve));
					await log.append(batch);
				};
				return {
					recover: () => log.recover(),
					append,
					compact: (snapshot) => log.compact(snapshot),
					get snapshots() {
						return log.snapshots;
					},
					get stats() {
						return log.stats;
					},
					[Symbol.asyncDispose]: () => log[Symbol.asyncDispose](),
				};
			};
			await start({ store });
			const leader = await cluster.elected();
			await cluster.run(leader.propose({ add: 1 }));
			stalled.add(leader.selfId);
			const pending = leader.propose({ add: 2 });
			const stalledMs = cluster.clock.nowMs();
			await cluster.until('another leads', () => cluster.leader !== undefined && cluster.leader !== leader);
			expect(cluster.clock.nowMs() - stalledMs).to.be.below(1_200);
			expect(await cluster.run((cluster.leader as typeof leader).propose({ add: 3 }))).to.equal(6);
			stalled.clear();
			for (const go of waiting) go();
			expect(await cluster.run(pending)).to.equal(3);
			await cluster.pass(1_000);
			await allHave([1, 2, 3])();
		});

		it('a failed sync ends the replica, and the others go on', async () => {
			await start();
			const leader = await cluster.elected();
			await cluster.run(leader.propose({ add: 1 }));
			cluster.medium(leader.selfId).failNextSync = true;
			const error = await failureOf(cluster.run(leader.propose({ add: 2 })));
			expect(error).to.include({ code: 'unknown_outcome', applied: 'maybe' });
			expect(await failureOf(leader.propose({ add: 3 }))).to.include({ code: 'internal' });
			const { event } = cluster.events.find((one) => one.event.type === 'failed') ?? {};
			expect(event).to.deep.include({ type: 'failed' });
			const survivor = cluster.group(others(leader.selfId)[0] as number);
			expect(await cluster.run(survivor.propose({ add: 3 }))).to.be.oneOf([4, 6]);
		});

		it('refuses to open a log that is corrupt in the middle, and says where', async () => {
			const disks = new Map<MemberId, Disk>();
			const store = (id: MemberId): ReturnType<typeof openFileLog> => {
				const disk = disks.get(id) ?? new Disk();
				disks.set(id, disk);
				return openFileLog({ directory: 'd', fs: disk, segmentBytes: 64 * 1024 });
			};
			await start({ store });
			const leader = await cluster.elected();
			for (let add = 0; add < 10; add++) await cluster.run(leader.propose({ add }));
			await cluster.crash(2);
			const bytes = disks.get(2)?.files.get('d/0000000001.wal')?.bytes as Uint8Array;
			bytes[4200] = (bytes[4200] as number) ^ 1;
			const error = await failureOf(cluster.start(2));
			expect(error).to.include({ code: 'corrupt' });
			expect(error.message).to.match(/0000000001\.wal is corrupt at byte \d+/);
		});

		it('runs on real files and real time, and restarts from them', async () => {
			cluster = new Cluster({ machine: counter });
			const directory = await mkdtemp(join(tmpdir(), 'raft-group-'));
			const alone: GroupLink = {
				send: () => false,
				onMessage: () => ({ [Symbol.dispose]: () => {} }),
				onLost: () => ({ [Symbol.dispose]: () => {} }),
			};
			for (const total of [1, 2]) {
				await using group = await openGroup({
					name: 'files',
					selfId: 1,
					bootstrap: [identity(1)],
					store: openFileLog({ directory, segmentBytes: 256 * 1024 }),
					link: alone,
					machine: counter,
					settings: { heartbeatMs: 10, electionTimeoutMs: 40 },
				});
				expect(await group.propose({ add: 1 })).to.equal(total);
			}
			await rm(directory, { recursive: true });
		});
	});

	describe('group: hostile or broken messages', () => {
		it('are dropped and counted, and nothing breaks', async () => {
			await start();
			const leader = await cluster.elected();
			const good = encodeFrame({
				kind: 'forward',
				proposals: [{ id: 1, payload: encodeCommand({ kind: 'open-session', nonce: 5 }) }],
			}).slice();
			for (let cut = 0; cut < good.length; cut++) cluster.network.inject(2, leader.selfId, good.subarray(0, cut));
			for (let at = 0; at < good.length; at++) {
				const bad = good.slice();
				bad[at] = 0xff;
				cluster.network.inject(others(leader.selfId)[0] as number, leader.selfId, bad);
			}
			const me = leader.selfId;
			const spoofed: VoteResponse = {
				type: 'vote-response',
				from: me,
				to: me,
				term: 99,
				reject: false,
				commit: 0,
				commitTerm: 0,
			};
			cluster.network.inject(
				others(leader.selfId)[0] as number,
				leader.selfId,
				encodeFrame({ kind: 'raft', messages: [spoofed] }),
			);
			expect(await cluster.run(leader.propose({ add: 1 }))).to.equal(1);
			expect(cluster.leader).to.equal(leader);
		});
	});
});
