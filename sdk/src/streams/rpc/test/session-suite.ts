/** What a session promises, whatever bytes it runs over. Run by `session.spec.ts` over each kind of stream. */
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as v from 'valibot';
import { fail, isMeshError, MeshError } from '../../../errors.ts';
import type { PeerId } from '../../../wire/ids.ts';
import type { ByteStream } from '../../transport.ts';
import { contract, rpc } from '../contract.ts';
import { createServices, type ServiceRegistry } from '../services.ts';
import { openSession } from '../session.ts';
import type { HelloExchange, Session } from '../session.types.ts';

export interface StreamPair extends AsyncDisposable {
	readonly near: ByteStream;
	readonly far: ByteStream;
}

export const Echo = contract('echo', '1.2.3', {
	say: rpc({ input: v.string(), output: v.string(), idempotent: true }),
	bytes: rpc({ input: v.instance(Uint8Array), output: v.instance(Uint8Array) }),
	count: rpc.stream({ input: v.object({ to: v.number() }), output: v.number() }),
	blocks: rpc.stream({ input: v.object({ count: v.number(), bytes: v.number() }), output: v.instance(Uint8Array) }),
	sum: rpc.upload({ input: v.number(), output: v.number() }),
	upper: rpc.duplex({ input: v.string(), output: v.string() }),
	hang: rpc({ input: v.null(), output: v.null() }),
	wrong: rpc({ input: v.string(), output: v.number() }),
	refuse: rpc({ input: v.null(), output: v.null() }),
	crash: rpc({ input: v.null(), output: v.null() }),
	deadline: rpc({ input: v.null(), output: v.number() }),
	meta: rpc({ input: v.null(), output: v.record(v.string(), v.string()) }),
});

/** Facts the handlers leave for a test to look at. */
export class Observed {
	readonly signals: AbortSignal[] = [];
	readonly events: string[] = [];
	sentBlocks = 0;
	#waiting: { event: string; resolve: () => void }[] = [];

