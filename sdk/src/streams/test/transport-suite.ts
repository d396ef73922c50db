/** What every `Transport` promises. Run by `transport.spec.ts` for each implementation. */
import { expect } from 'chai';
import { afterEach, describe, it } from 'mocha';
import { isMeshError, type MeshError } from '../../errors.ts';
import type { PeerId } from '../../wire/ids.ts';
import type { ByteStream, PeerEvent, Transport } from '../transport.ts';

const PROTOCOL = '/test/bytes/1.0.0';

export async function failure(promise: Promise<unknown>): Promise<MeshError> {
	try {
		await promise;
	} catch (error) {
		if (isMeshError(error)) return error;
		throw error;
	}
	throw new Error('expected a failure');
}

/** Everything a stream brings, until its end. */
export async function readAll(stream: ByteStream): Promise<Uint8Array> {
	const chunks: Uint8Array[] = [];
	for await (const chunk of stream.source) chunks.push(chunk);
	return new Uint8Array(Buffer.concat(chunks));
}

export async function writeAll(stream: ByteStream, bytes: Uint8Array, chunkBytes: number): Promise<void> {
	for (let at = 0; at < bytes.byteLength; at += chunkBytes) {
		if (!stream.write(bytes.subarray(at, at + chunkBytes))) await stream.drained();
	}
}

export function pattern(length: number): Uint8Array {
	const bytes = new Uint8Array(length);
	for (let i = 0; i < length; i++) bytes[i] = (i * 31) ^ (i >> 8);
	return bytes;
}

export interface Accepted {
	readonly stream: ByteStream;
	readonly remote: PeerId;
}

/** Accepts streams one after the other. */
export class Acceptor implements Disposable {
	readonly #queue: Accepted[] = [];
	readonly #waiting: ((accepted: Accepted) => void)[] = [];
	readonly #handle: Disposable;

	constructor(transport: Transport, protocol: string) {
		this.#handle = transport.handle(protocol, (stream, remote) => {
			const waiting = this.#waiting.shift();
			if (waiting) waiting({ stream, remote });
			else this.#queue.push({ stream, remote });
		});
	}

	next(): Promise<Accepted> {
		const accepted = this.#queue.shift();
		return accepted ? Promise.resolve(accepted) : new Promise((resolve) => this.#waiting.push(resolve));
	}

	[Symbol.dispose](): void {
		this.#handle[Symbol.dispose]();
	}
}

