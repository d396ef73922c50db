import type { ByteStream } from '@beemesh/sdk/streams';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { Relays } from '../relay.ts';
import { streamPair, tapped } from './streams.ts';

/** `[one end, the other end]` of a chain with a relay in the middle, and when that is over. */
async function chain(relays = new Relays()): Promise<{ a: ByteStream; b: ByteStream; over: Promise<void> }> {
	const [a, left] = await streamPair();
	const [right, b] = await streamPair();
	return { a, b, over: relays.join(left, right) };
}

async function textOf(stream: ByteStream): Promise<string> {
	return Buffer.concat(await Array.fromAsync(stream.source)).toString();
}

describe('a relay', () => {
	it('carries both directions, and ends each when its sender does', async () => {
		const { a, b, over } = await chain();
		a.write(new TextEncoder().encode('from a'));
		await a.close();
		expect(await textOf(b)).to.equal('from a');
		b.write(new TextEncoder().encode('from b'));
		await b.close();
		expect(await textOf(a)).to.equal('from b');
		await over;
	});

	it('breaks both sides when one breaks', async () => {
		const { a, b, over } = await chain();
		a.abort(new Error('gone'));
		const end = await textOf(b).catch((error: Error) => error);
		expect(end).to.be.instanceOf(Error);
		await over;
	});

	it('reads no faster than the other side takes it', async () => {
		const [a, left] = await streamPair();
		const [right, b] = await streamPair();
		let read = 0;
		const counted = tapped(left, (chunk, direction) => {
			if (direction === 'in') read += chunk.byteLength;
			return [chunk];
		});
		const over = new Relays().join(counted, right);
		const chunk = new Uint8Array(64 * 1024);
		const total = 64;
		const writing = (async () => {
			for (let i = 0; i < total; i++) if (!a.write(chunk)) await a.drained();
			await a.close();
		})();
		const source = b.source[Symbol.asyncIterator]();
		let received = 0;
		for (;;) {
			const { done, value } = await source.next();
			if (done) break;
			received += value.byteLength;
			// What a stream buffers, and no more.
			expect(read - received).to.be.at.most(1024 * 1024);
		}
		expect(received).to.equal(total * chunk.byteLength);
		await writing;
		await b.close();
		await over;
	});

	it('ends when nobody says anything', async () => {
		const { b, over } = await chain(new Relays({ idleMs: 20 }));
		const end = await textOf(b).catch((error: Error) => error);
		expect(end).to.be.instanceOf(Error);
		await over;
	});

	it('is one of so many at a time', () => {
		const relays = new Relays({ relaysMax: 2 });
		const first = relays.begin();
		relays.begin();
		expect(() => relays.begin())
			.to.throw('carries 2 sessions')
			.with.property('code', 'exhausted');
		first[Symbol.dispose]();
		first[Symbol.dispose]();
		expect(relays.count).to.equal(1);
		relays.begin();
	});
});
