/** What a disk can do to a log, and what must come of it: repaired, refused with the position, or dead. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { isMeshError, type MeshError } from '../../../../errors.ts';
import { EMPTY_CONF_STATE } from '../../../core/config.ts';
import type { Entry } from '../../../core/types.ts';
import type { LogStore, RecoveredLog } from '../../log-store.ts';
import { openFileLog } from '../file-log.ts';
import { Disk } from './disk.ts';

const SEGMENT_BYTES = 16 * 1024;
const FIRST = 'd/0000000001.wal';
const HEADER_BYTES = 4096;

const open = (disk: Disk): LogStore => openFileLog({ directory: 'd', fs: disk, segmentBytes: SEGMENT_BYTES });
const entry = (index: number, text = `entry ${index}`): Entry => ({
	index,
	term: 1,
	type: 'normal',
	data: Buffer.from(text),
});
const indices = (log: RecoveredLog): number[] => log.entries.map((e) => e.index);
const upTo = (last: number): number[] => Array.from({ length: last }, (_, i) => i + 1);
const failure = (promise: Promise<unknown>): Promise<MeshError> =>
	promise.then(
		() => expect.fail('should have been refused'),
		(error: unknown) => error as MeshError,
	);

/** A log of `count` batches, each durable before the next; `ends[i]` is where batch i+1 begins. */
async function written(count: number): Promise<{ disk: Disk; ends: number[] }> {
	const disk = new Disk();
	const store = open(disk);
	await store.recover();
	const ends = [HEADER_BYTES];
	for (let i = 1; i <= count; i++) {
		await store.append({ hardState: { term: 1, vote: 1, commit: i - 1 }, entries: [entry(i)] });
		ends.push(HEADER_BYTES + store.stats.bytes);
	}
	await store[Symbol.asyncDispose]();
	return { disk, ends };
}

async function recovered(disk: Disk): Promise<RecoveredLog> {
	const store = open(disk);
	try {
		return await store.recover();
	} finally {
		await store[Symbol.asyncDispose]();
	}
}

function copyOf(disk: Disk): Disk {
	return disk.afterPowerCut(() => true);
}

const bytesOf = (disk: Disk, path: string): Uint8Array => {
	const file = disk.files.get(path);
	if (file === undefined) throw new Error(`${path} is missing`);
	return file.bytes;
};

describe('file log: torn writes', () => {
	it('cuts off a last write torn at any byte, reports it, and goes on', async () => {
		const { disk, ends } = await written(4);
		const [start, end] = [ends[3] as number, ends[4] as number];
		for (let cut = start; cut < end; cut++) {
			const torn = copyOf(disk);
			bytesOf(torn, FIRST).fill(0, cut);
			const log = await recovered(torn);
			// Zeros are what the segment was full of: only what differs from them can be missed, or counted.
			if (indices(log).length === 4)
				expect(bytesOf(torn, FIRST).slice(cut, end)).to.satisfy((b: Uint8Array) => b.every((x) => x === 0));
			else {
				expect(indices(log)).to.deep.equal(upTo(3));
				expect(log.tornBytes).to.be.at.most(cut - start);
				if (cut > start) expect(log.tornBytes).to.be.greaterThan(0);
			}
			const store = open(torn);
			await store.recover();
			const next = indices(log).length + 1;
			await store.append({ entries: [entry(next, 'after the repair')] });
			await store[Symbol.asyncDispose]();
			expect(indices(await recovered(torn))).to.deep.equal(upTo(next));
		}
	});

	it('keeps every acknowledged entry over power cuts that keep any subset of unsynced sectors', async () => {
		let seed = 1;
		const random = (): number => {
			seed = (seed * 48271) % 0x7fff_ffff;
			return seed / 0x7fff_ffff;
		};
		for (let round = 0; round < 300; round++) {
			const disk = new Disk();
			const store = open(disk);
			await store.recover();
			let acknowledged = 0;
			let syncsLeft = 1 + Math.floor(random() * 12);
			let image: Disk | undefined;
			disk.onSync = () => {
				// The power goes while this sync is under way: nothing of it is acknowledged.
				if (image === undefined && --syncsLeft === 0) image = disk.afterPowerCut(() => random() < 0.5);
				return image === undefined ? undefined : 'EIO';
			};
			for (let i = 1; image === undefined; ) {
				const burst = Array.from({ length: 1 + Math.floor(random() * 5) }, () =>
					entry(i++, 'x'.repeat(random() * 900)),
				);
				await Promise.all(burst.map((e) => store.append({ entries: [e] }).then(() => acknowledged++))).catch(
					() => undefined,
				);
			}
			const log = await recovered(image);
			expect(log.entries.length, `round ${round}`).to.be.at.least(acknowledged);
			expect(indices(log)).to.deep.equal(upTo(log.entries.length));
			expect(indices(await recovered(image))).to.deep.equal(indices(log));
		}
	});
});

