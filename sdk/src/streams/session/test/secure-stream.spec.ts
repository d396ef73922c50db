import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { isMeshError, MeshError } from '../../../errors.ts';
import { MemoryStream } from '../../memory/pair.ts';
import { dialUnix, listenUnix } from '../../socket.ts';
import { failure, pattern, readAll, writeAll } from '../../test/transport-suite.ts';
import type { ByteStream } from '../../transport.ts';
import type { HandshakeLimits, RekeyLimits } from '../core/index.ts';
import { RecordSplitter } from '../core/index.ts';
import { secureStream } from '../index.ts';
import { Sessions, type SessionsComponents } from '../sessions.ts';
import { TestClock } from './clock.ts';
import { ALICE, BOB } from './handshakes.ts';
import { createTestMesh } from './identities.ts';
import { NonceWatch } from './nonces.ts';

const PROTOCOL = '/test/secure/1';

interface Options extends SessionsComponents {
	readonly rekey?: RekeyLimits;
	readonly limits?: HandshakeLimits;
	/** Stands between the two. */
	readonly between?: (stream: ByteStream) => ByteStream;
}

function members({ rekey = {}, limits = {}, ...components }: Options = {}) {
	const mesh = createTestMesh();
	const alice = mesh.issue('alice', ALICE);
	const bob = mesh.issue('bob', BOB);
	return {
		mesh,
		alice,
		bob,
		aliceSessions: new Sessions({ identity: alice, self: ALICE, rekey, limits }, components),
		bobSessions: new Sessions({ identity: bob, self: BOB, rekey, limits }, components),
	};
}

async function secured(options: Options = {}, of = members(options)) {
	const [a, b] = MemoryStream.pair();
	const between = options.between ?? ((stream: ByteStream): ByteStream => stream);
	const [near, far] = await Promise.all([
		secureStream(a, {
			role: 'initiator',
			identity: of.alice,
			protocol: PROTOCOL,
			self: ALICE,
			remote: BOB,
			sessions: of.aliceSessions,
		}),
		secureStream(between(b), {
			role: 'responder',
			identity: of.bob,
			protocol: PROTOCOL,
			self: BOB,
			remote: ALICE,
			sessions: of.bobSessions,
		}),
	]);
	return { ...of, near, far, a, b };
}

/** A stream whose reads pass through `change` once the handshake (two messages) is over. */
function tampering(change: (chunk: Uint8Array) => Uint8Array[]) {
	const state = { isOn: false };
	const between = (stream: ByteStream): ByteStream => ({
		write: (chunk) => stream.write(chunk),
		drained: () => stream.drained(),
		close: () => stream.close(),
		abort: (error) => stream.abort(error),
		onClose: (listener) => stream.onClose(listener),
		source: {
			async *[Symbol.asyncIterator]() {
				for await (const chunk of stream.source) {
					if (state.isOn) yield* change(chunk);
					else yield chunk;
				}
			},
		},
	});
	return { state, between };
}

async function thrownBy(promise: Promise<unknown>): Promise<Error> {
	try {
		await promise;
	} catch (error) {
		return error as Error;
	}
	throw new Error('nothing was thrown');
}

