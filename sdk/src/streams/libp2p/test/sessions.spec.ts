import { randomBytes } from 'node:crypto';
import { kadDHT, passthroughMapper, type SingleKadDHT } from '@libp2p/kad-dht';
import { expect } from 'chai';
import { afterEach, describe, it } from 'mocha';
import * as v from 'valibot';
import { isMeshError } from '../../../errors.ts';
import type { PeerId } from '../../../wire/ids.ts';
import { contract, rpc } from '../../rpc/contract.ts';
import { createRpcNode } from '../../rpc/node.ts';
import type { HelloExchange } from '../../rpc/session.types.ts';
import { HEADER_BYTES, TAG_BYTES } from '../../session/core/index.ts';
import { RecordSplitter, type RekeyLimits } from '../../session/index.ts';
import { Sessions, type SessionsComponents } from '../../session/sessions.ts';
import { createTestMesh, type TestIdentity, type TestMesh } from '../../session/test/identities.ts';
import { NonceWatch } from '../../session/test/nonces.ts';
import { Acceptor, failure, pattern, readAll, writeAll } from '../../test/transport-suite.ts';
import type { ByteStream, Transport } from '../../transport.ts';
import type { NativeStream } from '../native.ts';
import { assembleNode, createLibp2pNode, peerIdFromSeed } from '../node.ts';
import { secureWire, type Taps } from '../wire.ts';
import { plainWire } from './plain-wire.ts';
import { Capture, tapQuic } from './taps.ts';

const QUIC = '/ip4/127.0.0.1/udp/0/quic-v1';
const TCP = '/ip4/127.0.0.1/tcp/0';
const PROTOCOL = '/test/bytes/1.0.0';
const Echo = contract('echo', '1.0.0', { echo: rpc({ input: v.string(), output: v.string() }) });
const openExchange: HelloExchange<string> = { hello: () => new Uint8Array(0), admit: (remote) => remote };

interface Node {
	readonly peer: PeerId;
	readonly transport: Transport;
	readonly sessions: Sessions<string>;
	readonly identity: TestIdentity;
	readonly dht: SingleKadDHT;
}