describe('file log: corruption', () => {
	it('refuses a flipped bit anywhere before the last record, with file and position', async () => {
		const { disk, ends } = await written(4);
		const last = ends[3] as number;
		for (let at = HEADER_BYTES; at < last; at++) {
			const bad = copyOf(disk);
			const bytes = bytesOf(bad, FIRST);
			bytes[at] = (bytes[at] as number) ^ (1 << (at % 8));
			const record = ends.findLast((end) => end <= at) as number;
			const outcome = await recovered(bad).catch((error: unknown) => error as MeshError);
			if (!(outcome instanceof Error)) {
				// Padding behind a record belongs to nobody.
				expect(indices(outcome)).to.deep.equal(upTo(4));
				continue;
			}
			expect(outcome.code).to.equal('corrupt');
			expect(outcome.details).to.deep.equal({ file: FIRST, position: record });
			expect(outcome.message).to.include(`byte ${record}`).and.to.include('join as a new member');
		}
	});

	it('refuses zeros over an acknowledged record', async () => {
		const { disk, ends } = await written(4);
		bytesOf(disk, FIRST).fill(0, ends[1], ends[2]);
		expect((await failure(recovered(disk))).details).to.deep.equal({ file: FIRST, position: ends[1] });
	});

	it('refuses a damaged record at the end of a file that has a successor', async () => {
		const disk = new Disk();
		const store = open(disk);
		await store.recover();
		for (let i = 1; i <= 40; i++) await store.append({ entries: [entry(i, 'x'.repeat(1000))] });
		await store[Symbol.asyncDispose]();
		const bytes = bytesOf(disk, FIRST);
		const last = bytes.lastIndexOf(0x78);
		bytes[last] = 0;
		const error = await failure(recovered(disk));
		expect(error.code).to.equal('corrupt');
		expect(error.message).to.include('0000000002.wal follows');
	});

	it('refuses a missing file in the middle, a damaged header and a file of another log', async () => {
		const make = async (): Promise<Disk> => {
			const disk = new Disk();
			const store = open(disk);
			await store.recover();
			for (let i = 1; i <= 60; i++) await store.append({ entries: [entry(i, 'x'.repeat(1000))] });
			await store[Symbol.asyncDispose]();
			return disk;
		};
		const missing = await make();
		missing.files.delete('d/0000000002.wal');
		expect((await failure(recovered(missing))).message).to.include('0000000002.wal');

		const damaged = await make();
		bytesOf(damaged, 'd/0000000003.wal')[9] = 77;
		expect((await failure(recovered(damaged))).details).to.deep.equal({ file: 'd/0000000003.wal', position: 0 });

		const mixed = await make();
		const stranger = (await make()).files.get('d/0000000003.wal');
		if (stranger !== undefined) mixed.files.set('d/0000000003.wal', stranger);
		expect((await failure(recovered(mixed))).code).to.equal('corrupt');
	});

	it('removes a spare file that a crash left unfinished', async () => {
		const { disk } = await written(2);
		disk.files.set('d/spare.tmp', { bytes: new Uint8Array(100), durable: new Uint8Array(100) });
		expect(indices(await recovered(disk))).to.deep.equal(upTo(2));
		expect(disk.files.has('d/spare.tmp')).to.equal(false);
	});
});

