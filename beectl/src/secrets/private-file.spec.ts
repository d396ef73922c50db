import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { withFileLock } from './file-lock.ts';
import { createPrivateFile, readPrivateFile, replacePrivateFile } from './private-file.ts';

const WORDS = { what: 'the example', option: '--example', missing: 'make one' };

describe('a private file', () => {
	let folder: string;
	let file: string;
	beforeEach(async () => {
		folder = await mkdtemp(join(tmpdir(), 'beectl-private-'));
		file = join(folder, 'a', 'b', 'file');
	});
	afterEach(() => rm(folder, { recursive: true }));
	const refusal = (act: Promise<unknown>): Promise<Error & { code: string }> =>
		act.then(
			() => expect.fail('it was done'),
			(error: Error & { code: string }) => error,
		);

	it('is 0600 in folders that are 0700, and nothing else is left', async () => {
		await createPrivateFile(file, 'one', WORDS);
		expect((await stat(file)).mode & 0o777).to.equal(0o600);
		expect((await stat(join(folder, 'a'))).mode & 0o777).to.equal(0o700);
		await replacePrivateFile(file, 'two', WORDS);
		expect((await stat(file)).mode & 0o777).to.equal(0o600);
		expect(await readPrivateFile(file, WORDS)).to.equal('two');
		expect(await readdir(join(folder, 'a', 'b'))).to.deep.equal(['file']);
	});

	it('is not made over another one, nor through a link that leads nowhere', async () => {
		await createPrivateFile(file, 'one', WORDS);
		expect((await refusal(createPrivateFile(file, 'two', WORDS))).code).to.equal('conflict');
		expect(await readFile(file, 'utf8')).to.equal('one');
		const link = join(folder, 'link');
		await symlink(join(folder, 'nowhere'), link);
		expect((await refusal(createPrivateFile(link, 'two', WORDS))).code).to.equal('conflict');
		expect(await readdir(folder)).to.deep.equal(['a', 'link']);
	});

	it('is read only when nobody else can', async () => {
		expect((await refusal(readPrivateFile(file, WORDS))).message).to.equal(
			`there is no example at ${file}; make one, or name another file with --example`,
		);
		await createPrivateFile(file, 'one', WORDS);
		for (const mode of [0o604, 0o640, 0o602, 0o611]) {
			await chmod(file, mode);
			expect((await refusal(readPrivateFile(file, WORDS))).code, mode.toString(8)).to.equal('unauthorized');
		}
		expect((await refusal(readPrivateFile(folder, WORDS))).code).to.equal('invalid_input');
	});

	it('is changed by one at a time', async () => {
		await createPrivateFile(file, 'one', WORDS);
		const other = await withFileLock(file, () => refusal(withFileLock(file, async () => 'both')));
		expect(other.code).to.equal('conflict');
		expect(other.message).to.contain(`process ${process.pid}`).and.contain(`${file}.lock`);
		expect(await withFileLock(file, async () => 'next')).to.equal('next');
		await refusal(withFileLock(file, () => Promise.reject(new Error('failed'))));
		expect(await readdir(join(folder, 'a', 'b'))).to.deep.equal(['file']);
		await writeFile(`${file}.lock`, '');
		expect((await refusal(withFileLock(file, async () => ''))).message).to.contain('process unknown');
	});
});