describe('secure streams', () => {
	it('know whom they speak with, and carry bytes both ways to half-close', async () => {
		const { near, far } = await secured();
		expect([near.principal, far.principal]).to.deep.equal(['bob', 'alice']);
		const there = pattern(1_000_003);
		const [got, back] = await Promise.all([
			readAll(far),
			readAll(near),
			writeAll(near, there, 70_000).then(() => near.close()),
			writeAll(far, pattern(50), 7).then(() => far.close()),
		]);
		expect(Buffer.compare(got, there)).to.equal(0);
		expect(back).to.have.length(50);
	});

	it('keep the other half open after a half-close, and close when both are over', async () => {
		const { near, far } = await secured();
		const closed = [near, far].map((stream) => new Promise<Error | undefined>((resolve) => stream.onClose(resolve)));
		near.write(pattern(10));
		await near.close();
		expect(await readAll(far)).to.have.length(10);
		far.write(pattern(20));
		await far.close();
		expect(await readAll(near)).to.have.length(20);
		expect(await Promise.all(closed)).to.deep.equal([undefined, undefined]);
	});

	it('work without peer IDs: the owner’s tool has none', async () => {
		const mesh = createTestMesh({ plane: 'owner' });
		const [a, b] = MemoryStream.pair();
		const [tool, host] = await Promise.all([
			secureStream(a, { role: 'initiator', identity: mesh.issue('host', undefined), protocol: PROTOCOL }),
			secureStream(b, { role: 'responder', identity: mesh.issue('tool', undefined), protocol: PROTOCOL }),
		]);
		expect([tool.principal, host.principal]).to.deep.equal(['tool', 'host']);
	});

	it('work over unix sockets', async () => {
		const directory = await mkdtemp(join(tmpdir(), 'secure-'));
		const accepted = Promise.withResolvers<ByteStream>();
		await using listener = await listenUnix(join(directory, 'run', 's.sock'), accepted.resolve);
		const socket = await dialUnix(listener.path);
		const { alice, bob } = members();
		const [near, far] = await Promise.all([
			secureStream(socket, { role: 'initiator', identity: alice, protocol: PROTOCOL, self: ALICE, remote: BOB }),
			accepted.promise.then((stream) =>
				secureStream(stream, { role: 'responder', identity: bob, protocol: PROTOCOL, self: BOB, remote: ALICE }),
			),
		]);
		const bytes = pattern(3_000_000);
		const closed = [near, far].map((stream) => new Promise<Error | undefined>((resolve) => stream.onClose(resolve)));
		const [got] = await Promise.all([readAll(far), writeAll(near, bytes, 60_000).then(() => near.close())]);
		expect(Buffer.compare(got, bytes)).to.equal(0);
		far.write(pattern(10));
		await far.close();
		expect(await readAll(near)).to.have.length(10);
		expect(await Promise.all(closed)).to.deep.equal([undefined, undefined]);
		await rm(directory, { recursive: true });
	});

	it('show an abort as a failure, not as an end', async () => {
		const { near, far } = await secured();
		near.abort(new Error('enough'));
		const error = await thrownBy(readAll(far));
		expect(isMeshError(error, 'unavailable')).to.equal(true);
		await failure(far.drained());
	});

	it('tell truncation from an end: a stream that ends below without saying so inside has failed', async () => {
		const { near, far, a } = await secured();
		near.write(pattern(100));
		await a.close();
		const error = await thrownBy(readAll(far));
		expect(error.message).to.match(/cut off/);
	});

	for (const [what, change] of [
		['changed', (chunk: Uint8Array) => [Uint8Array.from(chunk, (byte, i) => (i === 9 ? byte ^ 1 : byte))]],
		['dropped', (chunk: Uint8Array) => (chunk.byteLength === 24 ? [] : [chunk])],
		['duplicated', (chunk: Uint8Array) => [chunk, chunk]],
		['injected', (chunk: Uint8Array) => [new Uint8Array(24), chunk]],
	] as const) {
		it(`end with one generic error when a record is ${what}`, async () => {
			const { state, between } = tampering((chunk) => change(chunk));
			const { near, far, bobSessions } = await secured({ between });
			state.isOn = true;
			near.write(pattern(4));
			near.write(pattern(5));
			const error = await thrownBy(readAll(far));
			expect(error.message).to.equal('BMS/1: a record does not verify; the session is ended');
			expect(bobSessions.sessions()).to.have.length(0);
			expect(far.write(pattern(3))).to.equal(true);
			await failure(far.drained());
		});
	}

	it('carry nothing in the clear, and everything after the handshake in records', async () => {
		const seen: Uint8Array[] = [];
		const { state, between } = tampering((chunk) => {
			seen.push(chunk.slice());
			return [chunk];
		});
		const { near, far } = await secured({ between });
		state.isOn = true;
		const canary = Buffer.from('canary-canary-canary');
		for (let i = 0; i < 100; i++) near.write(canary);
		await Promise.all([near.close(), readAll(far)]);
		const captured = Buffer.concat(seen);
		expect(captured.includes(canary)).to.equal(false);
		const splitter = new RecordSplitter();
		const records = [...splitter.split(captured)];
		expect(records).to.have.length(101);
		expect(splitter.isAtBoundary).to.equal(true);
	});
});

