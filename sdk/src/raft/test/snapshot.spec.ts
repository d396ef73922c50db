/** Snapshots through whole groups: the log stays short, and nobody can tell, neither members nor callers. */
import { expect } from 'chai';
import { afterEach, describe, it } from 'mocha';
import type { MemberId } from '../core/index.ts';
import type { Group } from '../group.types.ts';
import { openFileLog } from '../storage/file/file-log.ts';
import { Disk } from '../storage/file/test/disk.ts';
import {
	type Add,
	Cluster,
	type ClusterOptions,
	type Counter,
	counter,
	failureOf,
	identity,
	seededRandom,
} from './cluster.ts';

const three = [1, 2, 3] as const;
/** About thirty commands. */
const settings = { snapshotAfterBytes: 2000 };
const CHUNK_FRAME = 4;

type Options = Partial<ClusterOptions<Counter, typeof counter.command, number>>;

describe('Raft group: snapshots', function () {
	this.timeout(30_000);
	let cluster: Cluster<Counter, typeof counter.command, number>;
	const start = (options: Options = {}): void => {
		cluster = new Cluster({ machine: counter, settings, ...options });
	};
	afterEach(() => cluster[Symbol.asyncDispose]());

	const adds = async (group: Group<Counter, Add, number>, from: number, to: number): Promise<void> => {
		for (let add = from; add <= to; add++) await cluster.run(group.propose({ add }));
	};
	const upTo = (last: number): number[] => Array.from({ length: last }, (_, i) => i + 1);
	const logOf = (id: MemberId): Promise<readonly number[]> =>
		cluster.group(id).read(({ log }) => [...log], { level: 'stale' });
	const firstIndexOf = (id: MemberId): number => cluster.medium(id).state.index.snapshot.index + 1;
	const caughtUp = (id: MemberId): Promise<void> =>
		cluster.until(`member ${id} caught up`, () => cluster.group(id).appliedIndex === cluster.leader?.appliedIndex);
	const others = (id: MemberId): MemberId[] => three.filter((other) => other !== id);

	it('drops the log before a snapshot, and restarts from the snapshot and what follows it', async () => {
		start();
		await cluster.startAll(three);
		const leader = await cluster.elected();
		await adds(leader, 1, 200);
		await cluster.pass(200);
		for (const id of three) expect(firstIndexOf(id), `member ${id}`).to.be.within(100, 205);
		for (const id of three) {
			await cluster.crash(id);
			await cluster.start(id);
			// From its own disk, before anybody tells it anything.
			expect((await logOf(id)).length).to.be.at.least(firstIndexOf(id) - 10);
			expect(cluster.group(id).confState.voters).to.deep.equal([...three]);
			await cluster.elected();
		}
		for (const id of three) {
			await caughtUp(id);
			expect(await logOf(id)).to.deep.equal(upTo(200));
			expect(
				cluster
					.group(id)
					.members()
					.map(({ context }) => Buffer.from(context).toString()),
			).to.deep.equal(['member 1', 'member 2', 'member 3']);
		}
	});

	it('remembers over a restart which commands were applied: the results are part of the state', async () => {
		start();
		await cluster.startAll([1]);
		const before = await cluster.elected();
		const first = await cluster.run(before.propose({ add: 7 }, { id: 'once' }));
		const refused = await failureOf(cluster.run(before.propose({ add: -1 }, { id: 'bad' })));
		await adds(before, 1, 100);
		expect(firstIndexOf(1)).to.be.above(50);
		await cluster.crash(1);
		const after = await cluster.start(1);
		await cluster.elected();
		expect(await cluster.run(after.propose({ add: 7 }, { id: 'once' }))).to.equal(first);
		const again = await failureOf(cluster.run(after.propose({ add: -1 }, { id: 'bad' })));
		expect([again.code, again.message]).to.deep.equal([refused.code, refused.message]);
		expect((await logOf(1)).filter((add) => add === 7)).to.have.length(2);
	});

	it('brings a follower up to date whose next entry is gone', async () => {
		start();
		await cluster.startAll(three);
		const leader = await cluster.elected();
		const [late] = others(leader.selfId) as [MemberId];
		await adds(leader, 1, 5);
		await caughtUp(late);
		cluster.network.split([], [late]);
		await adds(leader, 6, 200);
		expect(await logOf(late)).to.deep.equal(upTo(5));
		cluster.network.heal();
		await caughtUp(late);
		expect(await logOf(late)).to.deep.equal(upTo(200));
		expect(firstIndexOf(late)).to.be.above(100);
		// And goes on from there over a restart.
		await cluster.crash(late);
		await cluster.start(late);
		expect((await logOf(late)).length).to.be.above(100);
		await adds(leader, 201, 210);
		await caughtUp(late);
		expect(await logOf(late)).to.deep.equal(upTo(210));
	});

	it('answers a command of a follower from the snapshot that it slept through', async () => {
		start();
		await cluster.startAll(three);
		const leader = await cluster.elected();
		const [late] = others(leader.selfId) as [MemberId];
		await cluster.run(cluster.group(late).propose({ add: 1 }));
		const pending = cluster.group(late).propose({ add: 2 });
		await cluster.pass(1);
		// The leader has it, and the follower hears nothing of it any more.
		cluster.network.filter = (_from, to) => to !== late;
		await cluster.until('it counts', () => leader.appliedIndex > cluster.group(late).appliedIndex);
		await adds(leader, 3, 100);
		expect(firstIndexOf(leader.selfId)).to.be.above(40);
		cluster.network.filter = () => true;
		expect(await cluster.run(pending)).to.equal(3);
		await caughtUp(late);
		expect(await logOf(late)).to.deep.equal(upTo(100));
	});

	it('takes in a new member by a snapshot, and replaces a voter by it', async () => {
		start();
		await cluster.startAll(three);
		const leader = await cluster.elected();
		await adds(leader, 1, 150);
		const [leaving, staying] = others(leader.selfId) as [MemberId, MemberId];
		await cluster.crash(leaving);
		await cluster.start(4);
		const wanted = [leader.selfId, staying, 4].sort((a, b) => a - b);
		for (const group of cluster.groups.values()) group.reconcileMembers(wanted.map(identity));
		await cluster.until('it votes', () => cluster.group(4).confState.voters.join() === wanted.join());
		await adds(leader, 151, 160);
		await caughtUp(4);
		expect(await logOf(4)).to.deep.equal(upTo(160));
		expect(
			cluster
				.group(4)
				.members()
				.map(({ id }) => id),
		).to.deep.equal(wanted);
	});

	it('sends a large one in pieces over a link that loses some, and goes on where it stood', async () => {
		const blob = 'x'.repeat(3 * 1024 * 1024);
		const machine = {
			...counter,
			snapshot: ({ total, log }: Counter) => Buffer.from(JSON.stringify({ total, log, blob })),
		};
		start({ machine });
		await cluster.startAll(three);
		const leader = await cluster.elected();
		const [late] = others(leader.selfId) as [MemberId];
		await adds(leader, 1, 5);
		cluster.network.split([], [late]);
		await adds(leader, 6, 60);
		const random = seededRandom(3);
		let chunks = 0;
		let bytesSent = 0;
		cluster.network.filter = (_from, to, bytes) => {
			if (to !== late || bytes[0] !== CHUNK_FRAME) return true;
			chunks++;
			bytesSent += bytes.length;
			// Cut off for a while in the middle.
			if (chunks === 12) {
				cluster.network.split([], [late]);
				cluster.clock.after(2_000, () => cluster.network.heal());
			}
			return random() > 0.2;
		};
		cluster.network.heal();
		await caughtUp(late);
		expect(await logOf(late)).to.deep.equal(upTo(60));
		expect(chunks).to.be.above(24);
		// Not from the beginning each time.
		expect(bytesSent).to.be.below(5 * blob.length);
	});

	it('goes on without a snapshot while there is no room for one', async () => {
		let isFull = true;
		start({
			machine: {
				...counter,
				snapshot: (state: Counter) => {
					if (isFull) throw new Error('no room');
					return counter.snapshot(state);
				},
			},
		});
		await cluster.startAll([1]);
		const only = await cluster.elected();
		await adds(only, 1, 100);
		expect(firstIndexOf(1)).to.equal(1);
		isFull = false;
		await adds(only, 101, 200);
		expect(firstIndexOf(1)).to.be.above(100);
	});

	it('refuses to start on a damaged or missing snapshot, and says which file and where', async () => {
		const disk = new Disk();
		start({ store: () => openFileLog({ directory: 'd', segmentBytes: 64 * 1024, fs: disk }) });
		await cluster.startAll([1]);
		await adds(await cluster.elected(), 1, 100);
		await cluster.crash(1);
		const [path, ...more] = [...disk.files.keys()].filter((name) => name.endsWith('.snap')) as [string];
		expect(more).to.deep.equal([]);
		const file = disk.files.get(path) as NonNullable<ReturnType<typeof disk.files.get>>;
		const { bytes } = file;
		for (const at of [0, 5, 20, 60, Math.floor(bytes.length / 2), bytes.length - 1]) {
			file.bytes = bytes.slice();
			file.bytes[at] = (bytes[at] as number) ^ 4;
			const error = await failureOf(cluster.start(1));
			expect([error.code, error.message.includes(path)], `byte ${at}`).to.deep.equal(['corrupt', true]);
		}
		file.bytes = bytes.subarray(0, 30);
		expect(await failureOf(cluster.start(1))).to.include({ code: 'corrupt' });
		disk.files.delete(path);
		expect((await failureOf(cluster.start(1))).message)
			.to.contain(path)
			.and.contain('missing');
		disk.files.set(path, { ...file, bytes });
		await cluster.start(1);
		await cluster.elected();
		expect(await logOf(1)).to.deep.equal(upTo(100));
	});

	it('takes no part of a snapshot whose bytes are not what their sum says', async () => {
		start();
		await cluster.startAll(three);
		const leader = await cluster.elected();
		const [late] = others(leader.selfId) as [MemberId];
		await adds(leader, 1, 5);
		await caughtUp(late);
		cluster.network.split([], [late]);
		await adds(leader, 6, 100);
		let garbled = 0;
		cluster.network.filter = (from, to, bytes) => {
			if (to !== late || bytes[0] !== CHUNK_FRAME || garbled >= 3) return true;
			const bad = bytes.slice();
			bad[bad.length - 60] = (bad[bad.length - 60] as number) ^ 1;
			garbled++;
			cluster.clock.after(1, () => cluster.network.inject(from, to, bad));
			return false;
		};
		cluster.network.heal();
		await caughtUp(late);
		expect(garbled).to.equal(3);
		expect(await logOf(late)).to.deep.equal(upTo(100));
		expect(cluster.events.filter(({ event }) => event.type === 'failed')).to.deep.equal([]);
	});

	describe('under crashes, partitions, loss and membership changes', () => {
		for (const seed of upTo(20)) {
			it(`loses nothing, applies nothing twice, and ends in one state (seed ${seed})`, async () => {
				const random = seededRandom(seed);
				const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
				start({
					seed,
					settings: { snapshotAfterBytes: 300 + random() * 1500, callTimeoutMs: 4000, quorumWaitMs: 1000 },
				});
				await cluster.startAll(three);
				let desired: MemberId[] = [...three];
				let next = 4;
				let lossRate = 0;
				cluster.network.filter = () => random() >= lossRate;
				const tell = (): void => {
					for (const group of cluster.groups.values()) group.reconcileMembers(desired.map(identity));
				};
				const acknowledged: number[] = [];
				const proposed = new Set<number>();
				const writes: Promise<void>[] = [];
				let command = 0;
				for (let turn = 0; turn < 60; turn++) {
					for (let i = 0; i < 4; i++) {
						const add = ++command;
						proposed.add(add);
						const call = pick([...cluster.groups.values()]).propose({ add });
						writes.push(
							call.then(
								() => void acknowledged.push(add),
								() => undefined,
							),
						);
					}
					const dice = random();
					lossRate = random() < 0.3 ? 0.15 : 0;
					if (dice < 0.25) {
						const victim = pick([...cluster.groups.keys()]);
						await cluster.crash(victim);
						await cluster.pass(random() * 400);
						await cluster.start(victim);
						tell();
					} else if (dice < 0.45) cluster.network.split([], [pick([...cluster.groups.keys()])]);
					else if (dice < 0.55) {
						const leaving = pick(desired);
						desired = [...desired.filter((id) => id !== leaving || desired.length < 3), next];
						await cluster.start(next++);
						tell();
					} else cluster.network.heal();
					await cluster.pass(random() * 250);
				}
				cluster.network.heal();
				lossRate = 0;
				await cluster.run(Promise.all(writes));
				const wanted = [...desired].sort((a, b) => a - b).join();
				await cluster.until('settled', () => cluster.leader?.confState.voters.join() === wanted, 60_000);
				const last = ++command;
				await cluster.run(cluster.group(pick(desired)).propose({ add: last }));
				await cluster.until('everybody has it', () =>
					desired.every((id) => cluster.group(id).appliedIndex === cluster.leader?.appliedIndex),
				);
				const log = await logOf(desired[0] as MemberId);
				expect(new Set(log).size, 'applied once').to.equal(log.length);
				expect(log).to.include.members([...acknowledged, last]);
				expect([...proposed, last]).to.include.members([...log]);
				for (const id of desired) expect(await logOf(id), `member ${id}`).to.deep.equal(log);
				expect(acknowledged.length).to.be.above(30);
				expect(desired.some((id) => firstIndexOf(id) > 1)).to.equal(true);
				expect(cluster.events.filter(({ event }) => event.type === 'failed')).to.deep.equal([]);
			});
		}
	});
});
