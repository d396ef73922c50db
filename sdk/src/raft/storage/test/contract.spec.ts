/** One suite for every LogStore. What a store promises is here; how a disk may fail it is in `file/test/`. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { isMeshError } from '../../../errors.ts';
import { EMPTY_CONF_STATE } from '../../core/config.ts';
import type { ConfState, Entry, SnapshotMeta } from '../../core/types.ts';
import { openFileLog } from '../file/file-log.ts';
import { Disk } from '../file/test/disk.ts';
import type { LogStore } from '../log-store.ts';
import { MemoryMedium, openMemoryLog } from '../memory/memory-log.ts';

interface Harness {
	/** A store on the same medium each time. */
	open(): LogStore;
	setFull(full: boolean): void;
	failNextSync(): void;
	cleanUp(): Promise<void>;
}

const SMALL = { segmentBytes: 16 * 1024, groupBytesMax: 4 * 1024 };

async function realFiles(): Promise<Harness> {
	const directory = await mkdtemp(join(tmpdir(), 'raft-log-'));
	return {
		open: () => openFileLog({ directory: join(directory, 'a', 'group'), ...SMALL }),
		setFull: () => expect.fail('a real disk is not filled in tests'),
		failNextSync: () => expect.fail('a real disk is not broken in tests'),
		cleanUp: () => rm(directory, { recursive: true }),
	};
}

async function filesOnTestDisk(): Promise<Harness> {
	const disk = new Disk();
	return {
		open: () => openFileLog({ directory: 'd', fs: disk, ...SMALL }),
		setFull: (full) => {
			disk.onWrite = (length) => (full ? 'ENOSPC' : length);
		},
		failNextSync: () => {
			disk.onSync = () => {
				disk.onSync = () => undefined;
				return 'EIO';
			};
		},
		cleanUp: async () => {},
	};
}

async function memory(): Promise<Harness> {
	const medium = new MemoryMedium();
	return {
		open: () => openMemoryLog(medium),
		setFull: (full) => {
			medium.full = full;
		},
		failNextSync: () => {
			medium.failNextSync = true;
		},
		cleanUp: async () => {},
	};
}

export function entry(index: number, term: number, text = `e${index}t${term}`): Entry {
	return { index, term, type: 'normal', data: Buffer.from(text) };
}

const run = (from: number, to: number, term: number): Entry[] =>
	Array.from({ length: to - from + 1 }, (_, i) => entry(from + i, term));

const plain = (entries: readonly Entry[]): string[] =>
	entries.map((e) => `${e.index}/${e.term}/${e.type}/${Buffer.from(e.data).toString()}`);

const conf = (...voters: number[]): ConfState => ({ ...EMPTY_CONF_STATE, voters });
const snapshotAt = (index: number, term: number): SnapshotMeta => ({ index, term, confState: conf(1, 2, 3) });

const CASES = [
	{ name: 'file log on a real disk', make: realFiles, breaks: false },
	{ name: 'file log on a test disk', make: filesOnTestDisk, breaks: true },
	{ name: 'memory log', make: memory, breaks: true },
];

