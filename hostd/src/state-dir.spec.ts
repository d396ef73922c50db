import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isMeshError } from '@beemesh/sdk/errors';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { holdStateDir } from './state-dir.ts';

describe('the state folder', () => {
	let folder: string;
	let dir: string;
	let holder: ChildProcess | undefined;

	beforeEach(async () => {
		folder = await mkdtemp(join(tmpdir(), 'hostd-state-'));
		dir = join(folder, 'deep', 'state');
	});
	afterEach(async () => {
		holder?.kill('SIGKILL');
		holder = undefined;
		await rm(folder, { recursive: true });
	});

	/** Another process that holds the folder until it is killed. */
	async function heldByAnother(): Promise<ChildProcess> {
		const module = new URL('./state-dir.ts', import.meta.url).href;
		const code = `const { holdStateDir } = await import(${JSON.stringify(module)});
			await holdStateDir(process.argv[1]); console.log('held'); setInterval(() => {}, 1e6);`;
		const child = spawn(process.execPath, ['--conditions=source', '--input-type=module', '-e', code, dir], {
			stdio: ['ignore', 'pipe', 'inherit'],
		});
		holder = child;
		await once(child.stdout as NonNullable<typeof child.stdout>, 'data');
		return child;
	}

	async function refusal(): Promise<Error> {
		return holdStateDir(dir).then(
			() => {
				throw new Error('was not refused');
			},
			(error: Error) => error,
		);
	}

	it('is made, closed to others, and free again after its hostd', async () => {
		const held = await holdStateDir(dir);
		expect((await stat(dir)).mode & 0o777).to.equal(0o700);
		expect(await readdir(dir)).to.deep.equal(['hostd.lock']);
		await held[Symbol.asyncDispose]();
		expect(await readdir(dir)).to.deep.equal([]);
		await (await holdStateDir(dir))[Symbol.asyncDispose]();
	});

	it('belongs to one hostd at a time: a second one is told whose it is', async () => {
		const { pid } = await heldByAnother();
		const error = await refusal();
		expect(isMeshError(error, 'conflict'), error.message).to.equal(true);
		expect(error.message).to.contain(`another hostd (pid ${pid}) uses the state folder ${dir}`);
		expect(await readdir(dir)).to.deep.equal(['hostd.lock']);
	}).timeout(10_000);

	it('is taken over from a hostd that was killed, even in the moment of its death', async () => {
		(await heldByAnother()).kill('SIGKILL');
		await using _held = await holdStateDir(dir);
		expect(await readdir(dir)).to.deep.equal(['hostd.lock']);
	}).timeout(10_000);

	it('is taken over from a process whose number another one has now, and from a torn lock', async () => {
		await (await holdStateDir(dir))[Symbol.asyncDispose]();
		for (const text of [JSON.stringify({ pid: process.pid, startTicks: 1, bootId: 'another boot' }), '', '{"pid":']) {
			await writeFile(join(dir, 'hostd.lock'), text);
			await (await holdStateDir(dir))[Symbol.asyncDispose]();
		}
	});

	it('says what to do when it cannot be used', async () => {
		await writeFile(join(folder, 'file'), '');
		dir = join(folder, 'file');
		const error = await refusal();
		expect(isMeshError(error, 'unavailable')).to.equal(true);
		expect(error.message).to.match(/cannot use .*file as the state folder: .*; run hostd as the user that owns it, or/);
	});
});
