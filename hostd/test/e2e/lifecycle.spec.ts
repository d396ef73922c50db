/**
 * A workload's life as its owner leads it with beectl, on three real hosts and plain processes: scaled, updated, moved
 * off a host that stops, deleted, applied again. The steps build on each other.
 */
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { type Beectl, createBeectl, type Pod } from '../../../scripts/quickstart/beectl.ts';
import type { EnrolledMesh } from '../../../scripts/quickstart/mesh.ts';
import { processSettings } from '../../../scripts/quickstart/runtimes.ts';
import { command } from './commands.ts';
import { createTestMesh, endDaemons, type HostDaemon, startDaemon } from './host-daemon.ts';
import { Writer } from './writer.ts';

const ROOT = join(import.meta.dirname, '../../..');
const CONVERGED_MS = 30_000;
/** What a replica that leaves has to hand over. */
const GRACE_MS = 10_000;

describe('end-to-end life of a workload', function () {
	this.timeout(90_000);
	this.bail(true);

	const folder = mkdtempSync(join(tmpdir(), 'bm-life-'));
	const daemons: HostDaemon[] = [];
	let beectl: Beectl;
	let mesh: EnrolledMesh;
	let writer: Writer;
	let endpoints: readonly string[] = [];

	const start = (name: string, peer?: string): Promise<HostDaemon> =>
		startDaemon({
			...{ name, mesh },
			folder: join(folder, name),
			join: peer === undefined ? [] : [peer],
			config: {
				...{ bind: '127.0.0.1', port: 0, runtime: 'process' },
				images: processSettings(ROOT, process.execPath).images,
			},
		});
	const first = (): HostDaemon => daemons[0] as HostDaemon;
	const manifestOf = (name: string): string => readFileSync(join(ROOT, `examples/${name}/${name}.yaml`), 'utf8');
	const apply = (yaml: string): Promise<string> => beectl.read('apply', '--wait', '-f', yaml);
	const podsOf = async (name: string): Promise<readonly Pod[]> =>
		(await beectl.pods()).filter(({ workload }) => workload === name);

	/** Of each pod so far, from its award until it served. */
	const startsMs = (): number[] =>
		daemons.flatMap(({ log }) =>
			[...log().matchAll(/"message":"pod serves".*?"ms":(\d+)/g)].map(([, ms]) => Number(ms)),
		);

	/** Waits until exactly these many replicas of a workload are there, ready and, if it votes, voting. */
	const converged = async (name: string, count: number, accepts = (_: readonly Pod[]) => true) => {
		for (const deadlineMs = Date.now() + CONVERGED_MS; ; await delay(100)) {
			const { items, hostsSilent } = await beectl.podList();
			const pods = items.filter(({ workload }) => workload === name);
			const isExact =
				hostsSilent.length === 0 &&
				pods.length === count &&
				pods.every(({ ready, role }) => ready && role !== 'learner');
			if (isExact && accepts(pods)) {
				if (name === 'kv-store') endpoints = endpointsOf(pods);
				return pods;
			}
			if (Date.now() > deadlineMs) {
				const list = pods.map((pod) => `${pod.name} on ${pod.machineName} ready=${pod.ready} ${pod.role}`);
				throw new Error(`${name} is not ${count} replicas after ${CONVERGED_MS} ms:\n  ${list.join('\n  ')}`);
			}
		}
	};

	before(async () => {
		await command(process.execPath, join(ROOT, 'scripts/build.ts'), '--bundles-only');
		mesh = await createTestMesh(folder);
		daemons.push(await start('a'));
		for (const name of ['b', 'c']) daemons.push(await start(name, first().address));
		const owner = join(folder, 'owner.key');
		beectl = createBeectl({
			...{ node: process.execPath, main: join(ROOT, 'beectl/bin/beectl.js') },
			...{ owner: owner, mesh: mesh.file, socket: () => first().socket },
		});
		await beectl.read('owner', 'create', '--no-passphrase');
		const files = ['kv-store', 'web-frontend'].flatMap((name) => ['-f', join(ROOT, `examples/${name}/${name}.yaml`)]);
		await beectl.read('apply', ...files, '--wait');
		await converged('kv-store', 3);
		writer = new Writer(() => endpoints);
	});
	after(async function () {
		await writer?.stop();
		await endDaemons(daemons, folder, this.test?.parent?.tests.some(({ state }) => state === 'failed') ?? false);
	});

	it('scales a Deployment up, down and up again', async () => {
		for (const replicas of [4, 1, 2]) {
			await beectl.read('scale', 'deployment/web-frontend', `--replicas=${replicas}`, '--wait');
			const pods = await converged('web-frontend', replicas);
			expect(new Set(pods.map(({ podId }) => podId))).to.have.length(replicas);
		}
	});

	it('scales a StatefulSet from 3 to 5 and back while it is written to; ordinals 3 and 4 go', async () => {
		await writer.further(10, 10_000);
		for (const replicas of [5, 3]) {
			await beectl.read('scale', 'statefulset/kv-store', `--replicas=${replicas}`, '--wait');
			const pods = await converged('kv-store', replicas);
			const ordinals = Array.from({ length: replicas }, (_, i) => `kv-store-${i}`);
			expect(pods.map(({ name }) => name).sort()).to.deep.equal(ordinals);
			await writer.further(10, 10_000);
		}
		expect(await writer.lost()).to.deep.equal([]);
	});

	it('rolls out a changed template, with a majority at all times', async () => {
		const before = new Set((await podsOf('kv-store')).map(({ podId }) => podId));
		const yaml = join(folder, 'changed.yaml');
		writeFileSync(yaml, manifestOf('kv-store').replace('memory: 64Mi', 'memory: 80Mi'));
		await apply(yaml);
		await converged('kv-store', 3, (pods) => pods.every(({ podId }) => !before.has(podId)));
		expect(Math.max(...startsMs()), 'ms: a successor waited until whom it replaces gave up').to.be.within(1, GRACE_MS);
		await writer.further(10, 10_000);
		expect(await writer.lost()).to.deep.equal([]);
	});

	it('moves everything off a host that is stopped', async () => {
		const [, , last] = daemons as [HostDaemon, HostDaemon, HostDaemon];
		expect(await last.stop()).to.equal(0);
		daemons.pop();
		await Promise.all([converged('kv-store', 3), converged('web-frontend', 2)]);
		await writer.further(10, 10_000);
		expect(await writer.lost()).to.deep.equal([]);
		daemons.push(await start('c', first().address));
	});

	it('a hostd that is killed while it deploys goes on with it when it is back', async () => {
		const isDeploying = ({ log }: HostDaemon): boolean =>
			/"pod started".*web-frontend/.test(log().slice(from.get(log)));
		const from = new Map(daemons.map(({ log }) => [log, log().length]));
		const scaled = beectl.read('scale', 'deployment/web-frontend', '--replicas=4', '--wait');
		let victim: HostDaemon | undefined;
		while (victim === undefined) {
			await delay(5);
			victim = daemons.slice(1).find(isDeploying);
		}
		victim.process.kill('SIGKILL');
		const again = await start(victim.name, first().address);
		daemons[daemons.indexOf(victim)] = again;
		await scaled;
		await converged('web-frontend', 4);
		expect(again.log()).to.match(/"going on with a deployment"/);
		expect(again.log()).to.match(/"deployment ended".*"outcome":"(deployed|failed)"/);
		await beectl.read('scale', 'deployment/web-frontend', '--replicas=2', '--wait');
		await converged('web-frontend', 2);
	});

	it('replaces a replica that was started again without its volume: it leaves, its votes are forgotten', async () => {
		const pods = await converged('kv-store', 3);
		const victim = pods.find(({ role }) => role === 'follower') as Pod;
		const { log } = daemons.find(({ name }) => name === victim.machineName) as HostDaemon;
		const volumes = globSync(
			join(folder, victim.machineName, `state/**/volumes/*-${victim.name.replace('kv-store-', '')}`),
		);
		expect(volumes).to.have.length(1);
		for (const pid of victim.pids) process.kill(-pid, 'SIGKILL');
		for (const volume of volumes) rmSync(join(volume, 'raft'), { recursive: true });
		await converged('kv-store', 3, (now) => now.every(({ podId }) => podId !== victim.podId));
		expect(log()).to.match(/"replica left".*was started again without its state/);
		await writer.further(10, 10_000);
		expect(await writer.lost()).to.deep.equal([]);
	});

	it('comes back with its data after every host lost power', async () => {
		const before = await converged('kv-store', 3);
		const all = await beectl.pods();
		for (const daemon of daemons) daemon.process.kill('SIGKILL');
		for (const pid of all.flatMap(({ pids }) => pids)) process.kill(-pid, 'SIGKILL');
		const names = daemons.map(({ name }) => name);
		daemons.splice(0);
		for (const name of names) daemons.push(await start(name, daemons[0]?.address));
		const after = await converged('kv-store', 3);
		expect(after.map(({ podId }) => podId).sort()).to.deep.equal(before.map(({ podId }) => podId).sort());
		await converged('web-frontend', 2);
		await writer.further(10, 10_000);
		expect(await writer.lost()).to.deep.equal([]);
	});

	it('updates a StatefulSet of one without losing its data: the successor catches up before it goes', async () => {
		await beectl.read('scale', 'statefulset/kv-store', '--replicas=1', '--wait');
		const [before] = await converged('kv-store', 1);
		const yaml = join(folder, 'one.yaml');
		const changed = manifestOf('kv-store')
			.replace('memory: 64Mi', 'memory: 72Mi')
			.replace('replicas: 3', 'replicas: 1');
		writeFileSync(yaml, changed);
		await apply(yaml);
		await converged('kv-store', 1, ([pod]) => pod?.podId !== before?.podId);
		await writer.further(10, 10_000);
		expect(await writer.lost()).to.deep.equal([]);
	});

	it('deletes, and starts afresh when applied again', async () => {
		await writer.stop();
		const [key] = [...writer.acknowledged.keys()];
		await beectl.read('delete', 'statefulset/kv-store', '--wait');
		expect(await podsOf('kv-store')).to.deep.equal([]);
		await apply(join(ROOT, 'examples/kv-store/kv-store.yaml'));
		await converged('kv-store', 3);
		const answer = await fetch(`http://${endpoints[0]}/v1/kv/${encodeURIComponent(key ?? '')}`);
		expect(answer.status).to.equal(404);
		writer = new Writer(() => endpoints);
		await writer.further(10, 10_000);
	});
});

function endpointsOf(pods: readonly Pod[]): string[] {
	return pods.flatMap(({ endpoints }) => endpoints.slice(0, 1).map(({ address }) => address));
}
