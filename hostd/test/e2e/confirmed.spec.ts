/**
 * The history of a workload's members, on real hosts: members lengthen it with every replacement, the owner's next change
 * makes it one epoch, and members go on from there.
 */
import { globSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { readOwnerKey } from '../../../beectl/src/owner/key-file.ts';
import { type Observed, Observer } from '../../../scripts/kills/observer.ts';
import { type Beectl, createBeectl, type Pod } from '../../../scripts/quickstart/beectl.ts';
import { processSettings } from '../../../scripts/quickstart/runtimes.ts';
import { command, tryCommand } from './commands.ts';
import { createTestMesh, endDaemons, type HostDaemon, startDaemon } from './host-daemon.ts';
import { Writer } from './writer.ts';

const ROOT = join(import.meta.dirname, '../../..');
const CONVERGED_MS = 45_000;
const BEECTL = join(ROOT, 'beectl/bin/beectl.js');

describe('end-to-end confirmation of members', function () {
	this.timeout(120_000);
	this.bail(true);

	const folder = mkdtempSync(join(tmpdir(), 'bm-confirmed-'));
	const owner = join(folder, 'owner.key');
	const daemons: HostDaemon[] = [];
	const workloads = [
		{ name: 'kv-store', kind: 'statefulset', replicas: 3 },
		{ name: 'web-frontend', kind: 'deployment', replicas: 2 },
	] as const;
	let meshFile: string;
	let beectl: Beectl;
	let writer: Writer;
	let endpoints: readonly string[] = [];

	const first = (): HostDaemon => daemons[0] as HostDaemon;

	/** Waits until exactly these many replicas are there and ready, none of them one of `not`. */
	const converged = async (name: string, count: number, not: ReadonlySet<string> = new Set()) => {
		for (const deadlineMs = Date.now() + CONVERGED_MS; ; await delay(100)) {
			const { items, hostsSilent } = await beectl.podList();
			const pods = items.filter(({ workload }) => workload === name);
			const isDone =
				hostsSilent.length === 0 &&
				pods.length === count &&
				pods.every(({ ready, role, podId }) => ready && role !== 'learner' && !not.has(podId));
			if (isDone) {
				if (name === 'kv-store') endpoints = pods.flatMap((pod) => pod.endpoints.slice(0, 1).map((e) => e.address));
				return pods;
			}
			if (Date.now() > deadlineMs) throw new Error(`${name} is not ${count} replicas after ${CONVERGED_MS} ms`);
		}
	};

	/** Looks until all hosts pass on the same members, and those are the ones that run. */
	const agreed = async (name: string, pods: readonly Pod[]): Promise<Observed> => {
		const { signer, psk } = await readOwnerKey(owner, { forExisting: async () => '', forNew: async () => '' });
		const [socket] = globSync(join(folder, '*/run/pods', pods[0]?.podId ?? '', 'pod.sock'));
		const running = pods.map(({ name: pod }) => Number(pod.split('-')[2])).sort();
		for (const deadlineMs = Date.now() + CONVERGED_MS; ; await delay(100)) {
			const observer = new Observer(name, { owner: signer.publicKey, psk });
			await observer.look(socket ?? '');
			const seen = observer.report();
			const isSame = seen.members.map(({ slot }) => slot).join() === running.join();
			if (seen.isAgreed && isSame) return seen;
			if (Date.now() > deadlineMs) throw new Error(`${name} is not agreed on: ${JSON.stringify(seen)}`);
		}
	};

	before(async () => {
		await command(process.execPath, join(ROOT, 'scripts/build.ts'), '--bundles-only');
		const mesh = await createTestMesh(folder);
		meshFile = mesh.file;
		const { images } = processSettings(ROOT, process.execPath);
		for (const name of ['a', 'b', 'c']) {
			const peers = daemons.slice(0, 1).map(({ address }) => address);
			const config = { bind: '127.0.0.1', port: 0, runtime: 'process', images };
			daemons.push(await startDaemon({ name, mesh, folder: join(folder, name), join: peers, config }));
		}
		const socket = (): string => first().socket;
		beectl = createBeectl({ node: process.execPath, main: BEECTL, owner, mesh: mesh.file, socket });
		await beectl.read('owner', 'create', '--no-passphrase');
	});
	after(async function () {
		await writer?.stop();
		await endDaemons(daemons, folder, this.test?.parent?.tests.some(({ state }) => state === 'failed') ?? false);
	});

	it('members replace each other: every replacement is one epoch more', async () => {
		const manifests = workloads.map(({ name }) => join(ROOT, `examples/${name}/${name}.yaml`));
		await beectl.read('apply', '--wait', ...manifests.flatMap((file) => ['-f', file]));
		await converged('kv-store', 3);
		writer = new Writer(() => endpoints);
		const before = new Set((await beectl.pods()).map(({ podId }) => podId));
		const changed = manifests.map((file, i) => {
			const copy = join(folder, `changed-${i}.yaml`);
			writeFileSync(copy, readFileSync(file, 'utf8').replace('memory: 64Mi', 'memory: 80Mi'));
			return copy;
		});
		await beectl.read('apply', '--wait', ...changed.flatMap((file) => ['-f', file]));
		for (const { name, replicas } of workloads) {
			const { epochs } = await agreed(name, await converged(name, replicas, before));
			expect(epochs, name).to.be.greaterThan(replicas);
		}
	});

	for (const { name, kind, replicas } of workloads) {
		it(`the owner confirms those of a ${kind}: one epoch is left, and one more for the replica that is added`, async () => {
			const before = await agreed(name, await converged(name, replicas));
			const scale = ['scale', `${kind}/${name}`, `--replicas=${replicas + 1}`, '--wait'];
			const words = [BEECTL, '--host', first().socket, '--owner', owner, '--mesh', meshFile, ...scale];
			const { exitCode, stderr } = await tryCommand([process.execPath, ...words]);
			expect(exitCode, stderr).to.equal(0);
			expect(stderr).to.match(new RegExp(`^members of ${name} confirmed: \\d+ epochs are 1 now$`, 'm'));
			const { epochs, overruled, members } = await agreed(name, await converged(name, replicas + 1));
			// Two, unless the newcomer was lost on its way.
			expect(epochs).to.be.within(2, before.epochs);
			expect(overruled).to.equal(0);
			expect(members.slice(0, replicas)).to.deep.equal(before.members);
		});
	}

	it('what a host that stops ran is replaced as ever, and nothing that was acknowledged is lost', async () => {
		await writer.further(10, 10_000);
		expect(await daemons.pop()?.stop()).to.equal(0);
		for (const { name, replicas } of workloads) {
			const { duplicates } = await agreed(name, await converged(name, replicas + 1));
			expect(duplicates, name).to.deep.equal([]);
		}
		await writer.further(10, 10_000);
		expect(await writer.lost()).to.deep.equal([]);
	});
});
