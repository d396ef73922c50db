/**
 * Four hosts, each a network namespace with a Podman and a `hostd` of its own, run both examples in containers: through
 * a host that is cut off, and one that dies with all its containers. The steps build on each other.
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { buildImages } from '../../../scripts/images.ts';
import { type Beectl, createBeectl, type Pod } from '../../../scripts/quickstart/beectl.ts';
import type { EnrolledMesh } from '../../../scripts/quickstart/mesh.ts';
import { command, e2eMissing, skipLoudly } from './commands.ts';
import { createTestMesh, type HostDaemon, startDaemon } from './host-daemon.ts';
import { createImageStore, type ImageStore } from './image-store.ts';
import { createNetwork, type NetworkHost, type TestNetwork } from './netns.ts';
import { Writer } from './writer.ts';

const ROOT = join(import.meta.dirname, '../../..');
const HOSTS = 4;
const WANTED = { 'kv-store': 3, 'web-frontend': 2 };
const CONVERGED_MS = 30_000;

/** PUTs through the address and prints status and body. */
const PUT = `const [address] = process.argv.slice(1);
const response = await fetch('http://' + address + '/v1/kv/minority', { method: 'PUT', body: 'x' });
console.log(response.status + ' ' + await response.text());`;

const missing = await e2eMissing();