describe('sessions on libp2p', function () {
	this.timeout(30_000);
	const open: Transport[] = [];

	async function join(
		mesh: TestMesh,
		name: string,
		listen: string,
		options: { taps?: Taps; rekey?: RekeyLimits; components?: SessionsComponents } = {},
	): Promise<Node> {
		const seed = randomBytes(32);
		const peer = peerIdFromSeed(seed);
		const identity = mesh.issue(name, peer);
		const { rekey = {}, components, taps } = options;
		const sessions = new Sessions({ identity, self: peer, rekey }, components);
		const dht = kadDHT({
			protocol: '/test/kad/1',
			clientMode: false,
			peerInfoMapper: passthroughMapper,
			validators: { test: async () => undefined },
			selectors: { test: () => 0 },
		});
		const node = await assembleNode<{ dht: SingleKadDHT }, string>(
			{ seed, listen: [listen], services: { dht } as never },
			secureWire(sessions, taps === undefined ? {} : { taps }),
		);
		open.push(node.transport);
		return { peer, transport: node.transport, sessions, identity, dht: node.node.services.dht };
	}

	async function stranger(listen: string): Promise<Transport> {
		const { transport } = await assembleNode({ seed: randomBytes(32), listen: [listen] }, plainWire());
		open.push(transport);
		return transport;
	}

	async function stream(a: Node, b: Node, acceptor: Acceptor): Promise<{ near: ByteStream; far: ByteStream }> {
		const near = await a.transport.dial(b.peer, PROTOCOL, { addresses: b.transport.addresses() });
		const { stream: far } = await acceptor.next();
		return { near, far };
	}

	afterEach(async () => {
		await Promise.all(open.splice(0).map((transport) => transport[Symbol.asyncDispose]()));
	});

	for (const listen of [QUIC, TCP]) {
		const name = listen === QUIC ? 'QUIC' : 'TCP';

		it(`carry rpc, kad and identify over ${name}, of which nothing is seen below: all is handshakes and records`, async () => {
			const mesh = createTestMesh();
			const capture = new Capture();
			const a = await join(mesh, 'a', listen, { taps: capture.taps });
			const b = await join(mesh, 'b', listen);
			const [nodeA, nodeB] = [a, b].map(({ transport }) =>
				createRpcNode({ transport, protocol: '/test/rpc/1', exchange: openExchange }),
			);
			if (nodeA === undefined || nodeB === undefined) throw new Error('no nodes');
			nodeB.services.serve(Echo, { echo: async (text) => text });
			const canary = `canary${randomBytes(12).toString('hex')}`;
			const session = await nodeA.connect(b.peer, { addresses: b.transport.addresses() });
			for (let i = 0; i < 20; i++) expect(await session.caller(Echo).echo(canary.repeat(50))).to.have.length(1_500);
			expect(a.sessions.principalOf(b.peer)).to.equal('b');
			expect(b.sessions.principalOf(a.peer)).to.equal('a');
			// A record in the DHT, stored at b and found there.
			const routingTable = a.dht.routingTable as SingleKadDHT['routingTable'] & EventTarget;
			if (routingTable.size === 0) {
				await new Promise((resolve) => routingTable.addEventListener('peer:add', resolve, { once: true }));
			}
			const signal = AbortSignal.timeout(5_000);
			const [key, value] = [Buffer.from(`/test/${canary}`), Buffer.from(canary.repeat(3))];
			for await (const _ of a.dht.put(key, value, { signal }));
			let found = 0;
			for await (const event of a.dht.get(key, { signal })) {
				if (event.name === 'VALUE' && Buffer.compare(event.value, value) === 0) found++;
			}
			expect(found).to.be.greaterThan(0);
			await nodeA[Symbol.asyncDispose]();
			await nodeB[Symbol.asyncDispose]();
			const everything = Buffer.concat([...capture.flows().values()].map(({ bytes }) => bytes));
			expect(everything.byteLength).to.be.greaterThan(60_000);
			for (const secret of [
				canary,
				'echo',
				'/test/kad',
				'/ipfs/id',
				'/multistream',
				'beemesh/session',
				b.identity.name.repeat(9),
			]) {
				for (const form of forms(secret)) expect(everything.includes(form), secret).to.equal(false);
			}
			for (const [flow, { bytes }] of capture.flows()) expectRecords(flow, bytes);
		});

		it(`are the gate over ${name}: without one no protocol is reached`, async () => {
			const mesh = createTestMesh();
			const b = await join(mesh, 'b', listen);
			let reached = 0;
			for (const protocol of [PROTOCOL, '/test/kad/2']) b.transport.handle(protocol, () => reached++);
			const addresses = b.transport.addresses();
			const plain = await stranger(listen);
			expect((await failure(plain.dial(b.peer, PROTOCOL, { addresses }))).code).to.be.oneOf([
				'unavailable',
				'unauthorized',
			]);
			// The other way round, and with a certificate of another root, and without the pre-shared key.
			const other = createTestMesh({ psks: [mesh.psk] });
			const strange = await join(other, 'x', listen);
			expect((await failure(strange.transport.dial(b.peer, PROTOCOL, { addresses }))).code).to.equal('unauthorized');
			const keyless = await join(mesh, 'k', listen);
			keyless.identity.currentPsks = [randomBytes(32)];
			expect((await failure(keyless.transport.dial(b.peer, PROTOCOL, { addresses }))).code).to.equal('unauthorized');
			const gone = await join(mesh, 'g', listen);
			mesh.revoke(gone.identity);
			const refused = await failure(gone.transport.dial(b.peer, PROTOCOL, { addresses }));
			expect(refused.code).to.equal('unauthorized');
			expect(refused.message).to.match(/refused our certificate/);
			await failure(b.transport.dial(plain.peerId, PROTOCOL, { addresses: plain.addresses() }));
			expect(reached).to.equal(0);
			expect(b.sessions.sessions()).to.have.length(0);
			expect(b.transport.isConnected(plain.peerId)).to.equal(false);
		});

		it(`of a peer that is revoked end at once over ${name}, with its connection`, async () => {
			const mesh = createTestMesh();
			const [a, b] = [await join(mesh, 'a', listen), await join(mesh, 'b', listen)];
			using acceptor = new Acceptor(b.transport, PROTOCOL);
			const { near, far } = await stream(a, b, acceptor);
			const closed = [near, far].map((s) => new Promise<Error | undefined>((resolve) => s.onClose(resolve)));
			mesh.revoke(a.identity);
			expect(await b.sessions.recheck()).to.equal(1);
			await Promise.all(closed);
			expect(b.transport.isConnected(a.peer)).to.equal(false);
			const again = await failure(a.transport.dial(b.peer, PROTOCOL, { addresses: b.transport.addresses() }));
			expect(again.code).to.equal('unauthorized');
		});

		it(`outlive streams that either side gives up over ${name}`, async () => {
			const mesh = createTestMesh();
			const [a, b] = [await join(mesh, 'a', listen), await join(mesh, 'b', listen)];
			using acceptor = new Acceptor(b.transport, PROTOCOL);
			const held = await stream(a, b, acceptor);
			for (let i = 0; i < 100; i++) {
				const { near, far } = await stream(a, b, acceptor);
				const closed = [near, far].map((s) => new Promise((resolve) => s.onClose(resolve)));
				(i % 2 === 0 ? near : far).abort(new Error('no longer wanted'));
				await Promise.all(closed);
			}
			await writeAll(held.near, pattern(1_000), 100);
			await held.near.close();
			expect(await readAll(held.far)).to.have.length(1_000);
		});

		it(`change keys under load over ${name}, lose and double nothing, and use no nonce twice`, async () => {
			const mesh = createTestMesh();
			const watch = new NonceWatch();
			const options = {
				rekey: { phaseBytes: 64 * 1024, graceBytes: 64 * 1024 },
				components: { crypto: watch.crypto },
			};
			const [a, b] = [await join(mesh, 'a', listen, options), await join(mesh, 'b', listen, options)];
			using acceptor = new Acceptor(b.transport, PROTOCOL);
			// One stream that is not read until all is over, across every phase in between.
			const held = await stream(a, b, acceptor);
			held.near.write(pattern(100_000));
			const transfers = Array.from({ length: 6 }, async (_, i) => {
				for (let round = 0; round < 3; round++) {
					const { near, far } = await stream(a, b, acceptor);
					const [there, back] = [pattern(400_000 + i * 1000 + round), pattern(300_000 + i)];
					const [got, gotBack] = await Promise.all([
						readAll(far),
						readAll(near),
						writeAll(near, there, 30_000).then(() => near.close()),
						writeAll(far, back, 20_000).then(() => far.close()),
					]);
					expect(got.byteLength + gotBack.byteLength).to.be.greaterThan(600_000);
				}
			});
			await Promise.all(transfers);
			held.near.write(pattern(5));
			await held.near.close();
			expect(await readAll(held.far)).to.have.length(100_005);
			expect(a.sessions.sessions()[0]?.phase).to.be.greaterThan(50);
			expect(watch.reused).to.equal(0);
		});
	}

	it('refuse a stream number that was used before', async () => {
		const mesh = createTestMesh();
		const taps: Taps = {
			// Streams are numbered 1, 2, 3 in their first byte: what is opened later claims to be the first one again.
			quic: (native) => {
				const seen = new Set<string>();
				return tapQuic(native, {
					write: (id, opener, bytes) => {
						if (opener !== 'us' || seen.has(id)) return bytes;
						seen.add(id);
						return seen.size > 3 ? Uint8Array.from([1, ...bytes.subarray(1)]) : bytes;
					},
				});
			},
		};
		const [a, b] = [await join(mesh, 'a', QUIC, { taps }), await join(mesh, 'b', QUIC)];
		b.transport.handle(PROTOCOL, () => undefined);
		const addresses = b.transport.addresses();
		const ended = new Promise<void>((resolve) => {
			b.transport.onPeer(({ type }) => type === 'disconnected' && resolve());
		});
		for (let i = 0; i < 3; i++) await a.transport.dial(b.peer, PROTOCOL, { addresses }).catch(() => undefined);
		// Dialing again may have made a new one by now, which is another session with numbers of its own.
		await ended;
	});

	it('end the connection when a stream is cut short below', async () => {
		const mesh = createTestMesh();
		const streams = new Map<string, NativeStream>();
		let ours = '';
		const taps: Taps = {
			quic: (native) =>
				tapQuic(native, {
					opened: (opened) => void streams.set(opened.id(), opened),
					write: (id, _opener, bytes) => {
						// Nothing else writes as much here.
						if (bytes.byteLength > 20_000) ours = id;
						return bytes;
					},
				}),
		};
		const [a, b] = [await join(mesh, 'a', QUIC, { taps }), await join(mesh, 'b', QUIC)];
		using acceptor = new Acceptor(b.transport, PROTOCOL);
		const { near, far } = await stream(a, b, acceptor);
		near.write(pattern(30_000));
		await near.drained();
		await streams.get(ours)?.finishWrite();
		let thrown: unknown;
		try {
			await readAll(far);
		} catch (error) {
			thrown = error;
		}
		expect(isMeshError(thrown), `${thrown}`).to.equal(true);
		expect(b.sessions.sessions()).to.have.length(0);
	});

	it('refuse a flipped bit in any stream, and end the connection', async () => {
		const mesh = createTestMesh();
		let isOn = false;
		const taps: Taps = {
			quic: (native) =>
				tapQuic(native, {
					write: (_id, _opener, bytes) => (isOn ? Uint8Array.from(bytes, (b, i) => (i === 6 ? b ^ 4 : b)) : bytes),
				}),
		};
		const [a, b] = [await join(mesh, 'a', QUIC, { taps }), await join(mesh, 'b', QUIC)];
		using acceptor = new Acceptor(b.transport, PROTOCOL);
		const { near, far } = await stream(a, b, acceptor);
		isOn = true;
		near.write(pattern(10));
		let thrown: unknown;
		try {
			await readAll(far);
		} catch (error) {
			thrown = error;
		}
		expect(isMeshError(thrown, 'unauthorized'), `${thrown}`).to.equal(true);
		expect(b.sessions.sessions()).to.have.length(0);
	});

	it('keep nothing of streams that are over, however they ended', async () => {
		const mesh = createTestMesh();
		const [a, b] = [await join(mesh, 'a', QUIC), await join(mesh, 'b', QUIC)];
		using acceptor = new Acceptor(b.transport, PROTOCOL);
		await stream(a, b, acceptor);
		const open = (): number[] => [a, b].map(({ sessions }) => sessions.sessions()[0]?.streams ?? 0);
		for (let i = 0; i < 60; i++) {
			const { near, far } = await stream(a, b, acceptor);
			const over = [near, far].map((s) => new Promise((resolve) => s.onClose(resolve)));
			near.write(pattern(5_000));
			far.write(pattern(5_000));
			if (i % 3 === 0) near.abort(new Error('enough'));
			else if (i % 3 === 1) far.abort(new Error('enough'));
			else {
				await Promise.all([near.close(), far.close()]);
				await Promise.all([readAll(near), readAll(far)]);
			}
			await Promise.all(over);
		}
		// The handshake's, the first of ours, and a few of identify and the DHT, which come and go.
		for (const streams of open()) expect(streams).to.be.below(20);
	});

	it('resume when the same peers meet again', async () => {
		const mesh = createTestMesh();
		// No DHT here, which dials on its own and perhaps the other way round.
		const [a, b] = await Promise.all(
			['a', 'b'].map(async (name) => {
				const seed = randomBytes(32);
				const session = mesh.issue(name, peerIdFromSeed(seed));
				return createLibp2pNode({ seed, listen: [QUIC], session });
			}),
		);
		if (a?.sessions === undefined || b === undefined) throw new Error('no nodes');
		open.push(a.transport, b.transport);
		b.transport.handle(PROTOCOL, () => undefined);
		const { peerId } = b.transport;
		for (const isResumed of [false, true, true]) {
			await a.transport.dial(peerId, PROTOCOL, { addresses: b.transport.addresses() });
			expect(a.sessions.sessions().map((session) => session.isResumed)).to.deep.equal([isResumed]);
			await a.transport.disconnect(peerId);
		}
	});
});