describe('file log: failing disk', () => {
	it('writes on after a short write', async () => {
		const disk = new Disk();
		disk.onWrite = (length) => Math.min(length, 100);
		const store = open(disk);
		await store.recover();
		await store.append({ entries: [entry(1, 'x'.repeat(2000))] });
		await store[Symbol.asyncDispose]();
		expect(indices(await recovered(disk))).to.deep.equal([1]);
	});

	it('is dead after EIO from a write', async () => {
		const { disk } = await written(1);
		const store = open(disk);
		await store.recover();
		disk.onWrite = () => 'EIO';
		expect((await failure(store.append({ entries: [entry(2)] }))).code).to.equal('internal');
		disk.onWrite = (length) => length;
		expect((await failure(store.append({ entries: [entry(2)] }))).message).to.include('must not be written again');
	});

	it('takes ENOSPC from a sync for a failed sync, not for a full disk', async () => {
		const { disk } = await written(1);
		const store = open(disk);
		await store.recover();
		disk.onSync = () => 'ENOSPC';
		expect((await failure(store.append({ entries: [entry(2)] }))).code).to.equal('internal');
	});

	it('has no room for the next file, refuses, loses nothing, and goes on after space was freed', async () => {
		const disk = new Disk();
		disk.freeBytes = SEGMENT_BYTES * 2.5;
		const store = open(disk);
		await store.recover();
		let stored = 0;
		let error: unknown;
		while (error === undefined) {
			await store.append({ entries: [entry(stored + 1, 'x'.repeat(1000))] }).then(
				() => stored++,
				(refusal: unknown) => {
					error = refusal;
				},
			);
		}
		expect(isMeshError(error, 'disk_full')).to.equal(true);
		expect(stored).to.be.greaterThan(15);
		expect((await failure(store.append({ entries: [entry(stored + 1, 'y'.repeat(1000))] }))).code).to.equal(
			'disk_full',
		);
		expect([...disk.files.keys()].filter((path) => path.endsWith('.tmp'))).to.deep.equal([]);
		disk.freeBytes = SEGMENT_BYTES * 4;
		await store.append({ entries: [entry(stored + 1, 'z'.repeat(1000))] });
		await store[Symbol.asyncDispose]();
		expect(indices(await recovered(disk))).to.deep.equal(upTo(stored + 1));
	});

	it('leaves nothing of a half-written group that found no room', async () => {
		const { disk } = await written(2);
		const store = open(disk);
		await store.recover();
		let writes = 0;
		disk.onWrite = (length) => (writes++ === 0 ? Math.floor(length / 2) : 'ENOSPC');
		const group = [3, 4, 5].map((i) => failure(store.append({ entries: [entry(i, 'lost')] })));
		for (const error of await Promise.all(group)) expect(error.code).to.equal('disk_full');
		disk.onWrite = (length) => length;
		await store.append({ entries: [entry(3, 'kept')] });
		await store[Symbol.asyncDispose]();
		const log = await recovered(disk);
		expect(indices(log)).to.deep.equal(upTo(3));
		expect(Buffer.from(log.entries[2]?.data ?? []).toString()).to.equal('kept');
	});

	it('shares one sync among batches that wait together', async () => {
		const { disk } = await written(1);
		const store = open(disk);
		await store.recover();
		await Promise.all(Array.from({ length: 50 }, (_, i) => store.append({ entries: [entry(i + 2)] })));
		expect(store.stats.syncs).to.equal(1);
		await store[Symbol.asyncDispose]();
	});

	it('deletes files that a snapshot covers, oldest first, and opens without them', async () => {
		const disk = new Disk();
		const store = open(disk);
		await store.recover();
		for (let i = 1; i <= 100; i++)
			await store.append({ hardState: { term: 1, vote: 3, commit: i - 1 }, entries: [entry(i, 'x'.repeat(1000))] });
		const before = disk.files.size;
		await store.compact({
			index: 80,
			term: 1,
			confState: { voters: [1], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false },
		});
		expect(disk.files.size).to.be.lessThan(before - 3);
		expect(disk.files.has(FIRST)).to.equal(false);
		await store[Symbol.asyncDispose]();
		const log = await recovered(disk);
		expect(indices(log)).to.deep.equal(upTo(100).slice(80));
		expect(log.hardState).to.deep.equal({ term: 1, vote: 3, commit: 99 });
	});
});