export function transportSuite(kind: string, makePair: () => Promise<[Transport, Transport]>): void {
	describe(`transport over ${kind}`, () => {
		const open: Transport[] = [];

		async function pair(): Promise<{ a: Transport; b: Transport }> {
			const [a, b] = await makePair();
			open.push(a, b);
			return { a, b };
		}

		/** A stream from a to b; `far` is what b was given. */
		async function connected() {
			const { a, b } = await pair();
			const acceptor = new Acceptor(b, PROTOCOL);
			const near = await a.dial(b.peerId, PROTOCOL, { addresses: b.addresses() });
			// libp2p tells the far side when it negotiated, which the first byte makes sure of.
			const { stream: far, remote } = await acceptor.next();
			return { a, b, near, far, remote, acceptor };
		}

		afterEach(async () => {
			await Promise.all(open.splice(0).map((transport) => transport[Symbol.asyncDispose]()));
		});

		it('carries bytes both ways, in order, to half-close', async () => {
			const { a, near, far, remote } = await connected();
			expect(remote).to.equal(a.peerId);
			const bytes = pattern(700_001);
			const back = pattern(300_000);
			const [there, here] = await Promise.all([
				readAll(far),
				readAll(near),
				writeAll(near, bytes, 10_000).then(() => near.close()),
				writeAll(far, back, 65_536).then(() => far.close()),
			]);
			expect(Buffer.compare(there, bytes)).to.equal(0);
			expect(Buffer.compare(here, back)).to.equal(0);
		});

		it('keeps the other half open after a half-close', async () => {
			const { near, far } = await connected();
			near.write(pattern(10));
			await near.close();
			expect(await readAll(far)).to.have.length(10);
			far.write(pattern(20));
			await far.close();
			expect(await readAll(near)).to.have.length(20);
		});

		it('closes fully when both halves are closed', async () => {
			const { near, far } = await connected();
			const closed = [near, far].map((s) => new Promise<Error | undefined>((resolve) => s.onClose(resolve)));
			near.write(pattern(1));
			await Promise.all([near.close(), far.close(), readAll(near), readAll(far)]);
			expect(await Promise.all(closed)).to.deep.equal([undefined, undefined]);
			const again = await new Promise<Error | undefined>((resolve) => near.onClose(resolve));
			expect(again).to.equal(undefined);
		});

		it('shows an abort to the other side as a failure, not as an end', async () => {
			const { near, far } = await connected();
			near.write(pattern(1));
			const source = far.source[Symbol.asyncIterator]();
			await source.next();
			const closed = new Promise<Error | undefined>((resolve) => far.onClose(resolve));
			near.abort(new Error('enough'));
			let thrown: unknown;
			try {
				while ((await source.next()).done !== true);
			} catch (error) {
				thrown = error;
			}
			expect(isMeshError(thrown, 'unavailable')).to.equal(true);
			expect(await closed).to.be.instanceOf(Error);
			expect(far.write(pattern(1))).to.be.a('boolean');
			await failure(far.drained());
		});

		it('holds the writer back while the reader pauses, and loses nothing', async () => {
			const { near, far } = await connected();
			const total = 24 * 1024 * 1024;
			const chunk = pattern(64 * 1024);
			let written = 0;
			let stalled: (() => void) | undefined;
			const full = new Promise<void>((resolve) => {
				stalled = resolve;
			});
			const writing = (async () => {
				while (written < total) {
					const more = near.write(chunk);
					written += chunk.byteLength;
					if (!more) {
						const drained = near.drained();
						// Nothing reads: sooner or later a drain does not come, which is what is waited for.
						const timer = setTimeout(() => stalled?.(), 300);
						await drained;
						clearTimeout(timer);
					}
				}
				await near.close();
			})();
			await full;
			expect(written).to.be.below(total / 2);
			expect((await readAll(far)).byteLength).to.equal(total);
			await writing;
		});

		it('runs several streams on one connection', async () => {
			const { a, b, acceptor } = await connected();
			const dials = await Promise.all(Array.from({ length: 20 }, () => a.dial(b.peerId, PROTOCOL)));
			const reads: Promise<Uint8Array>[] = [];
			for (const [i, stream] of dials.entries()) {
				stream.write(new Uint8Array([i]));
				await stream.close();
				reads.push(acceptor.next().then(({ stream: far }) => readAll(far)));
			}
			const got = (await Promise.all(reads)).map((bytes) => bytes[0] as number);
			expect(got.sort((x, y) => x - y)).to.deep.equal(dials.map((_, i) => i));
		});

		it('can be dialed back without addresses', async () => {
			const { a, b } = await connected();
			using acceptor = new Acceptor(a, '/test/back/1.0.0');
			const back = await b.dial(a.peerId, '/test/back/1.0.0');
			back.write(pattern(3));
			await back.close();
			expect(await readAll((await acceptor.next()).stream)).to.have.length(3);
		});

		it('tells of the first connection and of the end of the last', async () => {
			const { a, b } = await pair();
			const events: PeerEvent[] = [];
			let parted: (() => void) | undefined;
			const disconnected = new Promise<void>((resolve) => {
				parted = resolve;
			});
			const remoteParted = new Promise<PeerId>((resolve) => {
				b.onPeer(({ type, peer }) => type === 'disconnected' && resolve(peer));
			});
			a.onPeer((event) => {
				events.push(event);
				if (event.type === 'disconnected') parted?.();
			});
			const acceptor = new Acceptor(b, PROTOCOL);
			expect(a.isConnected(b.peerId)).to.equal(false);
			const stream = await a.dial(b.peerId, PROTOCOL, { addresses: b.addresses() });
			await acceptor.next();
			expect(a.isConnected(b.peerId)).to.equal(true);
			const closed = new Promise<Error | undefined>((resolve) => stream.onClose(resolve));
			await a.disconnect(b.peerId);
			await Promise.all([closed, disconnected]);
			expect(await remoteParted).to.equal(a.peerId);
			expect(events).to.deep.equal([
				{ type: 'connected', peer: b.peerId },
				{ type: 'disconnected', peer: b.peerId },
			]);
			expect(a.isConnected(b.peerId)).to.equal(false);
		});

		it('keeps what is not older than a stream that is to be kept', async () => {
			const { a, b, acceptor } = await connected();
			const kept = await a.dial(b.peerId, PROTOCOL);
			const { stream: far } = await acceptor.next();
			const later = await a.dial(b.peerId, PROTOCOL);
			const { stream: laterFar } = await acceptor.next();
			await a.disconnect(b.peerId, kept);
			expect(a.isConnected(b.peerId)).to.equal(true);
			for (const [near, remote] of [
				[kept, far],
				[later, laterFar],
			] as const) {
				near.write(pattern(3));
				await near.close();
				expect(await readAll(remote)).to.have.length(3);
			}
		});

		it('says that a protocol is not served', async () => {
			const { a, b } = await connected();
			const error = await failure(a.dial(b.peerId, '/test/nobody/1.0.0'));
			expect(error).to.include({ code: 'unavailable', peer: b.peerId });
			expect(error.message).to.contain('/test/nobody/1.0.0');
		});

		it('stops serving when told so', async () => {
			const { a, b, acceptor } = await connected();
			acceptor[Symbol.dispose]();
			expect((await failure(a.dial(b.peerId, PROTOCOL))).code).to.equal('unavailable');
		});

		it('says that a peer is gone, and that a cancelled dial did nothing', async () => {
			const { a, b } = await pair();
			const addresses = b.addresses();
			const stop = new AbortController();
			stop.abort();
			expect(await failure(a.dial(b.peerId, PROTOCOL, { addresses, signal: stop.signal }))).to.include({
				code: 'cancelled',
				applied: 'no',
			});
			await b[Symbol.asyncDispose]();
			const error = await failure(a.dial(b.peerId, PROTOCOL, { addresses }));
			expect(error).to.include({ code: 'unavailable', peer: b.peerId });
		}).timeout(8_000);
	});
}
