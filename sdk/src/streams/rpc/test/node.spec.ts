import { expect } from 'chai';
import { afterEach, describe, it } from 'mocha';
import * as v from 'valibot';
import { isMeshError, MeshError } from '../../../errors.ts';
import type { PeerId } from '../../../wire/ids.ts';
import { createMemoryNetwork } from '../../memory/index.ts';
import type { Transport } from '../../transport.ts';
import { contract, rpc } from '../contract.ts';
import { createRpcNode } from '../node.ts';
import type { HelloExchange, RpcNode, Session } from '../session.types.ts';

const A = 'peer-a' as PeerId;
const B = 'peer-b' as PeerId;
const PROTOCOL = '/test/rpc/1.0.0';

const Names = contract('names', '1.0.0', {
	mine: rpc({ input: v.null(), output: v.string() }),
	later: rpc({ input: v.null(), output: v.string() }),
});

const open: HelloExchange<string> = {
	hello: () => new Uint8Array(0),
	admit: (remote) => `admitted ${remote}`,
};

const FAST = { pingEveryMs: 100, misses: 2 };

describe('rpc node', function () {
	this.timeout(10_000);
	const network = createMemoryNetwork();
	const nodes: AsyncDisposable[] = [];

	function start(id: PeerId, options: { heartbeats?: typeof FAST | false; exchange?: HelloExchange<string> } = {}) {
		const transport = network.join(id);
		const node = createRpcNode<string>({
			transport,
			protocol: PROTOCOL,
			exchange: options.exchange ?? open,
			heartbeats: options.heartbeats ?? false,
		});
		const releases: ((text: string) => void)[] = [];
		node.services.serve(Names, {
			mine: () => id,
			later: () => new Promise<string>((resolve) => releases.push(resolve)),
		});
		nodes.push(node, transport);
		return { node, transport, releases };
	}

	afterEach(async () => {
		for (const node of nodes.splice(0)) await node[Symbol.asyncDispose]();
	});

	const nextSession = (node: RpcNode<string>): Promise<Session<string>> =>
		new Promise((resolve) => {
			const subscription = node.onSession((session) => {
				subscription[Symbol.dispose]();
				resolve(session);
			});
		});

	const closed = (session: Session<string>): Promise<Error | undefined> =>
		new Promise((resolve) => session.onClose(resolve));

	const caught = (promise: Promise<unknown>): Promise<MeshError> =>
		promise.then(
			() => {
				throw new Error('expected a failure');
			},
			(error: unknown) => {
				if (isMeshError(error)) return error;
				throw error;
			},
		);

	it('keeps one session per pair, which both sides can use', async () => {
		const a = start(A);
		const b = start(B);
		const incoming = nextSession(b.node);
		const [first, second] = await Promise.all([a.node.connect(B), a.node.connect(B)]);
		expect(first).to.equal(second);
		expect(await a.node.connect(B)).to.equal(first);
		expect(first.principal).to.equal('admitted peer-b');
		expect(await first.caller(Names).mine(null)).to.equal(B);
		expect(await (await incoming).caller(Names).mine(null)).to.equal(A);
		expect(await b.node.connect(A)).to.equal(await incoming);
		expect(a.node.sessions()).to.deep.equal([first]);
	});

	it('makes one session of a simultaneous dial, and fails no call over it', async () => {
		for (let round = 0; round < 20; round++) {
			const a = start(A);
			const b = start(B);
			let openings = 0;
			a.node.onSession(() => openings++);
			b.node.onSession(() => openings++);
			const work = async (node: RpcNode<string>, peer: PeerId): Promise<void> => {
				const session = await node.connect(peer);
				const calls = Array.from({ length: 50 }, () => session.caller(Names).mine(null));
				for (const name of await Promise.all(calls)) expect(name).to.equal(peer);
			};
			await Promise.all([work(a.node, B), work(b.node, A)]);
			expect(openings).to.equal(2);
			expect(a.node.sessions()).to.have.length(1);
			expect(b.node.sessions()).to.have.length(1);
			for (const node of nodes.splice(0)) await node[Symbol.asyncDispose]();
		}
	});

	it('lets a call finish on the stream it began on, when that one is retired', async () => {
		const a = start(A);
		const b = start(B);
		const incoming = nextSession(b.node);
		const [toB, toA] = await Promise.all([a.node.connect(B), b.node.connect(A)]);
		expect(await incoming).to.equal(toA);
		const slow = [toB.caller(Names).later(null), toA.caller(Names).later(null)];
		while (a.releases.length === 0 || b.releases.length === 0) await toB.ping(1_000);
		for (let i = 0; i < 20; i++) await toB.caller(Names).mine(null);
		a.releases[0]?.('from a');
		b.releases[0]?.('from b');
		expect(await Promise.all(slow)).to.deep.equal(['from b', 'from a']);
		expect(toB.open && toA.open).to.equal(true);
	});

	it('tells the dialer why it was refused', async () => {
		start(B, {
			exchange: {
				...open,
				admit: () => {
					throw new MeshError('unauthorized', 'another owner');
				},
			},
		});
		const error = await caught(start(A).node.connect(B));
		expect(error).to.include({ code: 'unauthorized', message: 'another owner' });
	});

	it('says which peer cannot be reached, and that a cancelled dial did nothing', async () => {
		const a = start(A);
		expect(await caught(a.node.connect(B))).to.include({ code: 'unavailable', peer: B });
		expect((await caught(a.node.connect(A))).code).to.equal('invalid_input');
		start(B, { exchange: { ...open, hello: () => new Promise<Uint8Array>(() => undefined) } });
		const stop = new AbortController();
		const dial = caught(a.node.connect(B, { signal: stop.signal }));
		stop.abort();
		expect(await dial).to.include({ code: 'cancelled', applied: 'no' });
	});

	it('notices a peer that crashed without a word, and disconnects it', async () => {
		const a = start(A, { heartbeats: FAST });
		start(B, { heartbeats: FAST });
		const session = await a.node.connect(B);
		const gone = closed(session);
		const disconnected = new Promise<PeerId>((resolve) => {
			a.transport.onPeer(({ type, peer }) => type === 'disconnected' && resolve(peer));
		});
		const call = caught(session.caller(Names).later(null));
		await session.ping(1_000);
		network.crash(B);
		expect((await gone)?.message).to.match(/nothing heard/);
		expect(await disconnected).to.equal(B);
		expect(await call).to.include({ code: 'unavailable', applied: 'maybe' });
		expect(a.node.get(B)).to.equal(undefined);
	});

	it('parts at a partition on both sides, and connects again after it', async () => {
		const a = start(A, { heartbeats: FAST });
		const b = start(B, { heartbeats: FAST });
		const incoming = nextSession(b.node);
		const session = await a.node.connect(B);
		const both = Promise.all([closed(session), incoming.then(closed)]);
		const cut = network.partition([A], [B]);
		await both;
		expect((await caught(a.node.connect(B))).code).to.equal('unavailable');
		cut[Symbol.dispose]();
		expect(await (await a.node.connect(B)).caller(Names).mine(null)).to.equal(B);
	});

	it('replaces the session of a peer that restarted before anybody noticed', async () => {
		const a = start(A);
		start(B);
		const old = await a.node.connect(B);
		const gone = closed(old);
		network.crash(B);
		const renewed = nextSession(a.node);
		const b = start(B);
		await b.node.connect(A);
		expect((await gone)?.message).to.match(/restarted/);
		const session = await renewed;
		expect(session).not.to.equal(old);
		expect(a.node.get(B)).to.equal(session);
		expect(await session.caller(Names).mine(null)).to.equal(B);
	});

	it('takes over when only the remote lost the link', async () => {
		const a = start(A, { heartbeats: FAST });
		const b = start(B, { heartbeats: FAST });
		const incoming = nextSession(b.node);
		const session = await a.node.connect(B);
		const lost = closed(await incoming);
		const cut = network.partition([A], [B]);
		const drop: Transport['disconnect'] = (peer) => b.transport.disconnect(peer);
		await drop(A);
		await lost;
		cut[Symbol.dispose]();
		const again = await b.node.connect(A);
		expect(await again.caller(Names).mine(null)).to.equal(A);
		expect(await session.caller(Names).mine(null)).to.equal(B);
		expect(session.open).to.equal(true);
	});

	it('says goodbye when it closes', async () => {
		const a = start(A);
		const b = start(B);
		const session = await a.node.connect(B);
		const gone = closed(session);
		await b.node[Symbol.asyncDispose]();
		expect(await gone).to.equal(undefined);
		expect((await caught(b.node.connect(A))).code).to.equal('unavailable');
	});
});
