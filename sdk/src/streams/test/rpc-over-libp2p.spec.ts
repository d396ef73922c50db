import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { afterEach, describe, it } from 'mocha';
import type { PeerId } from '../../wire/ids.ts';
import { createLibp2pNode, peerIdFromSeed } from '../libp2p/index.ts';
import { createRpcNode } from '../rpc/node.ts';
import type { RpcNode } from '../rpc/session.types.ts';
import { memberOf, Names, openExchange, PROTOCOL } from './remote-peer.ts';
import { failure } from './transport-suite.ts';

const QUIC = '/ip4/127.0.0.1/udp/0/quic-v1';
const SCRIPT = fileURLToPath(new URL('./remote-peer.ts', import.meta.url));

interface Remote {
	readonly child: ChildProcess;
	readonly peer: PeerId;
	readonly addresses: readonly string[];
}

describe('rpc over QUIC, between processes', function () {
	const root = randomBytes(64);
	this.timeout(20_000);
	const open: AsyncDisposable[] = [];
	const children: ChildProcess[] = [];

	async function here(): Promise<{ node: RpcNode<string>; peer: PeerId; addresses: readonly string[] }> {
		const seed = randomBytes(32);
		const session = memberOf(root, seed);
		const { transport } = await createLibp2pNode({ seed, listen: [QUIC], session });
		const node = createRpcNode({ transport, protocol: PROTOCOL, exchange: openExchange });
		node.services.serve(Names, { mine: () => transport.peerId });
		open.push(node, transport);
		return { node, peer: transport.peerId, addresses: transport.addresses() };
	}

	async function remote(seed: Uint8Array, listen: string): Promise<Remote> {
		const args = [Buffer.from(seed).toString('hex'), listen, root.toString('hex')];
		const child = spawn(process.execPath, ['--conditions=source', SCRIPT, ...args], {
			stdio: ['ignore', 'pipe', 'inherit'],
		});
		children.push(child);
		if (child.stdout === null) throw new Error('no stdout');
		const [line] = (await once(child.stdout, 'data')) as [Buffer];
		return { child, peer: peerIdFromSeed(seed), addresses: JSON.parse(String(line)) as string[] };
	}

	afterEach(async () => {
		for (const disposable of open.splice(0)) await disposable[Symbol.asyncDispose]();
		for (const child of children.splice(0)) {
			if (child.exitCode === null && child.signalCode === null) {
				child.kill('SIGKILL');
				await once(child, 'exit');
			}
		}
	});

	it('notices a killed process in about a second, and finds it again on the same port', async () => {
		const { node } = await here();
		const seed = randomBytes(32);
		const first = await remote(seed, QUIC);
		const session = await node.connect(first.peer, { addresses: first.addresses });
		expect(await session.caller(Names).mine(null)).to.equal(first.peer);
		const gone = new Promise<Error | undefined>((resolve) => session.onClose(resolve));
		const killedMs = performance.now();
		first.child.kill('SIGKILL');
		expect((await gone)?.message).to.match(/nothing heard/);
		// Half of this is usual; the bound is loose for busy machines, and below what QUIC alone would take.
		expect(performance.now() - killedMs).to.be.below(3_000);
		const address = first.addresses[0]?.split('/p2p/')[0] as string;
		const second = await remote(seed, address);
		const again = await node.connect(second.peer, { addresses: second.addresses });
		expect(await again.caller(Names).mine(null)).to.equal(first.peer);
	});

	it('tells a stopped process from a live one', async () => {
		const { node } = await here();
		const stopped = await remote(randomBytes(32), QUIC);
		const session = await node.connect(stopped.peer, { addresses: stopped.addresses });
		expect(await session.caller(Names).mine(null)).to.equal(stopped.peer);
		const gone = new Promise<Error | undefined>((resolve) => session.onClose(resolve));
		stopped.child.kill('SIGSTOP');
		const pending = failure(session.caller(Names).mine(null, { timeout: '15s' }));
		await gone;
		expect(await pending).to.include({ code: 'unavailable', applied: 'maybe' });
	});

	it('refuses another peer that answers at the address', async () => {
		const { node } = await here();
		const other = await remote(randomBytes(32), QUIC);
		const expected = peerIdFromSeed(randomBytes(32));
		const bare = other.addresses.map((address) => address.split('/p2p/')[0] as string);
		expect((await failure(node.connect(expected, { addresses: bare }))).code).to.equal('unauthorized');
	});

	it('makes one session of a simultaneous dial', async () => {
		for (let round = 0; round < 5; round++) {
			const [a, b] = [await here(), await here()];
			const [toB, toA] = await Promise.all([
				a.node.connect(b.peer, { addresses: b.addresses }),
				b.node.connect(a.peer, { addresses: a.addresses }),
			]);
			const calls = Array.from({ length: 100 }, () => [toB.caller(Names).mine(null), toA.caller(Names).mine(null)]);
			for (const name of await Promise.all(calls.flat())) expect([a.peer, b.peer]).to.include(name);
			expect(a.node.sessions()).to.have.length(1);
			expect(b.node.sessions()).to.have.length(1);
		}
	});

	it('says that a port is taken', async () => {
		const { addresses } = await here();
		const taken = addresses[0]?.split('/p2p/')[0] as string;
		const seed = randomBytes(32);
		const second = createLibp2pNode({ seed, listen: [taken], session: memberOf(root, seed) });
		expect((await failure(second)).code).to.equal('conflict');
	});
});
