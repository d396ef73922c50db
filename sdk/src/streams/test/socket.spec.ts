import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { dialUnix, listenUnix } from '../socket.ts';
import type { ByteStream } from '../transport.ts';
import { failure, pattern, readAll, writeAll } from './transport-suite.ts';

describe('unix sockets', () => {
	let directory: string;
	let path: string;

	beforeEach(async () => {
		directory = await mkdtemp(join(tmpdir(), 'sock-'));
		path = join(directory, 'run', 'test.sock');
	});
	afterEach(() => rm(directory, { recursive: true }));

	it('are 0600 in a directory of 0700, and gone after close', async () => {
		const listener = await listenUnix(path, () => undefined);
		expect((await stat(path)).mode & 0o777).to.equal(0o600);
		expect((await stat(join(directory, 'run'))).mode & 0o777).to.equal(0o700);
		await listener.close();
		expect(await stat(path).catch((error: NodeJS.ErrnoException) => error.code)).to.equal('ENOENT');
	});

	it('carry bytes both ways, with half-close and backpressure', async () => {
		const accepted = Promise.withResolvers<ByteStream>();
		await using listener = await listenUnix(path, accepted.resolve);
		const near = await dialUnix(listener.path);
		const far = await accepted.promise;
		const bytes = pattern(3_000_000);
		const sending = writeAll(near, bytes, 50_000).then(() => near.close());
		expect(Buffer.compare(await readAll(far), bytes)).to.equal(0);
		await Promise.all([writeAll(far, bytes, 50_000).then(() => far.close()), readAll(near), sending]);
	});

	it('refuse a second listener while the first lives, and tell which path', async () => {
		await using listener = await listenUnix(path, () => undefined);
		const error = await failure(listenUnix(listener.path, () => undefined));
		expect(error.code).to.equal('conflict');
		expect(error.message).to.contain(path);
	});

	it('of a dead process are replaced', async () => {
		await listenUnix(path, () => undefined).then((listener) => listener.close());
		const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`;
		const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
		await once(child.stdout, 'data');
		child.kill('SIGKILL');
		await once(child, 'exit');
		expect((await stat(path)).isSocket()).to.equal(true);
		expect((await failure(dialUnix(path))).message).to.match(/nobody listens/);
		await using listener = await listenUnix(path, () => undefined);
		(await dialUnix(listener.path)).abort(new Error('done'));
	});

	it('say what is missing, and where', async () => {
		const missing = await failure(dialUnix(path));
		expect(missing.code).to.equal('unavailable');
		expect(missing.message).to.contain(path);
		const long = await failure(listenUnix(join(directory, 'x'.repeat(120)), () => undefined));
		expect(long.code).to.equal('invalid_input');
	});

	if (process.getuid?.() === 0) {
		it('do not live in a directory of another user, though it is closed to the rest', async () => {
			const foreign = await mkdtemp(join(directory, 'foreign-'));
			await chown(foreign, 65_534, 65_534);
			const error = await failure(listenUnix(join(foreign, 's'), () => undefined));
			expect(error.code).to.equal('unauthorized');
			expect(error.message).to.contain('belongs to user 65534');
		});
	}

	it('do not replace a file that is no socket, nor live in a directory of everybody', async () => {
		const file = join(directory, 'file');
		await writeFile(file, 'precious');
		expect((await failure(listenUnix(file, () => undefined))).code).to.equal('conflict');
		const shared = await mkdtemp(join(directory, 'shared-'));
		await chmod(shared, 0o1777);
		expect((await failure(listenUnix(join(shared, 's'), () => undefined))).code).to.equal('unauthorized');
	});
});