/** As it is, in hexadecimal and base64, and as UTF-16. */
function forms(text: string): Buffer[] {
	const raw = Buffer.from(text);
	return [
		raw,
		Buffer.from(raw.toString('hex')),
		Buffer.from(raw.toString('base64').replace(/=+$/, '').slice(0, -2)),
		Buffer.from(text, 'utf16le'),
	];
}

/** Handshake messages or a stream number, then records without a gap. */
function expectRecords(flow: string, bytes: Uint8Array): void {
	let at = 0;
	// Handshake messages: u16 length, then "BMS" and the version.
	while (Buffer.from(bytes.subarray(at + 2, at + 6)).equals(Buffer.from([0x42, 0x4d, 0x53, 1]))) {
		at += 2 + ((bytes[at] as number) << 8) + (bytes[at + 1] as number);
	}
	// The opener's number for a stream of its own: small here, so one byte. A header begins with the phase, 0.
	if (at === 0 && bytes[0] !== 0) at = 1;
	const splitter = new RecordSplitter();
	let records = 0;
	for (const { sealed } of splitter.split(bytes.subarray(at))) {
		records++;
		expect(sealed.byteLength + HEADER_BYTES).to.be.within(HEADER_BYTES + TAG_BYTES, 64 * 1024);
	}
	expect(records > 0 || at > 1, flow).to.equal(true);
	expect(splitter.isAtBoundary, flow).to.equal(true);
}