describe('file log: snapshots', () => {
	it('over a power cut at any moment there is the old story or the new one, and every entry after it', async () => {
		let seed = 1;
		const random = (): number => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647;
		for (let run = 0; run < 300; run++) {
			const disk = new Disk();
			const store = open(disk);
			await store.recover();
			await store.append({ hardState: { term: 1, vote: 1, commit: 20 }, entries: upTo(20).map((i) => entry(i)) });
			let isDurable = 0;
			let image: Disk | undefined;
			const cutAt = Math.floor(random() * 12);
			let operation = 0;
			const step = (): void => {
				if (operation++ === cutAt) image = disk.afterPowerCut(() => random() < 0.5);
			};
			disk.onWrite = (length) => {
				step();
				return length;
			};
			disk.onSync = () => {
				step();
				return undefined;
			};
			for (const index of [8, 15]) {
				const writer = await store.snapshots.create();
				await writer.write(Buffer.from(`state ${index}`));
				await writer.commit(index);
				await store.compact({ index, term: 1, confState: EMPTY_CONF_STATE });
				if (image === undefined) isDurable = index;
				step();
				await store.snapshots.removeBefore(index);
			}
			await store[Symbol.asyncDispose]();
			const after = open(image ?? disk.afterPowerCut(() => false));
			const log = await after.recover();
			await after.snapshots.keepOnly(log.snapshot.index);
			expect(log.snapshot.index, `run ${run}`).to.be.at.least(isDurable);
			expect(indices(log)).to.deep.equal(upTo(20).filter((index) => index > log.snapshot.index));
			if (log.snapshot.index > 0) {
				const reader = await after.snapshots.open(log.snapshot.index);
				const state = await reader?.read(0, reader.bytes);
				expect(Buffer.from(state ?? []).toString()).to.equal(`state ${log.snapshot.index}`);
			}
			await after[Symbol.asyncDispose]();
		}
	});
});

describe('file log: lock', () => {
	it('is held by a live process and free after its SIGKILL', async () => {
		const directory = await mkdtemp(join(tmpdir(), 'raft-lock-'));
		const holder = `
			import { openFileLog } from ${JSON.stringify(new URL('../file-log.ts', import.meta.url).href)};
			const store = openFileLog({ directory: ${JSON.stringify(directory)}, segmentBytes: 65536 });
			await store.recover();
			await store.append({ hardState: { term: 7, vote: 1, commit: 0 } });
			process.stdout.write('held');
			setInterval(() => {}, 1000);`;
		const child = spawn(process.execPath, ['--input-type=module', '--eval', holder], {
			stdio: ['ignore', 'pipe', 'inherit'],
		});
		await once(child.stdout, 'data');
		const store = openFileLog({ directory });
		expect((await failure(store.recover())).code).to.equal('conflict');
		child.kill('SIGKILL');
		await once(child, 'exit');
		const next = openFileLog({ directory });
		expect((await next.recover()).hardState?.term).to.equal(7);
		await next[Symbol.asyncDispose]();
		await rm(directory, { recursive: true });
	});
});