describe('secure streams across rekeys', function () {
	this.timeout(60_000);

	it('lose and double nothing over hundreds of phases, and use no nonce twice', async () => {
		const watch = new NonceWatch();
		const rekey = { phaseBytes: 64 * 1024, graceBytes: 32 * 1024 };
		const { near, far, aliceSessions } = await secured({ rekey, crypto: watch.crypto });
		const [there, back] = [pattern(16 * 1024 * 1024), pattern(9 * 1024 * 1024)];
		const write = (stream: ByteStream, bytes: Uint8Array, chunk: number): Promise<void> =>
			writeAll(stream, bytes, chunk).then(() => stream.drained());
		const reading = [readAll(far), readAll(near)] as const;
		await Promise.all([write(near, there, 50_001), write(far, back, 9_999)]);
		expect(aliceSessions.sessions()[0]?.phase).to.be.greaterThan(150);
		await Promise.all([near.close(), far.close()]);
		const [got, gotBack] = await Promise.all(reading);
		expect(Buffer.compare(got, there)).to.equal(0);
		expect(Buffer.compare(gotBack, back)).to.equal(0);
		expect(watch.sealed).to.be.greaterThan(500);
		expect(watch.reused).to.equal(0);
	});

	it('go on rekeying for one direction after the other has ended', async () => {
		const rekey = { phaseBytes: 16 * 1024, graceBytes: 1024 };
		const { near, far } = await secured({ rekey });
		await near.close();
		const bytes = pattern(1024 * 1024);
		const [got] = await Promise.all([readAll(near), writeAll(far, bytes, 5_000).then(() => far.close())]);
		expect(Buffer.compare(got, bytes)).to.equal(0);
	});

	it('change keys on time though nothing is said, and end when that is withheld', async () => {
		const clock = new TestClock();
		const { near, far, aliceSessions } = await secured({ clock });
		clock.advance(60 * 60_000);
		near.write(pattern(10));
		const first = await far.source[Symbol.asyncIterator]().next();
		expect(first.value).to.have.length(10);
		await new Promise<void>((resolve) => setImmediate(resolve));
		expect(aliceSessions.sessions()[0]?.phase).to.equal(1);
		const withheld = tampering(() => []);
		const second = await secured({ clock, between: withheld.between });
		withheld.state.isOn = true;
		const ends = [second.near, second.far].map(
			(stream) => new Promise<Error | undefined>((resolve) => stream.onClose(resolve)),
		);
		clock.advance(61 * 60_000);
		// Whoever notices first ends it for both.
		const reasons = (await Promise.all(ends)).map((error) => error?.message).join();
		expect(reasons).to.match(/not replaced in time/);
	});
});

describe('handshakes on streams', () => {
	it('end after 10 s, whatever part of them came', async () => {
		for (const said of [[], [0], [0, 200, 0x42, 0x4d]]) {
			const clock = new TestClock();
			const { bobSessions, bob } = members({ clock });
			const [a, b] = MemoryStream.pair();
			const attempt = failure(
				secureStream(b, { role: 'responder', identity: bob, protocol: PROTOCOL, remote: ALICE, sessions: bobSessions }),
			);
			a.write(Uint8Array.from(said));
			await new Promise<void>((resolve) => setImmediate(resolve));
			expect(bobSessions.pendingCount).to.equal(1);
			clock.advance(10_000);
			expect((await attempt).message).to.match(/did not finish the handshake in 10000 ms/);
			expect(bobSessions.pendingCount).to.equal(0);
		}
	});

	it('can be cancelled', async () => {
		const { bob } = members();
		const [, b] = MemoryStream.pair();
		const stop = new AbortController();
		const attempt = failure(
			secureStream(b, { role: 'initiator', identity: bob, protocol: PROTOCOL, signal: stop.signal }),
		);
		stop.abort();
		expect((await attempt).code).to.equal('cancelled');
	});

	it('refused tell the initiator why', async () => {
		const of = members();
		of.mesh.revoke(of.alice);
		const [a, b] = MemoryStream.pair();
		const [near, far] = await Promise.all([
			failure(secureStream(a, { role: 'initiator', identity: of.alice, protocol: PROTOCOL, self: ALICE, remote: BOB })),
			failure(secureStream(b, { role: 'responder', identity: of.bob, protocol: PROTOCOL, self: BOB, remote: ALICE })),
		]);
		expect(near).to.include({ code: 'unauthorized' });
		expect(near.message).to.match(/refused our certificate/);
		expect(far.message).to.match(/revoked/);
	});

	it('half-open by the thousand leave room for a good peer', async () => {
		const of = members();
		const held = Array.from({ length: 1_000 }, () => {
			const [, b] = MemoryStream.pair();
			return failure(
				secureStream(b, { role: 'responder', identity: of.bob, protocol: PROTOCOL, sessions: of.bobSessions }),
			);
		});
		expect(of.bobSessions.pendingCount).to.be.at.most(64);
		const { near, far } = await secured({}, of);
		expect([near.principal, far.principal]).to.deep.equal(['bob', 'alice']);
		of.bobSessions.end();
		expect(held).to.have.length(1_000);
	});
});

