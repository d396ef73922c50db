/** Proves the harness itself: hosts that reach each other, cuts, published ports of real Podman, and no leftovers. */
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { BASE_IMAGE, buildBaseImage } from '../../../scripts/images.ts';
import type { PodStart } from '../../src/runtime/index.ts';
import { PodmanRuntime } from '../../src/runtime/podman/index.ts';
import { e2eMissing, skipLoudly } from './commands.ts';
import { createImageStore, type ImageStore } from './image-store.ts';
import { createNetwork, type NetworkHost, type TestNetwork } from './netns.ts';

/** Answers each datagram with the host's name and the sender it saw. */
const ECHO = `const [name, port] = process.argv.slice(1);
const socket = require('dgram').createSocket('udp4');
socket.on('message', (message, from) => socket.send(name + ' heard ' + message, from.port, from.address));
socket.bind(Number(port), '0.0.0.0', () => console.log('listening'));`;

/** Sends a datagram until an answer comes, prints it; gives up after two seconds. */
const ASK = `const [host, port, text] = process.argv.slice(1);
const socket = require('dgram').createSocket('udp4');
const ask = () => socket.send(text, Number(port), host, () => {});
socket.on('message', (answer) => { console.log(String(answer)); process.exit(0); });
setInterval(ask, 100);
ask();
setTimeout(() => process.exit(1), 2000);`;

const missing = await e2eMissing();

describe('end-to-end network of several hosts', function () {
	this.timeout(120_000);

	if (missing !== undefined) return skipLoudly(missing);

	let images: ImageStore;
	let network: TestNetwork;
	const runtimes: PodmanRuntime[] = [];

	before(async () => {
		images = await createImageStore((podmanArgs) => buildBaseImage({ podmanArgs }));
		network = await createNetwork({ hosts: 3, imageStore: images.root });
	});
	after(async () => {
		for (const runtime of runtimes) await runtime[Symbol.asyncDispose]();
		await network?.close();
		await images?.[Symbol.asyncDispose]();
	});

	const host = (index: number): NetworkHost => {
		const found = network.hosts[index];
		if (!found) throw new Error(`no host ${index}`);
		return found;
	};
	const ask = (from: NetworkHost, to: string, port: number) =>
		network.exec(from, [process.execPath, '-e', ASK, to, String(port), 'hello']);

	const echoPod = (on: NetworkHost, podId: string, port: number): PodStart => ({
		podId,
		pod: {
			apiVersion: 'v1',
			kind: 'Pod',
			metadata: { name: podId, namespace: 'default' },
			spec: {
				containers: [{ name: 'main', image: BASE_IMAGE, command: ['node', '-e', ECHO], args: [podId, '9000'] }],
			},
		},
		env: {},
		socketDir: on.folder,
		ports: [{ name: 'echo', protocol: 'udp', hostIp: on.address, host: port, container: 9000 }],
		volumeNames: {},
		labels: {},
	});

	const startEcho = async (on: NetworkHost, podId: string, port: number): Promise<PodmanRuntime> => {
		if (!runtimes[on.index]) {
			await on.podman.start();
			runtimes[on.index] = new PodmanRuntime({ socket: on.podman.socket });
		}
		const runtime = runtimes[on.index] as PodmanRuntime;
		await runtime.start(echoPod(on, podId, port));
		for await (const { line } of runtime.logs(podId, { follow: true })) if (line === 'listening') break;
		return runtime;
	};

	it('connects hosts, and cuts one off until it is healed', async () => {
		const listener = network.spawn(host(1), [process.execPath, '-e', ECHO, 'h1', '9100']);
		expect((await ask(host(0), host(1).address, 9100)).stdout.trim()).to.equal('h1 heard hello');
		await network.cut(host(1));
		expect((await ask(host(0), host(1).address, 9100)).exitCode, 'from outside').to.equal(1);
		expect((await ask(host(1), host(1).address, 9100)).exitCode, 'within the host').to.equal(0);
		await network.heal(host(1));
		expect((await ask(host(0), host(1).address, 9100)).stdout.trim()).to.equal('h1 heard hello');
		listener.kill('SIGKILL');
	});

	it('publishes UDP of containers to other hosts, their containers, and neighbours on the same host', async () => {
		const first = await startEcho(host(0), 'echo-a', 9200);
		await startEcho(host(0), 'echo-b', 9201);
		await startEcho(host(1), 'echo-c', 9200);
		const askFromPod = async (to: string, port: number) => {
			const result = await first.exec('echo-a', ['node', '-e', ASK, to, String(port), 'hello']);
			return Buffer.from(result.stdout).toString('utf8').trim();
		};
		expect(await askFromPod(host(1).address, 9200), 'container to another host').to.equal('echo-c heard hello');
		expect(await askFromPod(host(0).address, 9201), 'container to its neighbour').to.equal('echo-b heard hello');
		expect((await ask(host(2), host(0).address, 9201)).stdout.trim(), 'host to container').to.equal(
			'echo-b heard hello',
		);
		expect((await ask(host(0), host(0).address, 9200)).stdout.trim(), 'own host to container').to.equal(
			'echo-a heard hello',
		);
	});

	it('cuts containers off with their host', async () => {
		await network.cut(host(1));
		expect((await ask(host(2), host(1).address, 9200)).exitCode).to.equal(1);
		await network.heal(host(1));
		expect((await ask(host(2), host(1).address, 9200)).stdout.trim()).to.equal('echo-c heard hello');
	});

	it('sees what is left, and leaves nothing', async () => {
		const before = await network.leftovers();
		expect(before.containers).to.include('h0: echo-a-main');
		expect(before.namespaces).to.have.length(3);
		expect(before.processes.length).to.be.greaterThan(3);
		expect(before.sockets.length).to.be.greaterThan(1);
		for (const runtime of runtimes.splice(0)) await runtime?.[Symbol.asyncDispose]();
		await network.close();
		expect(await network.leftovers()).to.deep.equal({
			containers: [],
			volumes: [],
			namespaces: [],
			links: [],
			sockets: [],
			processes: [],
			mounts: [],
		});
	});
});
