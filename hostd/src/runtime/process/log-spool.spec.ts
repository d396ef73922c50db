import { mkdirSync, mkdtempSync, renameSync, rmdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { LogSpool } from './log-spool.ts';
import { writeExit } from './supervisor.ts';

describe('the log of a container', () => {
	let folder: string;
	let spool: LogSpool;
	const write = (text: string): void => void writeSync(spool.descriptors[0], text);
	const texts = (): string[] => spool.read().map(({ line }) => line);

	beforeEach(() => {
		folder = mkdtempSync(join(tmpdir(), 'log-spool-'));
		spool = new LogSpool(folder, 'main');
	});
	afterEach(() => {
		spool.close();
		rmSync(folder, { recursive: true });
	});

	it('goes on after a time in which nothing could be written, and says how much is missing', () => {
		const followed: string[] = [];
		spool.subscribe(({ line }) => followed.push(line));
		write('one\n');
		spool.pump();
		renameSync(join(folder, 'main.log'), join(folder, 'kept'));
		// A folder in its place refuses writes to root, too.
		mkdirSync(join(folder, 'main.log'));
		write('two\nthree\n');
		spool.pump();
		write('four\n');
		spool.pump();
		rmdirSync(join(folder, 'main.log'));
		renameSync(join(folder, 'kept'), join(folder, 'main.log'));
		write('five\n');
		spool.pump();
		expect(followed).to.deep.equal(['one', 'two', 'three', 'four', 'five']);
		const [first, gap, last, ...more] = texts();
		expect([first, last, more]).to.deep.equal(['one', 'five', []]);
		expect(gap).to.match(/^\[3 lines of log lost: EISDIR/);
	});

	it('does not fail when its folder is gone', () => {
		rmSync(join(folder), { recursive: true });
		write('nowhere\n');
		spool.pump(true);
		mkdirSync(folder);
	});
});

describe('the end of a container', () => {
	it('is known to this hostd even where it cannot be written down', () => {
		const { finishedAtMs, ...exit } = writeExit('/nowhere/at/all/main.exit', 137, 'OOMKilled');
		expect(exit).to.deep.equal({ exitCode: 137, reason: 'OOMKilled' });
		expect(finishedAtMs).to.be.closeTo(Date.now(), 10_000);
	});
});
