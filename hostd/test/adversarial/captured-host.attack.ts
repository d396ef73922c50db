/**
 * The compromise drill: of five hosts one is captured, with every key in its state folder and every byte that its processes
 * hold. What others run stays unknown to whoever has it, and once it is revoked nobody speaks with it any more.
 */
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { WorkloadId } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { OWNER_RELAY } from '../../src/api/owner-session.ts';
import { BundleStore } from '../../src/enrolment/store.ts';
import { findProcesses, skipLoudly } from '../e2e/commands.ts';
import type { HostDaemon } from '../e2e/host-daemon.ts';
import { wordsInMemory } from '../e2e/process-memory.ts';
import { type Attacker, startAttacker } from './attacker-process.ts';
import { startWorld, type World, whenComplete } from './world.ts';

const SEATS = ['a', 'b', 'c', 'd', 'e'] as const;
const IMAGE = 'localhost/test/parrot:1';
const PARROT = 'console.log("log-" + process.env.TOKEN); setInterval(() => {}, 60000)';
const REFUSED_MS = 5_000;
// Made at run time, so that no program has them among its constants.
const word = (what: string): string => `${what}-${process.pid.toString(36)}x${Date.now().toString(36)}`;

describe('a captured host', function () {
	if (process.platform !== 'linux') {
		skipLoudly('looks into memory as Linux shows it');
		return;
	}
	this.timeout(120_000);
	this.bail(true);
	let world: World;
	let attacker: Attacker;
	let captured: HostDaemon;
	const canaries = new Map<string, readonly string[]>();
	const canariesOf = (seats: readonly string[]): readonly string[] => seats.flatMap((seat) => canaries.get(seat) ?? []);
	const others = SEATS.slice(0, 4);

	before(async () => {
		const images = { [IMAGE]: { command: [process.execPath, '-e', PARROT] } };
		world = await startWorld(SEATS, () => ({ images, logLevel: 'debug' }));
		await whenComplete(world);
		captured = world.hosts[4] as HostDaemon;
		await Promise.all(SEATS.map((seat) => place(seat, seat)));
		attacker = startAttacker();
	});
	after(async () => {
		await attacker?.stop();
		await world?.[Symbol.asyncDispose]();
	});

	async function place(seat: string, key: string): Promise<void> {
		const [name, token, label] = [word(`nm${key}`), word(`tk${key}`), word(`lb${key}`)];
		canaries.set(key, [name, token, label]);
		const file = join(world.folder, `${key}.json`);
		const container = { name: 'main', image: IMAGE, env: [{ name: 'TOKEN', value: token }] };
		const manifest = {
			...{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name, namespace: 'default' } },
			spec: {
				...{ replicas: 1, selector: { matchLabels: { app: label } } },
				template: { metadata: { labels: { app: label } }, spec: { nodeSelector: { seat }, containers: [container] } },
			},
		};
		writeFileSync(file, JSON.stringify(manifest));
		await world.beectl.read('apply', '-f', file, '--wait');
	}

	it('shows nothing of the workloads that it does not run', async () => {
		const foreign = canariesOf(others);
		// What its owner gave it is there, so that not to find the others' means something.
		const own = canariesOf(['e']);
		const pid = captured.process.pid ?? 0;
		expect(await wordsInMemory(pid, own)).to.deep.equal(own);
		expect(await wordsInMemory(pid, foreign), 'memory of its hostd').to.deep.equal([]);
		const pods = (await world.beectl.pods()).filter(({ machineName }) => machineName === 'e');
		for (const child of pods.flatMap(({ pids }) => pids))
			expect(await wordsInMemory(child, foreign), 'memory of its pods').to.deep.equal([]);

		captured.process.kill('SIGKILL');
		await once(captured.process, 'exit');
		await whenComplete(world, 4, world.hosts.slice(0, 4));
		const files = bytesBelow(join(world.folder, 'e'));
		expect(files.includes(own[0] as string)).to.equal(true);
		for (const canary of foreign) expect(files.includes(canary), canary).to.equal(false);
	});

	it('hears and is told nothing of them, though it is asked after everything that it may ask', async () => {
		const join_ = world.hosts.slice(0, 4).map(({ address }) => address);
		const stateDir = world.stateDirOf(captured);
		const { pid } = await attacker.try('captureHost', { stateDir, name: 'e', join: join_ });
		const wids = (await world.look(world.hosts.slice(0, 4))).flatMap(({ pods }) =>
			pods.map((pod) => pod.split(' ')[0] as WorkloadId),
		);
		expect(wids).to.have.length(4);
		const owner = world.owner.root.body.owner;
		const { answers } = await attacker.try('plunder', { wids, owner });
		expect(answers).to.be.greaterThan(4 * (2 + 2 * wids.length));
		// It hears of what is placed from now on, too.
		await place('b', 'new');
		expect((await attacker.try('overheard', {})).tenders).to.be.greaterThan(0);
		expect(await wordsInMemory(pid, canariesOf([...others, 'new']))).to.deep.equal([]);
	});

	it('is refused by every other host within 5 s of its revocation', async () => {
		const rest = world.hosts.slice(0, 4);
		const keys = await world.keysOf(captured);
		const { credential } = (await new BundleStore(world.stateDirOf(captured)).read()) as { credential: Uint8Array };
		const papers = world.machinePapers(keys, credential);
		const beganMs = Date.now();
		await world.beectl.read('mesh', 'revoke', 'e');
		const { atMs } = await attacker.try('whenCutOff', {});
		expect(atMs - beganMs, 'its sessions ended').to.be.below(REFUSED_MS);
		for (const host of rest) {
			const { served, refused } = await attacker.try('knock', {
				...{ papers, target: world.targetOf(host), protocols: ['/beemesh/m/rpc/1', OWNER_RELAY, '/ipfs/ping/1.0.0'] },
			});
			expect(served, host.name).to.deep.equal([]);
			for (const { code } of refused) expect(code).to.equal('unauthorized');
		}
		expect(Date.now() - beganMs, 'all refuse it').to.be.below(REFUSED_MS);
		for (const { host, machines } of await world.look(rest)) expect(machines, host).to.have.length(4);
		const again = await attacker.try('plunder', { wids: [], owner: world.owner.root.body.owner });
		expect(again.refusals.slice(0, 4)).to.deep.equal(Array.from({ length: 4 }, () => 'unauthorized'));
		console.log(`      refused by all ${Date.now() - beganMs} ms after the command began`);
	});

	it('hears nothing of what is placed afterwards', async () => {
		const { tenders } = await attacker.try('overheard', {});
		await place('c', 'after');
		expect((await attacker.try('overheard', {})).tenders).to.equal(tenders);
		expect(findProcesses(({ pid }) => pid === captured.process.pid)).to.deep.equal([]);
	});
});

/** Everything that a thief finds below a folder. */
function bytesBelow(folder: string): Buffer {
	const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
	return Buffer.concat(files.map(({ parentPath, name }) => readFileSync(join(parentPath, name))));
}
