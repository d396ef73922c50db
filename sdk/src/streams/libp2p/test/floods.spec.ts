/** Peers that open connections and streams and then do nothing, or too much. */
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { quic } from '@chainsafe/libp2p-quic';
import { yamux } from '@chainsafe/libp2p-yamux';
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { MultiaddrConnection, Startable } from '@libp2p/interface';
import { noise } from '@libp2p/noise';
import { tcp } from '@libp2p/tcp';
import { multiaddr } from '@multiformats/multiaddr';
import { expect } from 'chai';
import { createLibp2p } from 'libp2p';
import { afterEach, describe, it } from 'mocha';
import { Sessions } from '../../session/sessions.ts';
import { createTestMesh, type TestMesh } from '../../session/test/identities.ts';
import { assembleNode, peerIdFromSeed } from '../node.ts';
import type { QuicConfig } from '../quic.ts';
import { secureWire } from '../wire.ts';

const QUIC = '/ip4/127.0.0.1/udp/0/quic-v1';
const TCP = '/ip4/127.0.0.1/tcp/0';

describe('floods of connections', function () {
	this.timeout(60_000);
	const open: AsyncDisposable[] = [];

	afterEach(async () => {
		await Promise.all(open.splice(0).map((one) => one[Symbol.asyncDispose]()));
	});

	async function join(
		mesh: TestMesh,
		name: string,
		listen: readonly string[],
		{ onRefused = () => undefined, quic }: { readonly onRefused?: () => void; readonly quic?: QuicConfig } = {},
	) {
		const seed = randomBytes(32);
		const peer = peerIdFromSeed(seed);
		const limits = { timeoutMs: 3_000 };
		const sessions = new Sessions({ identity: mesh.issue(name, peer), self: peer, limits, onRefused });
		const { node, transport } = await assembleNode({ seed, listen }, secureWire(sessions, { quic }));
		open.push(transport);
		return { peer, node, transport, sessions };
	}

	async function fails(dial: Promise<unknown>): Promise<string> {
		return dial.then(
			() => 'connected',
			(error: Error) => error.message,
		);
	}

	it('1,000 half-open QUIC connections: few handshakes wait, the rest is hung up on, and a member gets in', async () => {
		const mesh = createTestMesh();
		const target = await join(mesh, 'target', [QUIC]);
		const addresses = target.transport.addresses();
		const address = multiaddr(addresses[0]);
		const held: MultiaddrConnection[] = [];
		const upgrader = {
			upgradeOutbound: async (connection: MultiaddrConnection) => {
				held.push(connection);
				return connection;
			},
		};
		const { logger } = target.node;
		let pendingMax = 0;
		// 125 peers with 8 connections each, which open no stream.
		for (let peer = 0; peer < 125; peer++) {
			const transport = quic()({ logger, privateKey: await generateKeyPair('Ed25519') });
			open.push({
				[Symbol.asyncDispose]: async () => void (await (transport as typeof transport & Startable).stop?.()),
			});
			const dial = () => transport.dial(address, { upgrader: upgrader as never, signal: AbortSignal.timeout(10_000) });
			await Promise.all(Array.from({ length: 8 }, dial));
			pendingMax = Math.max(pendingMax, target.sessions.pendingCount);
		}
		expect(held).to.have.length(1_000);
		const member = await join(mesh, 'member', [QUIC]);
		target.transport.handle('/y', (stream) => void stream.close());
		await member.transport.dial(target.peer, '/y', { addresses });
		expect(pendingMax).to.be.greaterThan(8);
		expect(pendingMax).to.be.lessThan(65);
		expect(target.node.getConnections()).to.have.length(1);
		// All are hung up on, the last of them when their time is up.
		while (held.some(({ status }) => status === 'open')) await new Promise((resolve) => setTimeout(resolve, 50));
		expect(target.sessions.pendingCount).to.equal(0);
	});

	it('QUIC handshakes that fall silent keep nobody else waiting', async () => {
		const mesh = createTestMesh();
		// Far longer than a dial waits.
		const target = await join(mesh, 'target', [QUIC], { quic: { idleTimeoutMs: 60_000 } });
		target.transport.handle('/y', (stream) => void stream.close());
		const addresses = target.transport.addresses();
		const port = Number(/udp\/(\d+)/.exec(addresses[0] ?? '')?.[1]);
		const silent = quic()({ logger: target.node.logger, privateKey: await generateKeyPair('Ed25519') });
		open.push({ [Symbol.asyncDispose]: async () => void (await (silent as typeof silent & Startable).stop?.()) });
		for (let i = 0; i < 10; i++) {
			// Passes on how a handshake begins, and keeps the answer to itself.
			const between = createSocket('udp4').bind(0, '127.0.0.1');
			open.push({ [Symbol.asyncDispose]: () => new Promise((resolve) => void between.close(resolve)) });
			await once(between, 'listening');
			const answered = new Promise<void>((resolve) => {
				between.on('message', (bytes, from) => (from.port === port ? resolve() : between.send(bytes, port)));
			});
			const bait = multiaddr(`/ip4/127.0.0.1/udp/${between.address().port}/quic-v1`);
			void fails(silent.dial(bait, { upgrader: undefined as never, signal: AbortSignal.timeout(10_000) }));
			await answered;
			between.removeAllListeners('message');
		}
		const member = await join(mesh, 'member', [QUIC]);
		await member.transport.dial(target.peer, '/y', { addresses });
	});

	it('a peer that hammers is hung up on before its handshake, and does not keep a member out', async () => {
		let refused = 0;
		const mesh = createTestMesh();
		const target = await join(mesh, 'target', [QUIC], { onRefused: () => void refused++ });
		target.transport.handle('/y', (stream) => void stream.close());
		const addresses = target.transport.addresses();
		const stranger = await join(createTestMesh(), 'stranger', []);
		const startMs = performance.now();
		for (let i = 0; i < 50; i++) await fails(stranger.transport.dial(target.peer, '/y', { addresses }));
		// Eight, and one more every two seconds.
		expect(refused).to.be.within(8, Math.ceil(9 + (performance.now() - startMs) / 2_000));
		expect(target.sessions.pendingCount).to.equal(0);
		const member = await join(mesh, 'member', []);
		await member.transport.dial(target.peer, '/y', { addresses });
		expect(target.node.getConnections()).to.have.length(1);
	});

	it('listens where it was told to, and nowhere else', async () => {
		const mesh = createTestMesh();
		const one = await join(mesh, 'one', [QUIC]);
		expect(one.transport.addresses()).to.have.length(1);
		expect(one.transport.addresses()[0]).to.match(/^\/ip4\/127\.0\.0\.1\/udp\/\d+\/quic-v1\//);
		const none = await join(mesh, 'none', []);
		expect(none.transport.addresses()).to.deep.equal([]);
	});

	it('streams that never say what they are for are reset, and do not keep others out', async () => {
		const mesh = createTestMesh();
		const [target, slow] = [await join(mesh, 'target', [QUIC]), await join(mesh, 'slow', [QUIC])];
		target.transport.handle('/y', (stream) => void stream.close());
		const addresses = target.transport.addresses();
		const connection = await slow.node.dial(addresses.map((address) => multiaddr(address)));
		const muxer = (
			connection as unknown as { muxer: { createStream(): Promise<EventTarget & { send(b: Uint8Array): void }> } }
		).muxer;
		const ends: Promise<unknown>[] = [];
		for (let i = 0; i < 100; i++) {
			const stream = await muxer.createStream();
			stream.send(new Uint8Array([0x13]));
			ends.push(new Promise((resolve) => stream.addEventListener('close', resolve, { once: true })));
		}
		await slow.transport.dial(target.peer, '/y', { addresses });
		await Promise.all(ends);
		const left = target.node.getConnections()[0]?.streams.length ?? 0;
		expect(left).to.be.lessThan(10);
	});

	it('refuses protocols that nobody serves, and more streams of one than its limit', async () => {
		const mesh = createTestMesh();
		const [target, greedy] = [await join(mesh, 'target', [QUIC]), await join(mesh, 'greedy', [QUIC])];
		const addresses = target.transport.addresses();
		expect(await fails(greedy.transport.dial(target.peer, '/nobody/serves/1', { addresses }))).to.match(
			/does not serve/,
		);
		let served = 0;
		target.transport.handle('/hold/1', () => served++);
		const connection = await greedy.node.dial(addresses.map((address) => multiaddr(address)));
		let refused = 0;
		for (let i = 0; i < 270; i++) {
			const stream = await connection.newStream('/hold/1', { maxOutboundStreams: 1_000 }).catch(() => undefined);
			if (stream === undefined) refused++;
			else stream.addEventListener('close', () => refused++);
		}
		while (served + refused < 270) await new Promise((resolve) => setTimeout(resolve, 20));
		expect(served).to.equal(256);
	});

	it('talks to no peer of an RSA key', async () => {
		const mesh = createTestMesh();
		const target = await join(mesh, 'target', [TCP]);
		const rsa = await createLibp2p({
			privateKey: await generateKeyPair('RSA', 2048),
			addresses: { listen: [TCP] },
			transports: [tcp()],
			connectionEncrypters: [noise()],
			streamMuxers: [yamux()],
		});
		open.push({ [Symbol.asyncDispose]: async () => void (await rsa.stop()) });
		const [address] = target.transport.addresses();
		expect(await fails(rsa.dial(multiaddr(address)))).to.not.equal('connected');
		const dialed = target.transport.dial(rsa.peerId.toString() as never, '/x', {
			addresses: rsa.getMultiaddrs().map(String),
		});
		expect(await fails(dialed)).to.not.equal('connected');
		expect(target.node.getConnections()).to.have.length(0);
	});
});
