import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { isMeshError } from '@beemesh/sdk/errors';
import type { Container } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { MemoryMachine, MemoryRuntime, type PodStart, type Program } from '../../runtime/index.ts';
import type { Clock } from '../clock.ts';
import { createPodManager, type PodManager, type PodReport } from '../pod-manager.ts';

const IMAGE = 'localhost/app:1';
const START_MS = 1_700_000_000_000;

/** Time that only a test moves. */
class ManualClock implements Clock {
	#nowMs = START_MS;
	readonly #timers = new Set<{ readonly atMs: number; readonly callback: () => void }>();

	now(): number {
		return this.#nowMs;
	}

	after(delayMs: number, callback: () => void): Disposable {
		const timer = { atMs: this.#nowMs + delayMs, callback };
		this.#timers.add(timer);
		return { [Symbol.dispose]: () => void this.#timers.delete(timer) };
	}

	advance(byMs: number): void {
		this.#nowMs += byMs;
		for (const timer of [...this.#timers]) {
			if (timer.atMs > this.#nowMs || !this.#timers.delete(timer)) continue;
			timer.callback();
		}
	}
}

const untilKilled: Program = ({ terminated, killed }) =>
	new Promise((resolve) => {
		terminated.addEventListener('abort', () => resolve(0), { once: true });
		killed.addEventListener('abort', () => resolve(0), { once: true });
	});

function podStart(podId: string, change: Partial<Container> = {}, start: Partial<PodStart> = {}): PodStart {
	return {
		podId,
		pod: {
			apiVersion: 'v1',
			kind: 'Pod',
			metadata: { name: podId, namespace: 'default' },
			spec: { containers: [{ name: 'main', image: IMAGE, ...change }] },
		},
		env: {},
		socketDir: '/nowhere',
		ports: [],
		volumeNames: {},
		labels: { 'io.beemesh.slot': '0' },
		...start,
	};
}

describe('pod manager', () => {
	let machine: MemoryMachine;
	let runtime: MemoryRuntime;
	let clock: ManualClock;
	let manager: PodManager;
	let stateDir: string;

	const openManager = () => createPodManager({ runtime, stateDir, clock });
	const open = (images: Record<string, Program> = { [IMAGE]: untilKilled }) => {
		runtime = new MemoryRuntime({ images, machine, now: () => clock.now() });
		manager = openManager();
	};
	/** Resolves when the pod's report looks as asked. */
	const until = (podId: string, matches: (pod: PodReport) => boolean): Promise<PodReport> =>
		new Promise((resolve) => {
			const look = () => {
				const pod = manager.get(podId);
				if (!pod || !matches(pod)) return;
				subscription[Symbol.dispose]();
				resolve(pod);
			};
			const subscription = manager.events(look);
			look();
		});

	beforeEach(() => {
		stateDir = mkdtempSync(`${tmpdir()}/beemesh-pods-`);
		machine = new MemoryMachine();
		clock = new ManualClock();
		open();
	});
	afterEach(async () => {
		await manager.close({ stopPods: true });
		await runtime[Symbol.asyncDispose]();
		rmSync(stateDir, { recursive: true, force: true });
	});

	it('runs a pod and reports it', async () => {
		const pod = await manager.deploy(podStart('web-0'));
		expect(pod).to.deep.include({
			podId: 'web-0',
			labels: { 'io.beemesh.slot': '0' },
			phase: 'Running',
			reason: '',
			isReady: true,
			restarts: 0,
			createdAtMs: START_MS,
			startedAtMs: START_MS,
		});
		expect(manager.list()).to.deep.equal([pod]);
	});

	it('restarts a crashed container at once, then after its back-off, and counts', async () => {
		await manager.deploy(podStart('web-0'));
		runtime.crash('web-0');
		await until('web-0', ({ restarts, isReady }) => restarts === 1 && isReady);
		runtime.crash('web-0');
		const looping = await until('web-0', ({ reason }) => reason === 'CrashLoopBackOff');
		expect(looping).to.include({ phase: 'Running', isReady: false, restarts: 1 });
		clock.advance(9_999);
		expect(manager.get('web-0')?.isReady).to.equal(false);
		clock.advance(1);
		await until('web-0', ({ restarts, isReady }) => restarts === 2 && isReady);
		expect(manager.restarts('web-0')).to.equal(2);
	});

	it('leaves nothing of a pod that cannot be started', async () => {
		const error = await manager
			.deploy(podStart('web-0', { image: 'localhost/none:1' }))
			.catch((failed: unknown) => failed);
		expect(isMeshError(error, 'not_found')).to.equal(true);
		expect(manager.list()).to.deep.equal([]);
		expect(await runtime.list()).to.deep.equal([]);
	});

	it('refuses a second pod of the same name', async () => {
		await manager.deploy(podStart('web-0'));
		const error = await manager.deploy(podStart('web-0')).catch((failed: unknown) => failed);
		expect(isMeshError(error, 'conflict')).to.equal(true);
		expect(manager.get('web-0')?.phase).to.equal('Running');
	});

	it('never pulls what is never to be pulled', async () => {
		const spec = podStart('web-0', { image: 'localhost/none:1', imagePullPolicy: 'Never' });
		const error = await manager.deploy(spec).catch((failed: unknown) => failed);
		expect(isMeshError(error, 'not_found') && error.message).to.include('never to be pulled');
	});

	it('removes a pod once, however often it is asked, and does not restart it meanwhile', async () => {
		await manager.deploy(podStart('web-0'));
		const seen: string[] = [];
		using _subscription = manager.events((event) => {
			seen.push(event.type === 'changed' ? event.pod.phase : event.type);
		});
		await Promise.all([manager.remove('web-0'), manager.remove('web-0')]);
		expect(seen[0]).to.equal('Terminating');
		expect(seen.filter((type) => type === 'removed')).to.have.length(1);
		expect(manager.list()).to.deep.equal([]);
		expect(await runtime.list()).to.deep.equal([]);
		await manager.remove('web-0');
	});

	it('cancels a deployment that is removed while it pulls its image', async () => {
		runtime.hasImage = async () => false;
		runtime.pullImage = (_image: string, options?: { readonly signal?: AbortSignal }) =>
			new Promise<void>((_, reject) => {
				options?.signal?.addEventListener('abort', () => reject(new Error('pull aborted')), { once: true });
			});
		const deployment = manager.deploy(podStart('web-0')).catch((failed: unknown) => failed);
		expect(manager.get('web-0')).to.include({ phase: 'Pending', reason: 'ImagePull' });
		await manager.remove('web-0');
		expect(isMeshError(await deployment, 'cancelled')).to.equal(true);
		expect(await runtime.list()).to.deep.equal([]);
	});

	it('forgets a pod that somebody else removed from the runtime', async () => {
		await manager.deploy(podStart('web-0'));
		await runtime.remove('web-0');
		expect(manager.list()).to.deep.equal([]);
	});

	it('lets go of its pods on close; the next manager adopts them with their restarts and plan', async () => {
		await manager.deploy(podStart('web-0'));
		runtime.crash('web-0');
		await until('web-0', ({ restarts, isReady }) => restarts === 1 && isReady);
		const before = manager.get('web-0');
		await manager.close();
		clock.advance(60_000);
		open();
		expect(await manager.adopt()).to.deep.equal([before]);
		runtime.crash('web-0');
		await until('web-0', ({ restarts, isReady }) => restarts === 2 && isReady);
	});

	it('starts again what ended while no hostd ran', async () => {
		await manager.deploy(podStart('web-0'));
		await manager.close();
		runtime.crash('web-0');
		open();
		await manager.adopt();
		await until('web-0', ({ restarts, isReady }) => restarts === 1 && isReady);
	});

	describe('probes', () => {
		let server: Server;
		let port: number;
		let status = 200;
		let asked = 0;

		beforeEach(async () => {
			status = 200;
			asked = 0;
			server = createServer((_request, response) => {
				asked++;
				response.writeHead(status).end();
			});
			await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
			const address = server.address();
			port = typeof address === 'object' && address ? address.port : 0;
		});
		afterEach(() => new Promise((resolve) => server.close(resolve)));

		const published = () => ({
			ports: [{ name: 'http', protocol: 'tcp', hostIp: '0.0.0.0', host: port, container: 80 } as const],
		});
		const ports = [{ name: 'http', containerPort: 80 }];

		it('make a pod ready when its published port answers with 2xx', async () => {
			status = 503;
			const readinessProbe = { httpGet: { port: 'http', path: '/ready' }, periodSeconds: 1 };
			await manager.deploy(podStart('web-0', { ports, readinessProbe }, published()));
			while (asked === 0) await new Promise((resolve) => setImmediate(resolve));
			expect(manager.get('web-0')?.isReady).to.equal(false);
			status = 204;
			const ready = until('web-0', (pod) => pod.isReady);
			const ticking = setInterval(() => clock.advance(1000), 10);
			await ready;
			clearInterval(ticking);
		});

		it('restart a container that is alive no longer', async () => {
			status = 500;
			const livenessProbe = { httpGet: { port: 80 }, periodSeconds: 1, failureThreshold: 2 };
			await manager.deploy(podStart('web-0', { ports, livenessProbe }, published()));
			const ticking = setInterval(() => clock.advance(1000), 10);
			await until('web-0', ({ restarts }) => restarts === 1);
			clearInterval(ticking);
		});

		it('try TCP ports and commands', async () => {
			open({ [IMAGE]: async (context) => (context.argv[0] === 'check' ? 0 : untilKilled(context)) });
			const readinessProbe = { tcpSocket: { port } };
			await manager.deploy(podStart('web-0', { readinessProbe }));
			await until('web-0', (pod) => pod.isReady);
			await manager.deploy(podStart('web-1', { readinessProbe: { exec: { command: ['check'] } } }));
			await until('web-1', (pod) => pod.isReady);
		});

		it('need a port that the container has', async () => {
			const spec = podStart('web-0', { readinessProbe: { httpGet: { port: 'admin' } } });
			const error = await manager.deploy(spec).catch((failed: unknown) => failed);
			expect(isMeshError(error, 'invalid_input') && error.message).to.include(
				'spec.containers[0].readinessProbe.httpGet.port',
			);
		});
	});
});
