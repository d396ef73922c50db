/** What an operator's policy allows works in real containers, and no more than that. Needs root; required where CI is set. */
import { mkdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMeshError } from '@beemesh/sdk/errors';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import { HostPolicy } from '../../policy/index.ts';
import { overlay, type RefusedPod } from '../../policy/test/refused-pods.ts';
import { PodmanRuntime } from '../podman/index.ts';
import type { PodStart } from '../runtime.ts';
import { asking, collect, PodMaker, type RuntimeHarness, runToExit, waitForLine } from './harness.ts';
import { PodmanWorld, podmanMissing } from './podman-world.ts';

const IMAGE = 'localhost/beemesh/probe:1';
/** Bits of /proc/PID/status. */
const NET_ADMIN = 1n << 12n;

const missing = await podmanMissing();

describe('what the policy allows, on Podman', function () {
	this.timeout(60_000);
	if (missing !== undefined) {
		it('in real containers', function () {
			if (process.env['CI']) throw new Error(missing);
			console.log(`      skipped: ${missing}`);
			this.skip();
		});
		return;
	}
	let world: PodmanWorld;
	let runtime: PodmanRuntime;
	let pods: PodMaker;
	let shared: string;
	const harness = { image: IMAGE, probe: () => ({}) } as unknown as RuntimeHarness;

	before(async () => {
		world = new PodmanWorld();
		await world.buildProbeImage(IMAGE);
		pods = new PodMaker();
		shared = join(world.folder, 'shared');
		for (const folder of ['media/films', 'data']) mkdirSync(join(shared, folder), { recursive: true });
		writeFileSync(join(shared, 'media/films/title'), 'a film\n');
		symlinkSync('/', join(shared, 'media/root'));
		runtime = new PodmanRuntime({
			socket: world.socket,
			spawn: { args: world.args },
			instance: 'allowed',
			policy: new HostPolicy({
				protectedPaths: [world.socket],
				content: {
					default: {
						privileged: true,
						hostNetwork: true,
						capabilities: ['NET_ADMIN'],
						devices: ['/dev/null'],
						hostPaths: [
							{ path: join(shared, 'media'), readOnly: true },
							{ path: join(shared, 'data') },
							{ path: world.folder, readOnly: true },
						],
					},
				},
			}),
		});
		await runtime.check();
	});
	afterEach(async () => {
		for (const pod of await runtime.list()) await runtime.remove(pod.podId);
	});
	after(async () => {
		await runtime?.[Symbol.asyncDispose]();
		await world?.close();
		pods.remove();
	});

	const script = (text: string, asks: Pick<RefusedPod, 'spec' | 'container'> = {}): PodStart => {
		const spec = pods.make(harness, ['idle']);
		const command = { command: ['/bin/sh', '-c', text] };
		return { ...spec, pod: asking(spec.pod, { ...asks, container: overlay(command, asks.container) }) };
	};
	const linesOf = async (spec: PodStart): Promise<string[]> => {
		await runToExit(runtime, spec);
		return (await collect(runtime.logs(spec.podId)))
			.filter(({ stream }) => stream === 'stdout')
			.map(({ line }) => line);
	};
	/** Of the container's process, as the host sees it. */
	const running = async (asks: Pick<RefusedPod, 'spec' | 'container'>) => {
		const spec = script('echo ready; while :; do sleep 0.1; done', asks);
		const { containers } = await runtime.start(spec);
		await waitForLine(runtime, spec.podId, 'ready');
		const state = containers[0]?.state;
		if (state?.state !== 'running') throw new Error(`is ${state?.state}`);
		const capabilities = /^CapEff:\s*(\w+)$/m.exec(readFileSync(`/proc/${state.pid}/status`, 'utf8'))?.[1];
		return {
			capabilities: BigInt(`0x${capabilities}`),
			network: readlinkSync(`/proc/${state.pid}/ns/net`),
			processes: readlinkSync(`/proc/${state.pid}/ns/pid`),
		};
	};
	const hostPath = (path: string, type?: string) => ({
		volumes: [{ name: 'host', hostPath: { path, ...(type !== undefined && { type }) } }],
	});
	const mounted = (mountPath: string, readOnly: boolean) => ({
		volumeMounts: [{ name: 'host', mountPath, readOnly }],
	});

	it('a folder to read: it is there, and cannot be written', async () => {
		const spec = script('cat /media/title; echo x > /media/title && echo written; true', {
			spec: hostPath(join(shared, 'media/films')),
			container: mounted('/media', true),
		});
		expect(await linesOf(spec)).to.deep.equal(['a film']);
		expect(readFileSync(join(shared, 'media/films/title'), 'utf8')).to.equal('a film\n');
	});

	it('a folder to write: what a pod writes is on the host', async () => {
		const spec = script('echo from the pod > "$BEEMESH_VOLUME_HOST/note"', {
			spec: hostPath(join(shared, 'data'), 'Directory'),
			container: mounted('/data', false),
		});
		await runToExit(runtime, spec);
		expect(readFileSync(join(shared, 'data/note'), 'utf8')).to.equal('from the pod\n');
		rmSync(join(shared, 'data/note'));
	});

	it('one file', async () => {
		const spec = script('cat /title', {
			spec: hostPath(join(shared, 'media/films/title'), 'File'),
			container: mounted('/title', true),
		});
		expect(await linesOf(spec)).to.deep.equal(['a film']);
	});

	it('a device, and no other', async () => {
		const spec = script('[ -c /dev/mine ] && echo mine; [ -e /dev/kmsg ] && echo kmsg; true', {
			spec: hostPath('/dev/null', 'CharDevice'),
			container: mounted('/dev/mine', false),
		});
		expect(await linesOf(spec)).to.deep.equal(['mine']);
	});

	it('a capability, and no other', async () => {
		const add = (words: readonly string[]) => ({ container: { securityContext: { capabilities: { add: words } } } });
		const plain = await running({});
		expect(plain.capabilities & NET_ADMIN).to.equal(0n);
		expect((await running(add(['net_admin']))).capabilities).to.equal(plain.capabilities | NET_ADMIN);
	});

	it('privilege', async () => {
		const plain = await running({});
		const { capabilities } = await running({ container: { securityContext: { privileged: true } } });
		expect(capabilities).to.satisfy((all: bigint) => all > plain.capabilities && (all & NET_ADMIN) !== 0n);
	});

	it('the network of the host, and nothing else of it', async () => {
		const pod = await running({ spec: { hostNetwork: true } });
		expect(pod.network).to.equal(readlinkSync('/proc/self/ns/net'));
		expect(pod.processes).not.to.equal(readlinkSync('/proc/self/ns/pid'));
		expect((await running({})).network).not.to.equal(readlinkSync('/proc/self/ns/net'));
	});

	for (const [what, path] of [
		['a link out of an allowed folder', () => join(shared, 'media/root/etc')],
		["Podman's socket, though its folder is allowed", () => world.socket],
		["the folder of Podman's socket, though it is allowed", () => world.folder],
	] as const) {
		it(`never ${what}`, async () => {
			const spec = script('true', { spec: hostPath(path()), container: mounted('/x', true) });
			const error: unknown = await runtime.start(spec).catch((cause: unknown) => cause);
			if (!isMeshError(error, 'invalid_input')) throw error;
			expect(error.message).to.match(/^spec\.volumes\[0\]\.hostPath\.path: refused by this host's policy/);
			expect(await runtime.list()).to.deep.equal([]);
		});
	}
});
