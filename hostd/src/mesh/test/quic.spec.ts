import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { createKeyPair, createUlid, genesisFor, workloadIdOf } from '@beemesh/sdk/identity';
import type { MachineId, Presence } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { afterEach, describe, it } from 'mocha';
import { startHost, type TestHost, whenHosts } from './host.ts';

const count = (wanted: number) => (hosts: readonly Presence[]) => hosts.length === wanted;
const wid = workloadIdOf(genesisFor(createKeyPair().publicKey, 'Deployment', 'default', 'web'));

describe('mesh on QUIC', function () {
	this.timeout(20_000);
	const hosts: TestHost[] = [];
	const children: ChildProcess[] = [];

	async function start(...args: Parameters<typeof startHost>): Promise<TestHost> {
		const host = await startHost(...args);
		hosts.push(host);
		return host;
	}

	async function startThree(): Promise<[TestHost, TestHost, TestHost]> {
		const first = await start({ name: 'one' });
		const join = [first.node.addresses()[0] as string];
		const three: [TestHost, TestHost, TestHost] = [
			first,
			await start({ name: 'two', join }),
			await start({ name: 'three', join }),
		];
		await Promise.all(three.map(({ node }) => whenHosts(node, count(3))));
		for (const { node } of three) {
			for (const { machineId, addresses } of node.hosts().slice(1)) await node.rpc.connect(machineId, { addresses });
		}
		return three;
	}

	afterEach(async () => {
		for (const child of children.splice(0)) child.kill('SIGKILL');
		await Promise.all(hosts.splice(0).map((host) => host[Symbol.asyncDispose]()));
	});

	it('is complete soon after joining, on every host', async () => {
		const three = await startThree();
		for (const { node } of three) {
			expect(node.hosts()[0]?.machineId).to.equal(node.machineId);
			expect(new Set(node.hosts().map(({ name }) => name))).to.deep.equal(new Set(['one', 'two', 'three']));
		}
	});

	it('is a mesh of one without others', async () => {
		const { node } = await start({ name: 'alone' });
		expect(node.hosts().map(({ name }) => name)).to.deep.equal(['alone']);
		expect(await node.publishTender('root', new Uint8Array([1]))).to.deep.equal(new Set());
		await node.provide('workload', wid);
		expect(await node.findProviders('workload', wid)).to.deep.equal([]);
		await node.putLease({ wid, slot: 0, gen: 1, awardId: createUlid(Date.now()), renewNonce: 1 });
	});

	it('tells of changes and of leaving', async () => {
		const [one, two, three] = await startThree();
		two.set({ leaving: true, pods: 3 });
		await whenHosts(one.node, (present) =>
			present.some(({ name, leaving, pods }) => name === 'two' && leaving && pods === 3),
		);
		await three[Symbol.asyncDispose]();
		await Promise.all([one, two].map(({ node }) => whenHosts(node, count(2))));
	});

	it('drops a host that was killed long before its presence runs out', async () => {
		const one = await start({ name: 'one' });
		const child = spawn(
			process.execPath,
			[
				'--conditions=source',
				fileURLToPath(new URL('./child.ts', import.meta.url)),
				'--name=killed',
				`--join=${one.node.addresses()[0]}`,
			],
			{ stdio: ['pipe', 'pipe', 'inherit'] },
		);
		children.push(child);
		await once(createInterface(child.stdout), 'line');
		await whenHosts(one.node, count(2));
		const killedMs = performance.now();
		child.kill('SIGKILL');
		await whenHosts(one.node, count(1));
		// Some 1.5 s; a busy machine takes longer. Without detection it would be the presence's TTL, 15 s.
		expect(performance.now() - killedMs).to.be.lessThan(10_000);
	});

	it('finds its way back when the only bootstrap host was restarted', async () => {
		const first = await startHost({ name: 'one' });
		const address = first.node.addresses()[0] as string;
		const second = await start({ name: 'two', join: [address] });
		await whenHosts(second.node, count(2));
		await first[Symbol.asyncDispose]();
		await whenHosts(second.node, count(1));
		const port = Number(/\/udp\/(\d+)\//.exec(address)?.[1]);
		const again = await start({ name: 'one', seed: first.membership.keys.seed, port });
		await Promise.all([again, second].map(({ node }) => whenHosts(node, count(2))));
	});

	it('keeps meshes of another root key apart', async () => {
		const one = await start({ name: 'one', mesh: 'blue' });
		const other = await start({ name: 'other', mesh: 'red' });
		const refused = await other.node.rpc.connect(one.node.machineId, { addresses: one.node.addresses() }).then(
			() => undefined,
			(error: Error) => error,
		);
		expect(refused?.message).to.match(/refused us: other mesh or plane/);
		expect(one.node.hosts()).to.have.length(1);
	});

	it('carries tenders to everyone, and passes on only what was accepted', async () => {
		const [one, two, three] = await startThree();
		const seen: string[] = [];
		for (const { node, name } of [
			{ node: two.node, name: 'two' },
			{ node: three.node, name: 'three' },
		]) {
			node.onTender('root', (data, from) => {
				expect([one, two, three].map((host) => host.node.machineId)).to.include(from);
				seen.push(`${name}: ${new TextDecoder().decode(data)}`);
				return 'accept';
			});
		}
		// Subscriptions travel too: what is published before they arrive reaches fewer.
		const last = await until(async (attempt) => {
			const reached = await one.node.publishTender('root', new TextEncoder().encode(`tender ${attempt}`));
			return reached.size === 2 ? `tender ${attempt}` : undefined;
		});
		await until(async () => (['two', 'three'].every((name) => seen.includes(`${name}: ${last}`)) ? true : undefined));
		expect(new Set(seen).size, 'each message is seen once').to.equal(seen.length);
	});

	it('finds leases and providers through the DHT', async () => {
		const [one, two] = await startThree();
		const slot = { wid, slot: 1, gen: 2 };
		const awardId = createUlid(Date.now());
		expect(await one.node.findLease(slot, AbortSignal.timeout(2_000))).to.equal(undefined);
		// Routing tables fill while the first seconds pass; a lease is renewed anyway.
		const lease = await until(async (renewNonce) => {
			await two.node.putLease({ ...slot, awardId, renewNonce });
			return one.node.findLease(slot, AbortSignal.timeout(2_000));
		});
		expect(lease.machineId).to.equal(two.node.machineId);
		await two.node.provide('owner', 'owner-1');
		const found: readonly MachineId[] = await one.node.findProviders('owner', 'owner-1');
		expect(found).to.deep.equal([two.node.machineId]);
	});
});

/** Tries until there is an answer; the suite's time-out is the deadline. */
async function until<T>(attempt: (count: number) => Promise<T | undefined>): Promise<T> {
	for (let count = 1; ; count++) {
		const answer = await attempt(count);
		if (answer !== undefined) return answer;
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
}