	note(event: string): void {
		this.events.push(event);
		for (const waiter of this.#waiting.filter((w) => w.event === event)) waiter.resolve();
		this.#waiting = this.#waiting.filter((w) => w.event !== event);
	}

	until(event: string): Promise<void> {
		if (this.events.includes(event)) return Promise.resolve();
		return new Promise((resolve) => this.#waiting.push({ event, resolve }));
	}
}

export function serveEcho(
	services: ServiceRegistry<string>,
	seen: Observed,
	options?: { concurrency?: number; queue?: number },
) {
	return services.serve(
		Echo,
		{
			say: (text) => text,
			bytes: (bytes) => bytes,
			async *count({ to }, { signal }) {
				seen.signals.push(signal);
				signal.addEventListener('abort', () => seen.note('count aborted'));
				try {
					for (let i = 0; i < to; i++) yield i;
				} finally {
					seen.note('count left');
				}
			},
			async *blocks({ count, bytes }) {
				for (let i = 0; i < count; i++) {
					seen.sentBlocks = i + 1;
					yield new Uint8Array(bytes).fill(i & 0xff);
				}
			},
			async sum(numbers) {
				let sum = 0;
				for await (const n of numbers) sum += n;
				return sum;
			},
			async *upper(texts) {
				for await (const text of texts) yield text.toUpperCase();
			},
			hang: (_, { signal }) =>
				new Promise((_resolve, reject) => {
					seen.signals.push(signal);
					seen.note('hang begun');
					signal.addEventListener('abort', () => {
						seen.note('hang aborted');
						reject(signal.reason);
					});
				}),
			wrong: (text) => text as unknown as number,
			refuse: () => fail('conflict', 'someone was faster', { rev: 7 }),
			crash: () => {
				throw new Error('the password is hunter2');
			},
			deadline: (_, { deadline }) => deadline - Date.now(),
			meta: (_, { meta }) => meta,
		},
		options,
	);
}

const hello = (text: string): HelloExchange<string> => ({
	hello: () => new TextEncoder().encode(text),
	admit: (_, bytes) => new TextDecoder().decode(bytes),
});

export const NEAR = 'near' as PeerId;
export const FAR = 'far' as PeerId;

export interface Opened extends AsyncDisposable {
	readonly client: Session<string>;
	readonly server: Session<string>;
	readonly services: ServiceRegistry<string>;
	readonly nearServices: ServiceRegistry<string>;
	readonly seen: Observed;
	readonly failures: unknown[];
	readonly pair: StreamPair;
}

async function caught(promise: Promise<unknown>): Promise<MeshError> {
	try {
		await promise;
	} catch (error) {
		if (isMeshError(error)) return error;
		throw error;
	}
	throw new Error('expected a failure');
}

export function sessionSuite(kind: string, makePair: () => Promise<StreamPair>): void {
	async function open(serveOptions?: { concurrency?: number; queue?: number }): Promise<Opened> {
		const pair = await makePair();
		const seen = new Observed();
		const failures: unknown[] = [];
		const services = createServices<string>({ onFailure: ({ error }) => failures.push(error) });
		const nearServices = createServices<string>();
		serveEcho(services, seen, serveOptions);
		const [client, server] = await Promise.all([
			openSession(pair.near, { remote: FAR, initiator: true, exchange: hello('I am near'), services: nearServices }),
			openSession(pair.far, { remote: NEAR, initiator: false, exchange: hello('I am far'), services }),
		]);
		const dispose = async (): Promise<void> => {
			await Promise.all([client.close(), server.close()]);
			await pair[Symbol.asyncDispose]();
		};
		return { client, server, services, nearServices, seen, failures, pair, [Symbol.asyncDispose]: dispose };
	}

	describe(`session over ${kind}`, () => {
		describe('hello', () => {
			it('gives each side what it made of the other', async () => {
				await using s = await open();
				expect(s.client.principal).to.equal('I am far');
				expect(s.server.principal).to.equal('I am near');
				expect(s.client.remote).to.equal(FAR);
			});

			it('carries a refusal to the remote with its code', async () => {
				await using pair = await makePair();
				const strict: HelloExchange<string> = {
					hello: () => new Uint8Array(1),
					admit: () => {
						throw new MeshError('unauthorized', 'not of this mesh', { details: { want: 'a certificate' } });
					},
				};
				const [near, far] = await Promise.all([
					caught(openSession(pair.near, { remote: FAR, initiator: true, exchange: hello('x') })),
					caught(openSession(pair.far, { remote: NEAR, initiator: false, exchange: strict })),
				]);
				expect(far.code).to.equal('unauthorized');
				expect(near.code).to.equal('unauthorized');
				expect(near.message).to.equal('not of this mesh');
				expect(near.details).to.deep.equal({ want: 'a certificate' });
			});

			it('reads nothing else before admission', async () => {
				await using pair = await makePair();
				const { encodeMessage, FRAME } = await import('../frames.ts');
				const { encodeBody } = await import('../msgpack.ts');
				const { encodeHello } = await import('../handshake.ts');
				const services = createServices<string>();
				const seen = new Observed();
				serveEcho(services, seen);
				const opening = caught(
					openSession(pair.far, { remote: NEAR, initiator: false, exchange: hello('x'), services }),
				);
				const call = encodeBody(['echo@1', 'hang', 0, null, null]);
				for (const frame of [
					...encodeMessage(FRAME.hello, 0, encodeHello(new Uint8Array(8), new Uint8Array(1))),
					...encodeMessage(FRAME.call, 1, call),
				]) {
					pair.near.write(frame);
				}
				expect((await opening).message).to.match(/before admission/);
				expect(seen.events).to.deep.equal([]);
			});

			it('refuses a hello that is larger than a frame', async () => {
				await using pair = await makePair();
				const big: HelloExchange<string> = { hello: () => new Uint8Array(80_000), admit: () => 'x' };
				const [near, far] = await Promise.all([
					caught(openSession(pair.near, { remote: FAR, initiator: true, exchange: big })),
					caught(openSession(pair.far, { remote: NEAR, initiator: false, exchange: hello('x') })),
				]);
				expect(far.message).to.match(/larger than/);
				expect(near.code).to.equal('unavailable');
			});

			it('can be cancelled', async () => {
				await using pair = await makePair();
				const stop = new AbortController();
				const opening = caught(
					openSession(pair.near, { remote: FAR, initiator: true, exchange: hello('x'), signal: stop.signal }),
				);
				stop.abort();
				expect((await opening).code).to.equal('cancelled');
			});
		});

		describe('unary calls', () => {
			it('answer, both ways on one stream', async () => {
				await using s = await open();
				serveEcho(s.nearServices, new Observed());
				expect(await s.client.caller(Echo).say('hi')).to.equal('hi');
				expect(await s.server.caller(Echo).say('ho')).to.equal('ho');
			});

			it('run a thousand at once and keep them apart', async () => {
				await using s = await open();
				const echo = s.client.caller(Echo);
				const texts = Array.from({ length: 1_000 }, (_, i) => `text ${i}`);
				expect(await Promise.all(texts.map((text) => echo.say(text)))).to.deep.equal(texts);
			});

			it('carry messages of several frames, while short calls overtake them', async () => {
				await using s = await open();
				const echo = s.client.caller(Echo);
				const big = new Uint8Array(3 * 1024 * 1024).map((_, i) => i * 7);
				const order: string[] = [];
				const [answer] = await Promise.all([
					echo.bytes(big).then((bytes) => {
						order.push('big');
						return bytes;
					}),
					echo.say('small').then(() => order.push('small')),
				]);
				expect(Buffer.compare(answer, big)).to.equal(0);
				expect(order).to.deep.equal(['small', 'big']);
			});

			it('refuse a message that is larger than any may be, before it is sent', async () => {
				await using s = await open();
				const error = await caught(s.client.caller(Echo).bytes(new Uint8Array(5 * 1024 * 1024)));
				expect(error).to.include({ code: 'invalid_input', applied: 'no' });
				expect(await s.client.caller(Echo).say('still here')).to.equal('still here');
			});

			it('check the input on the server and the output on the client', async () => {
				await using s = await open();
				const echo = s.client.caller(Echo);
				const input = await caught(echo.say(7 as unknown as string));
				expect(input.code).to.equal('invalid_input');
				expect(input.peer).to.equal(FAR);
				expect(input.details).to.have.property('issues');
				expect((await caught(echo.wrong('x'))).code).to.equal('invalid_output');
			});

			it('carry a coded failure whole, and any other without its words', async () => {
				await using s = await open();
				const echo = s.client.caller(Echo);
				const coded = await caught(echo.refuse(null));
				expect(coded).to.include({ code: 'conflict', message: 'someone was faster', retryable: false, applied: 'no' });
				expect(coded.details).to.deep.equal({ rev: 7 });
				const unknown = await caught(echo.crash(null));
				expect(unknown).to.include({ code: 'internal', applied: 'maybe' });
				expect(JSON.stringify([unknown.message, unknown.details])).not.to.match(/hunter2|at /);
				expect(s.failures.map(String)).to.deep.equal(['Error: the password is hunter2']);
			});

			it('answer not_found for what is not served', async () => {
				await using s = await open();
				const Other = contract('other', '1.0.0', { say: rpc({ input: v.string(), output: v.string() }) });
				const Newer = contract('echo', '2.0.0', { say: rpc({ input: v.string(), output: v.string() }) });
				const Wider = contract('echo', '1.9.0', { toString: rpc({ input: v.string(), output: v.string() }) });
				expect((await caught(s.client.caller(Other).say('x'))).code).to.equal('not_found');
				expect((await caught(s.client.caller(Newer).say('x'))).code).to.equal('not_found');
				expect((await caught(s.client.caller(Wider).toString('x'))).code).to.equal('not_found');
			});

			it('end at their deadline on both sides', async () => {
				await using s = await open();
				const error = await caught(s.client.caller(Echo).hang(null, { timeout: '40ms' }));
				expect(error).to.include({ code: 'deadline', applied: 'maybe' });
				await s.seen.until('hang aborted');
			});

			it('tell the handler how long is left, and the caller’s meta', async () => {
				await using s = await open();
				const echo = s.client.caller(Echo);
				expect(await echo.deadline(null, { timeout: '5s' })).to.be.within(4_000, 5_100);
				expect(await echo.deadline(null)).to.be.within(9_000, 10_100);
				expect(await echo.meta(null, { meta: { trace: 'abc' } })).to.deep.equal({ trace: 'abc' });
			});

			it('are cancelled across the wire', async () => {
				await using s = await open();
				const stop = new AbortController();
				const call = caught(s.client.caller(Echo).hang(null, { signal: stop.signal }));
				await s.seen.until('hang begun');
				stop.abort();
				expect(await call).to.include({ code: 'cancelled', applied: 'maybe' });
				await s.seen.until('hang aborted');
			});

			it('that were cancelled before they left were not applied, and never arrive', async () => {
				await using s = await open();
				const stop = new AbortController();
				const call = caught(s.client.caller(Echo).hang(null, { signal: stop.signal }));
				stop.abort();
				expect(await call).to.include({ code: 'cancelled', applied: 'no' });
				await s.client.caller(Echo).say('x');
				expect(s.seen.events).to.deep.equal([]);
			});
		});

		describe('limits', () => {
			it('queue a bounded number of calls and refuse the rest as exhausted', async () => {
				await using s = await open({ concurrency: 1, queue: 1 });
				const echo = s.client.caller(Echo);
				const stop = new AbortController();
				const first = caught(echo.hang(null, { signal: stop.signal }));
				await s.seen.until('hang begun');
				const second = echo.say('queued');
				const third = await caught(echo.say('too many'));
				expect(third).to.include({ code: 'exhausted', applied: 'no', retryable: true });
				stop.abort();
				await first;
				expect(await second).to.equal('queued');
			});

			it('drain: refuse new calls, wait for those in flight', async () => {
				await using s = await open();
				const Slow = contract('slow', '1.0.0', { go: rpc({ input: v.null(), output: v.string() }) });
				let release: (text: string) => void = () => undefined;
				const handle = s.services.serve(Slow, {
					go: () =>
						new Promise<string>((resolve) => {
							release = resolve;
							s.seen.note('slow begun');
						}),
				});
				const slow = s.client.caller(Slow);
				const call = slow.go(null);
				await s.seen.until('slow begun');
				const drained = handle.drain();
				expect(await caught(slow.go(null))).to.include({ code: 'draining', applied: 'no' });
				expect(handle.stats).to.include({ calls: 1, inflight: 1 });
				release('done');
				expect(await call).to.equal('done');
				await drained;
				await handle[Symbol.asyncDispose]();
				expect((await caught(slow.go(null))).code).to.equal('not_found');
			});
		});

		describe('streams', () => {
			it('deliver every item in order and end', async () => {
				await using s = await open();
				const items: number[] = [];
				for await (const n of s.client.caller(Echo).count({ to: 5_000 })) items.push(n);
				expect(items).to.deep.equal(Array.from({ length: 5_000 }, (_, i) => i));
			});

			it('stop the server when the consumer leaves', async () => {
				await using s = await open();
				for await (const n of s.client.caller(Echo).count({ to: Number.POSITIVE_INFINITY })) if (n === 10) break;
				await s.seen.until('count left');
				expect(s.seen.signals[0]?.aborted).to.equal(true);
			});

			it('hold at most 1 MiB for a reader that pauses, and lose nothing', async () => {
				await using s = await open();
				const echo = s.client.caller(Echo);
				const blocks = echo.blocks({ count: 400, bytes: 32 * 1024 })[Symbol.asyncIterator]();
				expect((await blocks.next()).done).to.equal(false);
				// Unary calls go on beside the paused stream, and give it every chance to run ahead.
				for (let i = 0; i < 200; i++) await echo.say('x');
				expect(s.seen.sentBlocks * 32 * 1024).to.be.below(1024 * 1024);
				let count = 1;
				for (;;) {
					const next = await blocks.next();
					if (next.done === true) break;
					expect(next.value[0]).to.equal(count & 0xff);
					count++;
				}
				expect(count).to.equal(400);
			});

			it('upload, with one answer', async () => {
				await using s = await open();
				async function* numbers() {
					for (let i = 1; i <= 1_000; i++) yield i;
				}
				expect(await s.client.caller(Echo).sum(numbers())).to.equal(500_500);
			});

			it('end an upload whose item does not fit, and the uploader', async () => {
				await using s = await open();
				let left = false;
				async function* numbers() {
					try {
						for (;;) yield 'one' as unknown as number;
					} finally {
						left = true;
					}
				}
				expect((await caught(s.client.caller(Echo).sum(numbers()))).code).to.equal('invalid_input');
				while (!left) await s.client.caller(Echo).say('x');
			});

			it('give the uploader its own error back', async () => {
				await using s = await open();
				const own = new TypeError('mine');
				async function* numbers() {
					yield 1;
					throw own;
				}
				const error: unknown = await s.client
					.caller(Echo)
					.sum(numbers())
					.then(
						() => undefined,
						(e: unknown) => e,
					);
				expect(error).to.equal(own);
			});

			it('duplex, item by item', async () => {
				await using s = await open();
				let give: (text: string | undefined) => void = () => undefined;
				async function* texts() {
					for (;;) {
						const text = await new Promise<string | undefined>((resolve) => {
							give = resolve;
						});
						if (text === undefined) return;
						yield text;
					}
				}
				const upper = s.client.caller(Echo).upper(texts())[Symbol.asyncIterator]();
				for (const word of ['one', 'two', 'three']) {
					const next = upper.next();
					await s.client.ping(5_000);
					give(word);
					expect((await next).value).to.equal(word.toUpperCase());
				}
				await s.client.ping(5_000);
				give(undefined);
				expect((await upper.next()).done).to.equal(true);
			});

			it('end with unavailable when the session does, after what had arrived', async () => {
				await using s = await open();
				const counted = s.client.caller(Echo).count({ to: 3 })[Symbol.asyncIterator]();
				expect((await counted.next()).value).to.equal(0);
				await s.client.ping(5_000);
				s.pair.far.abort(new Error('cut'));
				const rest: unknown[] = [];
				const error = await caught(
					(async () => {
						for (let n = await counted.next(); n.done !== true; n = await counted.next()) rest.push(n.value);
						fail('not_found', 'no failure');
					})(),
				);
				expect(rest).to.satisfy((r: unknown[]) => r.every((n, i) => n === i + 1));
				expect(error.code).to.be.oneOf(['unavailable', 'not_found']);
			});
		});

		describe('one-way messages and pings', () => {
			it('notify in order', async () => {
				await using s = await open();
				const got: number[] = [];
				s.services.onNotify('raft', (payload, session) => {
					expect(session).to.equal(s.server);
					got.push(payload.byteLength);
				});
				const sizes = [1, 200_000, 3, 0, 70_000, 5];
				for (const size of sizes) expect(s.client.notify('raft', new Uint8Array(size))).to.equal(true);
				expect(s.client.notify('nobody listens', new Uint8Array(1))).to.equal(true);
				// Messages on a channel keep their order; a call after them may overtake the long ones.
				while (got.length < sizes.length) await s.client.ping(5_000);
				expect(got).to.deep.equal(sizes);
			});

			it('refuses to notify when the queue is full, rather than to keep what nobody reads', async () => {
				await using s = await open();
				let sent = 0;
				while (s.client.notify('bulk', new Uint8Array(64 * 1024)) && sent < 10_000) sent++;
				expect(sent).to.be.within(8, 64);
			});

			it('ping measures the round trip', async () => {
				await using s = await open();
				expect(await s.client.ping(5_000)).to.be.within(0, 5_000);
				expect(s.client.rttMs).to.be.a('number');
			});
		});

		describe('the end', () => {
			it('of a session fails its calls with what is known of each', async () => {
				await using s = await open();
				const echo = s.client.caller(Echo);
				const written = caught(echo.hang(null));
				await s.seen.until('hang begun');
				s.pair.far.abort(new Error('cut'));
				const lost = new Promise<Error | undefined>((resolve) => s.client.onClose(resolve));
				const unwritten = caught(echo.hang(null));
				expect(await written).to.include({ code: 'unavailable', applied: 'maybe' });
				expect(['maybe', 'no']).to.include((await unwritten).applied);
				expect(await lost).to.be.instanceOf(Error);
				expect(await caught(echo.say('x'))).to.include({ code: 'unavailable', applied: 'no' });
				await s.seen.until('hang aborted');
				expect(s.client.open).to.equal(false);
				expect(s.client.notify('x', new Uint8Array(1))).to.equal(false);
				expect((await caught(s.client.ping(1_000))).code).to.equal('unavailable');
			});

			it('leaves an idempotent call safe to retry', async () => {
				await using s = await open({ concurrency: 1, queue: 8 });
				const echo = s.client.caller(Echo);
				const holder = caught(echo.hang(null));
				await s.seen.until('hang begun');
				const queued = caught(echo.say('x'));
				await s.client.ping(5_000);
				s.pair.far.abort(new Error('cut'));
				expect(await queued).to.include({ code: 'unavailable', applied: 'no', retryable: true });
				await holder;
			});

			it('is announced: goodbye closes both sides without an error', async () => {
				await using s = await open();
				const closed = new Promise<Error | undefined>((resolve) => s.server.onClose(resolve));
				await s.client.close('done');
				expect(await closed).to.equal(undefined);
				expect(s.server.open).to.equal(false);
			});

			it('comes with the first malformed frame, and only to this session', async () => {
				await using s = await open();
				const closed = new Promise<Error | undefined>((resolve) => s.server.onClose(resolve));
				s.pair.near.write(new Uint8Array([0, 0, 0, 6, 99, 0, 0, 0, 0, 1]));
				expect((await closed)?.message).to.match(/malformed frame/);
			});
		});
	});
}
