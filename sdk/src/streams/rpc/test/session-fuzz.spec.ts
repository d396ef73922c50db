import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { PeerId } from '../../../wire/ids.ts';
import { MemoryStream } from '../../memory/pair.ts';
import { encodeFailure } from '../failure.ts';
import { encodeMessage, FRAME, type FrameType } from '../frames.ts';
import { encodeHello, encodeNotify } from '../handshake.ts';
import { encodeBody } from '../msgpack.ts';
import { createServices } from '../services.ts';
import { openSession } from '../session.ts';
import type { HelloExchange } from '../session.types.ts';
import { Echo, Observed, serveEcho } from './session-suite.ts';

const exchange: HelloExchange<string> = { hello: () => new Uint8Array(0), admit: (remote) => remote };

/** A small repeatable generator (xorshift32). */
function random(seed: number): (below: number) => number {
	let state = seed;
	return (below) => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		return (state >>> 0) % below;
	};
}

describe('a session with a hostile peer', () => {
	it('answers or closes, and never fails elsewhere (500 conversations)', async () => {
		const next = random(20_261);
		const bodies: Uint8Array[] = [
			encodeBody(['echo@1', 'say', 100, null, 'x']),
			encodeBody(['echo@1', 'hang', 5, null, null]),
			encodeBody(['echo@1', 'count', 0, null, { to: 1e9 }]),
			encodeBody(['echo@1', 'sum', 0, { a: 'b' }, null]),
			encodeBody(['echo@1', 'upper', 0, null, null]),
			encodeBody(['echo@1', '__proto__', -1, [], null]),
			encodeBody([1, 2, 3]),
			encodeBody(1),
			encodeBody(2 ** 40),
			encodeBody('text'),
			encodeFailure(new Error('x')),
			encodeNotify('raft', new Uint8Array(3)),
			encodeHello(new Uint8Array(8), new Uint8Array(2)),
			new Uint8Array(0),
			new Uint8Array(70_000),
		];
		const types = Object.values(FRAME);
		const uncaught: unknown[] = [];
		const onUncaught = (error: unknown): void => void uncaught.push(error);
		process.on('unhandledRejection', onUncaught);
		try {
			for (let round = 0; round < 500; round++) {
				const [near, far] = MemoryStream.pair();
				const services = createServices<string>();
				serveEcho(services, new Observed());
				near.write(encodeMessage(FRAME.hello, 0, encodeHello(new Uint8Array(8), new Uint8Array(0)))[0] as Uint8Array);
				near.write(encodeMessage(FRAME.admit, 0, new Uint8Array(0))[0] as Uint8Array);
				const session = await openSession(far, { remote: 'p' as PeerId, initiator: false, exchange, services });
				const closed = new Promise<void>((resolve) => session.onClose(() => resolve()));
				const own = session
					.caller(Echo)
					.say('mine', { timeout: 50 })
					.catch(() => undefined);
				for (let i = 0; i < 30; i++) {
					const body = Uint8Array.from(bodies[next(bodies.length)] as Uint8Array);
					if (next(4) === 0 && body.byteLength > 0) body[next(body.byteLength)] = next(256);
					const type = (next(3) === 0 ? FRAME.call : types[next(types.length)]) as FrameType;
					for (const frame of encodeMessage(type, next(8), body)) near.write(frame);
				}
				// Whatever came of it, the stream ends, and so does everything on it.
				if (next(2) === 0) near.abort(new Error('bye'));
				else await near.close();
				await Promise.all([closed, own]);
				expect(session.open).to.equal(false);
			}
			await new Promise(setImmediate);
		} finally {
			process.off('unhandledRejection', onUncaught);
		}
		expect(uncaught).to.deep.equal([]);
	}).timeout(30_000);
});