for (const { name, make, breaks } of CASES) {
	describe(`LogStore contract: ${name}`, () => {
		let harness: Harness;
		let store: LogStore;

		beforeEach(async () => {
			harness = await make();
			store = harness.open();
		});
		afterEach(async () => {
			await store[Symbol.asyncDispose]();
			await harness.cleanUp();
		});

		async function reopen(): ReturnType<LogStore['recover']> {
			await store[Symbol.asyncDispose]();
			store = harness.open();
			return store.recover();
		}

		it('starts with nothing', async () => {
			const log = await store.recover();
			expect(log.hardState).to.equal(undefined);
			expect(log.confState).to.equal(undefined);
			expect(log.snapshot.index).to.equal(0);
			expect(log.entries).to.deep.equal([]);
			expect(log.tornBytes).to.equal(0);
		});

		it('remembers term and vote (Raft §5.2: a forgotten vote is cast twice)', async () => {
			await store.recover();
			await store.append({ hardState: { term: 3, vote: 2, commit: 0 } });
			await store.append({ hardState: { term: 4, vote: 0, commit: 0 } });
			expect((await reopen()).hardState).to.deep.equal({ term: 4, vote: 0, commit: 0 });
		});

		it('gives back every field of a batch', async () => {
			await store.recover();
			const change: Entry = { index: 2, term: 2 ** 40, type: 'conf-change', data: new Uint8Array([0, 255, 7]) };
			const batch = {
				hardState: { term: 2 ** 52, vote: 2 ** 50 + 1, commit: 1 },
				confState: { voters: [1, 2], votersOutgoing: [3], learners: [4], learnersNext: [5], autoLeave: true },
				entries: [{ index: 1, term: 1, type: 'normal', data: new Uint8Array(0) } as const, change],
			};
			await store.append(batch);
			const log = await reopen();
			expect(log.hardState).to.deep.equal(batch.hardState);
			expect(log.confState).to.deep.equal(batch.confState);
			expect(plain(log.entries)).to.deep.equal(plain(batch.entries));
		});

		it('keeps entries in order over many batches and files', async () => {
			await store.recover();
			const all = run(1, 600, 1);
			const pending: Promise<void>[] = [];
			for (let i = 0; i < all.length; i += 3) pending.push(store.append({ entries: all.slice(i, i + 3) }));
			await Promise.all(pending);
			const big = { index: 601, term: 2, type: 'normal', data: new Uint8Array(100_000).fill(7) } as const;
			await store.append({ entries: [big] });
			await store.append({ entries: [entry(602, 2)] });
			const log = await reopen();
			expect(plain(log.entries)).to.deep.equal(plain([...all, big, entry(602, 2)]));
		});

		it('replaces a suffix (Raft §5.3)', async () => {
			await store.recover();
			await store.append({ entries: run(1, 10, 1) });
			await store.append({ entries: [entry(6, 2), entry(7, 3)] });
			await store.append({ entries: [entry(8, 3)] });
			const expected = plain([...run(1, 5, 1), entry(6, 2), entry(7, 3), entry(8, 3)]);
			expect(plain((await reopen()).entries)).to.deep.equal(expected);
			await store.append({ entries: [entry(1, 4)] });
			expect(plain((await reopen()).entries)).to.deep.equal(plain([entry(1, 4)]));
		});

		it('makes batches durable in call order', async () => {
			await store.recover();
			const order: number[] = [];
			await Promise.all(run(1, 50, 1).map((e) => store.append({ entries: [e] }).then(() => order.push(e.index))));
			expect(order).to.deep.equal(run(1, 50, 1).map((e) => e.index));
		});

		it('refuses a gap, an index below the snapshot and a term that goes back', async () => {
			await store.recover();
			await store.append({ entries: run(1, 5, 2) });
			await store.compact(snapshotAt(3, 2));
			for (const bad of [[entry(7, 2)], [entry(3, 2)], [entry(6, 1)], [entry(6, 2), entry(8, 2)]]) {
				const error = await store.append({ entries: bad }).catch((e: unknown) => e);
				expect(error).to.be.instanceOf(RangeError);
			}
			await store.append({ entries: [entry(6, 2)] });
			expect(plain((await reopen()).entries)).to.deep.equal(plain(run(4, 6, 2)));
		});

		it('drops what a snapshot covers and keeps what follows it', async () => {
			await store.recover();
			await store.append({ hardState: { term: 2, vote: 1, commit: 200 }, confState: conf(1), entries: run(1, 200, 1) });
			await store.append({ entries: run(201, 1000, 2) });
			await store.compact(snapshotAt(900, 2));
			const log = await reopen();
			expect(log.snapshot).to.deep.equal(snapshotAt(900, 2));
			expect(plain(log.entries)).to.deep.equal(plain(run(901, 1000, 2)));
			expect(log.hardState).to.deep.equal({ term: 2, vote: 1, commit: 200 });
			expect(log.confState).to.deep.equal(conf(1));
			await store.compact(snapshotAt(500, 2));
			await store.append({ entries: [entry(1001, 2)] });
			expect((await reopen()).snapshot.index).to.equal(900);
		});

		it('discards a log that a snapshot contradicts (Raft §7)', async () => {
			await store.recover();
			await store.append({ confState: conf(1), entries: run(1, 20, 1) });
			const entries = run(11, 12, 2);
			await store.append({ hardState: { term: 2, vote: 0, commit: 10 }, snapshot: snapshotAt(10, 2), entries });
			const log = await reopen();
			expect(log.snapshot).to.deep.equal(snapshotAt(10, 2));
			expect(log.confState).to.deep.equal(conf(1, 2, 3));
			expect(plain(log.entries)).to.deep.equal(plain(entries));
		});

		it('installs a snapshot far ahead of the log, again and again', async () => {
			await store.recover();
			await store.append({ entries: run(1, 300, 1) });
			await store.append({ snapshot: snapshotAt(5000, 3), entries: run(5001, 5400, 3) });
			await store.append({ snapshot: snapshotAt(9000, 3) });
			await store.append({ entries: run(9001, 9003, 4) });
			const log = await reopen();
			expect(log.snapshot.index).to.equal(9000);
			expect(plain(log.entries)).to.deep.equal(plain(run(9001, 9003, 4)));
		});

		it('is open in one place only', async () => {
			await store.recover();
			const second = harness.open();
			const error = await second.recover().catch((e: unknown) => e);
			expect(isMeshError(error, 'conflict')).to.equal(true);
			await second[Symbol.asyncDispose]();
			await store.append({ entries: [entry(1, 1)] });
		});

		it('refuses to write before recovery and after its end', async () => {
			const early = await store.append({ entries: [entry(1, 1)] }).catch((e: unknown) => e);
			expect(isMeshError(early, 'internal')).to.equal(true);
			await store.recover();
			await store[Symbol.asyncDispose]();
			const late = await store.append({ entries: [entry(1, 1)] }).catch((e: unknown) => e);
			expect(isMeshError(late, 'internal')).to.equal(true);
		});

		if (!breaks) return;

		it('acknowledges nothing while the disk is full, and goes on when there is room', async () => {
			await store.recover();
			await store.append({ entries: run(1, 3, 1) });
			harness.setFull(true);
			const refused = await Promise.all(
				[4, 5, 6].map((i) => store.append({ entries: [entry(i, 1)] }).catch((e: unknown) => e)),
			);
			for (const error of refused) expect(isMeshError(error, 'disk_full')).to.equal(true);
			harness.setFull(false);
			await store.append({ entries: [entry(4, 2)] });
			expect(plain((await reopen()).entries)).to.deep.equal(plain([...run(1, 3, 1), entry(4, 2)]));
		});

		it('is dead after a failed sync and never tries again (fsyncgate)', async () => {
			await store.recover();
			await store.append({ entries: [entry(1, 1)] });
			harness.failNextSync();
			for (let i = 0; i < 3; i++) {
				const error = await store.append({ entries: [entry(2, 1)] }).catch((e: unknown) => e);
				expect(isMeshError(error, 'internal')).to.equal(true);
			}
		});

		describe('snapshots', () => {
			const parts = [Buffer.from('one'), Buffer.alloc(5000, 7), Buffer.from('three')];
			const write = async (index: number): Promise<void> => {
				const writer = await store.snapshots.create();
				for (const part of parts) await writer.write(part);
				await writer.commit(index);
			};
			const read = async (index: number): Promise<string | undefined> => {
				const reader = await store.snapshots.open(index);
				const bytes = reader && (await reader.read(0, reader.bytes));
				await reader?.close();
				return bytes && Buffer.from(bytes).toString();
			};

			it('are found by their index once they are whole, also after a restart', async () => {
				await store.recover();
				expect(await read(5)).to.equal(undefined);
				const writer = await store.snapshots.create();
				await writer.write(Buffer.from('half'));
				expect(await read(5)).to.equal(undefined);
				await writer.abandon();
				await write(5);
				await reopen();
				expect(await read(5)).to.equal(Buffer.concat(parts).toString());
				const reader = await store.snapshots.open(5);
				expect(Buffer.from((await reader?.read(1, 4)) ?? []).toString()).to.equal('ne\u0007\u0007');
				await reader?.close();
			});

			it('go when newer ones are there, and a reader that is at it still reads to its end', async () => {
				await store.recover();
				for (const index of [5, 9, 12]) await write(index);
				const reader = await store.snapshots.open(5);
				await store.snapshots.removeBefore(9);
				expect([await read(5), (await read(9))?.length, (await read(12))?.length]).to.deep.equal([
					undefined,
					5008,
					5008,
				]);
				expect(await reader?.read(0, 3)).to.have.length(3);
				await reader?.close();
				await store.snapshots.keepOnly(9);
				expect([await read(12), (await read(9))?.length]).to.deep.equal([undefined, 5008]);
			});

			if (breaks) {
				it('find no room, leave nothing behind, and go on when there is some', async () => {
					await store.recover();
					harness.setFull(true);
					const writer = await store.snapshots.create();
					const error = await writer.write(Buffer.from('x')).then(
						() => undefined,
						(failed: unknown) => failed,
					);
					expect(isMeshError(error, 'disk_full')).to.equal(true);
					await writer.abandon();
					harness.setFull(false);
					await write(3);
					expect((await read(3))?.length).to.equal(5008);
				});
			}
		});
	});
}
