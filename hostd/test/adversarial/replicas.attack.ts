/** What is refused to a replica that fell into an attacker's hands, while it is a member and when it is none any more. */
import { once } from 'node:events';
import { join } from 'node:path';
import {
	certifyMachine,
	certifyOwn,
	createNodeKeys,
	createUlid,
	openCsr,
	requestAdmission,
} from '@beemesh/sdk/identity';
import { encodeRecord, type MachineId } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import type { Pod } from '../../../scripts/quickstart/beectl.ts';
import { processSettings } from '../../../scripts/quickstart/runtimes.ts';
import { createWorkload } from '../../src/scheduler/test/workload.ts';
import type { HostDaemon } from '../e2e/host-daemon.ts';
import { Writer } from '../e2e/writer.ts';
import { type Attacker, startAttacker } from './attacker-process.ts';
import { CHANGE_NAMES } from './attacks/captured-replica.ts';
import type { Papers, Target } from './attacks/knock.ts';
import { startWorld, type World, whenComplete } from './world.ts';

const ROOT = join(import.meta.dirname, '../../..');
const RPC = '/beemesh/w/rpc/1';
const HEALED_MS = 40_000;

describe('a captured replica of a StatefulSet', function () {
	this.timeout(180_000);
	this.bail(true);
	let world: World;
	let attacker: Attacker;
	let victim: Pod;
	let papers: Papers;
	let certExpMs: number;
	/** Number of the newest epoch before the attack. */
	let headE: number;
	let survivors: readonly Target[];
	let writer: Writer;
	const endpoints: string[] = [];

	before(async () => {
		const { images } = processSettings(ROOT, process.execPath);
		world = await startWorld(['a', 'b', 'c'], () => ({ images, logLevel: 'debug' }));
		await whenComplete(world);
		await world.beectl.read('apply', '--wait', '-f', join(ROOT, 'examples/kv-store/kv-store.yaml'));
		const pods = await world.beectl.pods();
		victim = pods.find(({ machineName }) => machineName === 'c') as Pod;
		endpoints.push(...pods.filter((pod) => pod !== victim).flatMap(httpOf));
		writer = new Writer(() => endpoints);
		await writer.further(5, 20_000);
		attacker = startAttacker();
		const host = world.hosts[2] as HostDaemon;
		const stolen = await attacker.try('captureReplica', { stateDir: world.stateDirOf(host), podId: victim.podId });
		({ papers, certExpMs } = stolen);
		survivors = (await scout(stolen.wid)).filter(({ peer }) => peer !== stolen.replicaId);
		expect(survivors).to.have.length(2);
	});
	after(async () => {
		await writer?.stop();
		await attacker?.stop();
		await world?.[Symbol.asyncDispose]();
	});

	/** Where replicas are is no secret among machines: one that was captured asks. */
	async function scout(wid: string): Promise<Target[]> {
		const host = await world.start('d');
		await whenComplete(world);
		host.process.kill('SIGKILL');
		await once(host.process, 'exit');
		const rest = world.hosts.slice(0, 3);
		await whenComplete(world, 3, rest);
		const scouting = startAttacker();
		try {
			const stateDir = world.stateDirOf(host);
			await scouting.try('captureHost', { stateDir, name: 'd', join: rest.map(({ address }) => address) });
			const { members, rosters } = await scouting.try('whereabouts', { wid: wid as never });
			headE = (await attacker.try('catchUp', { rosters })).e;
			return members.map(({ replicaId, addresses }) => ({ peer: replicaId, addresses }));
		} finally {
			await scouting.stop();
			(world.hosts as HostDaemon[]).pop();
		}
	}

	async function refusedAtTheDoor(shown: Papers): Promise<void> {
		for (const target of survivors) {
			const { served, refused } = await attacker.try('knock', { papers: shown, target, protocols: [RPC] });
			expect(served).to.deep.equal([]);
			for (const { code } of refused) expect(code).to.equal('unauthorized');
		}
	}

	async function whenShut(): Promise<void> {
		for (const target of survivors)
			while ((await attacker.try('knock', { papers, target, protocols: [RPC] })).served.length > 0)
				await new Promise((resolve) => setTimeout(resolve, 1_000));
		await refusedAtTheDoor(papers);
	}

	it('a machine’s certificate at a replica’s door', async () => {
		const keys = createNodeKeys();
		const certificate = certifyMachine(
			{
				...{ mesh: world.root.mesh.cid, machineId: keys.peer.peerId as MachineId, sigKey: keys.signer.publicKey },
				...{ kemKey: keys.kem.publicKey, caps: [], labels: {}, serial: 9, nbf: Date.now() },
			},
			world.root.root,
		);
		const shown = world.machinePapers(keys, certificate);
		await refusedAtTheDoor(shown);
		const { plane, domain, psk, epoch } = papers;
		await refusedAtTheDoor({ ...shown, plane, domain, psk, epoch });
	});

	it('a certificate that no epoch names, though it knows what only members know', async () => {
		const keys = createNodeKeys();
		const { wid, charter } = createWorkload('kv-store', 8, world.owner.signer);
		const at = { slot: 0, gen: 2, incarnation: 0, awardId: createUlid(Date.now()), wid, addresses: [], ts: Date.now() };
		const csr = openCsr(requestAdmission(keys, at).envelope);
		const about = { machineId: world.targetOf(world.hosts[0] as HostDaemon).peer as MachineId };
		const { manifestCid } = charter;
		const cert = certifyOwn(charter, csr, { ...about, manifestCid }, keys.signer, Date.now());
		await refusedAtTheDoor({ ...papers, seed: keys.seed, certificate: encodeRecord({ cert }) });
	});

	it('speaks with the others as long as it is a member', async () => {
		const host = world.hosts[2] as HostDaemon;
		host.process.kill('SIGKILL');
		await once(host.process, 'exit');
		// Each leads a process group.
		for (const pid of victim.pids) process.kill(-pid, 'SIGKILL');
		const { answers } = await attacker.try('rejoin', { targets: survivors });
		expect(answers).to.deep.equal(['done', 'done']);
	});

	const forged: string[] = [];
	for (const what of CHANGE_NAMES)
		it(`asks the others to sign ${what}`, async () => {
			const { answers, certCid } = await attacker.try('lead', { change: what, targets: survivors });
			forged.push(certCid);
			expect(answers).to.have.length(2);
			for (const answer of answers) expect(answer).to.match(/^(unauthorized|invalid_input|conflict): /);
		});

	it('certifies alone', async () => {
		// Each of these epochs it has then told them, signed by itself.
		await attacker.try('disconnect', {});
		const { answers, heads } = await attacker.try('rejoin', { targets: survivors });
		expect(answers).to.deep.equal(['done', 'done']);
		expect(forged).to.have.length(CHANGE_NAMES.length);
		expect(new Set(heads.map(({ e, cid }) => `${e} ${cid}`))).to.have.length(1);
		expect(heads[0]?.e).to.equal(headE);
		await writer.further(5, 20_000);
	});

	it('is out with its certificate unexpired, and writes nothing more', async () => {
		await attacker.try('disconnect', {});
		const deadlineMs = Date.now() + HEALED_MS;
		for (;;) {
			const { items } = await world.beectl.podList();
			const living = items.filter(({ machineName }) => machineName !== 'c');
			if (living.length === 3 && living.every(({ ready, role }) => ready && role !== 'learner')) break;
			if (Date.now() > deadlineMs)
				throw new Error(`not healed: ${living.map(({ name, ready, role }) => `${name} ready=${ready} ${role}`)}`);
			await new Promise((resolve) => setTimeout(resolve, 200));
		}
		expect(certExpMs).to.be.above(Date.now() + 3_600_000);
		const { answers, heads } = await attacker.try('rejoin', { targets: survivors });
		for (const answer of answers) expect(answer).to.match(/^(unauthorized|conflict): /);
		expect(heads).to.deep.equal([]);
		await attacker.try('disconnect', {});
		// A member that has a successor may still connect for a minute, to hand over; nothing that it asks is served.
		await whenShut();
		await writer.further(5, 20_000);
		expect(await writer.lost()).to.deep.equal([]);
		const names = (await world.beectl.pods()).filter(({ machineName }) => machineName !== 'c').map(({ name }) => name);
		expect(names.sort()).to.deep.equal(['kv-store-0', 'kv-store-1', 'kv-store-2']);
	});
});

function httpOf({ endpoints }: Pod): string[] {
	return endpoints.filter(({ name }) => name === 'http').map(({ address }) => address);
}
