import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryStream } from '../../memory/pair.ts';
import { dialUnix, listenUnix } from '../../socket.ts';
import type { ByteStream } from '../../transport.ts';
import { type StreamPair, sessionSuite } from './session-suite.ts';

sessionSuite('a pair in memory', async (): Promise<StreamPair> => {
	const [near, far] = MemoryStream.pair();
	return {
		near,
		far,
		[Symbol.asyncDispose]: async () => {
			near.abort(new Error('the test is over'));
		},
	};
});

sessionSuite('a unix socket', async (): Promise<StreamPair> => {
	const directory = await mkdtemp(join(tmpdir(), 'session-'));
	let accept: (stream: ByteStream) => void = () => undefined;
	const accepted = new Promise<ByteStream>((resolve) => {
		accept = resolve;
	});
	const listener = await listenUnix(join(directory, 's'), (stream) => accept(stream));
	const near = await dialUnix(listener.path);
	const far = await accepted;
	return {
		near,
		far,
		[Symbol.asyncDispose]: async () => {
			near.abort(new Error('the test is over'));
			await listener.close();
			await rm(directory, { recursive: true });
		},
	};
});