describe('end-to-end mesh of hosts with Podman', function () {
	this.timeout(180_000);
	this.bail(true);

	if (missing !== undefined) return skipLoudly(missing);

	let images: ImageStore;
	let network: TestNetwork;
	let beectl: Beectl;
	let mesh: EnrolledMesh;
	let entry: HostDaemon;
	let writer: Writer;
	const daemons: HostDaemon[] = [];
	const unreachable = new Set<string>();
	let endpoints: readonly string[] = [];

	before(async () => {
		await command(process.execPath, join(ROOT, 'scripts/build.ts'), '--bundles-only');
		images = await createImageStore((podmanArgs) => buildImages({ podmanArgs }));
		network = await createNetwork({ hosts: HOSTS, imageStore: images.root });
		await Promise.all(network.hosts.map(({ podman }) => podman.start()));
		mesh = await createTestMesh(network.folder);
		for (const host of network.hosts) {
			daemons.push(await start(host, daemons[0]?.address));
		}
		entry = daemons[0] as HostDaemon;
		const owner = join(network.folder, 'owner.key');
		beectl = createBeectl({
			...{ node: process.execPath, main: join(ROOT, 'beectl/bin/beectl.js') },
			...{ owner: owner, mesh: mesh.file, socket: () => entry.socket },
		});
		await beectl.read('owner', 'create', '--no-passphrase');
	});
	after(async function () {
		await writer?.stop();
		if (this.test?.parent?.tests.some(({ state }) => state === 'failed')) {
			for (const { name, log } of daemons) console.log(`--- hostd of ${name}\n${log()}`);
		}
		await network?.close();
		await images?.[Symbol.asyncDispose]();
	});

	const start = (host: NetworkHost, peer: string | undefined): Promise<HostDaemon> =>
		startDaemon({
			name: host.name,
			mesh,
			folder: join(host.folder, 'hostd'),
			join: peer === undefined ? [] : [peer],
			config: {
				...{ bind: host.address, port: 7000 },
				...{ runtime: 'podman', podmanSocket: host.podman.socket },
			},
			spawn: (words, options) => network.spawn(host, words, options),
		});
	const hostOf = ({ name }: HostDaemon): NetworkHost => {
		const found = network.hosts.find((host) => host.name === name);
		if (found === undefined) throw new Error(`no host ${name}`);
		return found;
	};
	const daemonOf = (name: string): HostDaemon => {
		const found = daemons.find((daemon) => daemon.name === name);
		if (found === undefined) throw new Error(`no host ${name}`);
		return found;
	};
	/** Waits until the hosts that can be reached, and no others, are there, and run exactly what was asked for. */
	const converged = async (accepts: (pods: readonly Pod[]) => boolean = () => true): Promise<readonly Pod[]> => {
		for (const deadlineMs = Date.now() + CONVERGED_MS; ; await delay(100)) {
			const { items } = JSON.parse(await beectl.read('get', 'hosts', '-o', 'json')) as { items: { name: string }[] };
			const present = new Set(items.map(({ name }) => name));
			const isComplete = network.hosts.every(({ name }) => present.has(name) !== unreachable.has(name));
			// A host that has just come back may be in the list before it answers.
			const { items: pods, hostsSilent } = await beectl.podList();
			const isExact =
				isComplete &&
				hostsSilent.length === 0 &&
				Object.entries(WANTED).every(([name, count]) => {
					const own = pods.filter(({ workload }) => workload === name);
					return own.length === count && own.every(({ ready, role }) => ready && role !== 'learner');
				});
			if (isExact && accepts(pods)) {
				endpoints = endpointsOf(pods, 'kv-store');
				return pods;
			}
			if (Date.now() > deadlineMs)
				throw new Error(
					`not converged after ${CONVERGED_MS} ms, hosts ${[...present]}, ${hostsSilent.length} silent:\n${table(pods)}`,
				);
		}
	};

	it('places both examples, spread over the hosts, and serves them over HTTP', async () => {
		const files = ['kv-store', 'web-frontend'].flatMap((name) => ['-f', join(ROOT, `examples/${name}/${name}.yaml`)]);
		await beectl.read('apply', ...files, '--wait');
		const pods = await converged();
		const machines = pods.filter(({ workload }) => workload === 'kv-store').map(({ machineName }) => machineName);
		expect(new Set(machines)).to.have.length(3);
		writer = new Writer(() => endpoints);
		await writer.further(20, 10_000);
		const [page] = endpointsOf(pods, 'web-frontend');
		expect(await (await fetch(`http://${page}/`)).text()).to.contain('<html');
		const [key, value] = [...writer.acknowledged][0] ?? ['', ''];
		expect(await (await fetch(`http://${page}/api/kv/${encodeURIComponent(key)}`)).text()).to.equal(value);
	});

	it('a host that is cut off refuses writes; the others go on and replace its replicas', async () => {
		const pods = await converged();
		const leader = pods.find(({ role }) => role === 'leader') as Pod;
		const cut = daemonOf(leader.machineName);
		entry = daemons.find((daemon) => daemon !== cut) as HostDaemon;
		unreachable.add(cut.name);
		endpoints = endpointsOf(
			pods.filter(({ machineName }) => machineName !== cut.name),
			'kv-store',
		);
		await network.cut(hostOf(cut));
		await writer.further(10, 10_000);
		const refused = await refusal(hostOf(cut), leader.endpoints[0]?.address ?? '');
		expect(refused).to.match(/^50[34] .*"code":"(no_quorum|unknown_outcome|unavailable)"/);
		const replaced = await converged();
		expect(replaced.map(({ machineName }) => machineName)).to.not.include(cut.name);
		await writer.further(10, 10_000);

		await network.heal(hostOf(cut));
		unreachable.clear();
		await converged();
		expect(await hostOf(cut).podman.containers(), 'superseded containers').to.satisfy((names: string[]) =>
			names.every((name) => !name.includes('kv-store')),
		);
	});

	/** The answer of a replica on a host that the test itself cannot reach. */
	const refusal = async (host: NetworkHost, address: string): Promise<string> => {
		const result = await network.exec(host, [process.execPath, '--input-type=module', '-e', PUT, address]);
		return `${result.stdout}${result.stderr}`.trim();
	};

	it('a host that dies with its containers is replaced, with nothing lost', async () => {
		const pods = await converged();
		const leader = pods.find(({ role }) => role === 'leader') as Pod;
		const dead = daemonOf(leader.machineName);
		entry = daemons.find((daemon) => daemon !== dead) as HostDaemon;
		unreachable.add(dead.name);
		endpoints = endpointsOf(
			pods.filter(({ machineName }) => machineName !== dead.name),
			'kv-store',
		);
		dead.process.kill('SIGKILL');
		await hostOf(dead).podman.killAll();
		await writer.further(10, 10_000);
		await converged();
		await writer.further(10, 10_000);
		expect(await writer.lost()).to.deep.equal([]);

		// A hostd that comes back finds pods that others have replaced, and gives them up.
		unreachable.clear();
		daemons[daemons.indexOf(dead)] = await start(hostOf(dead), entry.address);
		await converged();
	});

	it('a hostd that is killed alone leaves its containers serving, and takes them back', async () => {
		const pods = await converged();
		const victim = daemons.find(({ name }) => name !== entry.name && onHost(pods, name).length > 0);
		if (victim === undefined) throw new Error('no other host runs a pod');
		const before = onHost(pods, victim.name);
		victim.process.kill('SIGKILL');
		await writer.further(10, 10_000);
		daemons[daemons.indexOf(victim)] = await start(hostOf(victim), entry.address);
		const after = await converged((now) => onHost(now, victim.name).length > 0);
		expect(
			onHost(after, victim.name)
				.map(({ podId }) => podId)
				.sort(),
		).to.deep.equal(before.map(({ podId }) => podId).sort());
	});

	it('deletes both, and every host stops, leaving nothing', async () => {
		await writer.stop();
		expect(await writer.lost()).to.deep.equal([]);
		let left: object = {};
		await beectl.read('delete', 'statefulset/kv-store', 'deployment/web-frontend', '--wait');
		// A host that keeps a volume of a slot that moved away drops it in its own time.
		for (const deadlineMs = Date.now() + CONVERGED_MS; Date.now() < deadlineMs; await delay(100)) {
			const { containers, volumes } = await network.leftovers();
			left = { containers, volumes };
			if (containers.length + volumes.length === 0) break;
		}
		expect(left).to.deep.equal({ containers: [], volumes: [] });
		expect(await Promise.all(daemons.map((daemon) => daemon.stop()))).to.deep.equal(daemons.map(() => 0));
		await network.close();
		const remains = await network.leftovers();
		expect(Object.values(remains).flat(), JSON.stringify(remains)).to.deep.equal([]);
	});
});

function onHost(pods: readonly Pod[], name: string): Pod[] {
	return pods.filter(({ machineName }) => machineName === name);
}

function endpointsOf(pods: readonly Pod[], name: string): string[] {
	return pods
		.filter(({ workload }) => workload === name)
		.flatMap(({ endpoints }) => endpoints.slice(0, 1).map(({ address }) => address));
}

function table(pods: readonly Pod[]): string {
	return pods
		.map(({ name, machineName, ready, role }) => `  ${name} on ${machineName} ready=${ready} ${role}`)
		.join('\n');
}