describe('the registry of sessions', () => {
	it('says who is there, and ends the sessions of whoever was revoked', async () => {
		const of = members();
		const { near, far, bobSessions } = await secured({}, of);
		expect(bobSessions.principalOf(ALICE)).to.equal('alice');
		expect(bobSessions.sessions()[0]).to.include({ remote: ALICE, principal: 'alice', role: 'responder' });
		expect(bobSessions.sessions()[0]?.cid).to.equal(of.alice.certificate().cid);
		expect(await bobSessions.recheck()).to.equal(0);
		of.mesh.revoke(of.alice);
		const closed = new Promise<Error | undefined>((resolve) => near.onClose(resolve));
		expect(await bobSessions.recheck()).to.equal(1);
		expect((await closed)?.name).to.equal('MeshError');
		expect(bobSessions.sessions()).to.have.length(0);
		expect(bobSessions.principalOf(ALICE)).to.equal(undefined);
		expect(isMeshError(await thrownBy(readAll(far)), 'unauthorized')).to.equal(true);
	});

	it('asks about certificates again by itself: one that expires ends its session', async () => {
		const clock = new TestClock();
		const of = members({ clock });
		const { bobSessions } = await secured({}, of);
		of.mesh.revoke(of.alice);
		clock.advance(5 * 60_000);
		await new Promise<void>((resolve) => setImmediate(resolve));
		expect(bobSessions.sessions()).to.have.length(0);
	});

	it('tells of those it refused', async () => {
		const { mesh, bob } = members();
		const refusals: string[] = [];
		const sessions = new Sessions({ identity: bob, self: BOB, onRefused: ({ error }) => refusals.push(error.message) });
		const [a, b] = MemoryStream.pair();
		const mallory = mesh.issue('mallory', ALICE);
		mesh.revoke(mallory);
		const protocol = PROTOCOL;
		await Promise.all([
			failure(secureStream(a, { role: 'initiator', identity: mallory, protocol, self: ALICE, remote: BOB })),
			failure(secureStream(b, { role: 'responder', identity: bob, protocol, remote: ALICE, sessions })),
		]);
		expect(refusals.join()).to.match(/certificate of 12D3KooWAlice refused: it is revoked/);
	});

	it('does not end sessions because an identity cannot tell just now', async () => {
		const of = members();
		const { bobSessions } = await secured({}, of);
		const { verify } = of.bob;
		Object.assign(of.bob, {
			verify: () => {
				throw new MeshError('unavailable', 'the epoch is being read');
			},
		});
		expect(await bobSessions.recheck()).to.equal(0);
		Object.assign(of.bob, { verify });
	});

	it('ends the sessions of one peer on demand', async () => {
		const { near, bobSessions } = await secured();
		const closed = new Promise<Error | undefined>((resolve) => near.onClose(resolve));
		bobSessions.close(ALICE, 'for a test');
		expect(await closed).to.be.instanceOf(Error);
		expect(bobSessions.sessions()).to.have.length(0);
	});

	it('leaves no timer behind when it ends: one would keep every session alive with it', async () => {
		const clock = new TestClock();
		const { aliceSessions, bobSessions } = await secured({ clock });
		expect(clock.pendingTimers).to.be.greaterThan(0);
		aliceSessions.end();
		bobSessions.end();
		expect(clock.pendingTimers).to.equal(0);
	});

	it('resumes with a peer that comes back, and remembers its certificate', async () => {
		const of = members();
		(await secured({}, of)).near.abort(new Error('gone'));
		await secured({}, of);
		expect(of.bobSessions.sessions().map(({ isResumed }) => isResumed)).to.deep.equal([true]);
	});
});
