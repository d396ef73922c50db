import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import {
	certifyMachine,
	createKeyPair,
	createMesh,
	createNodeKeys,
	type KeyPair,
	type NodeKeys,
	openMachineCredential,
	renewMachine,
	requestEnrolment,
	sha256,
	signRecord,
} from '@beemesh/sdk/identity';
import { encodeRecord, type MachineCert, type MachineId } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { OWNER_RELAY } from '../../src/api/owner-session.ts';
import { meshHash } from '../../src/mesh/hello.ts';
import { admissionOf, createWorkload } from '../../src/scheduler/test/workload.ts';
import { tryCommand } from '../e2e/commands.ts';
import { type Attacker, startAttacker } from './attacker-process.ts';
import type { Papers } from './attacks/knock.ts';
import { startWorld, type World, whenComplete } from './world.ts';

const DAY_MS = 24 * 3_600_000;
const RPC = '/beemesh/m/rpc/1';
const PING = '/ipfs/ping/1.0.0';

describe('a running mesh, and somebody who is no member of it', function () {
	this.timeout(30_000);
	let world: World;
	let attacker: Attacker;

	before(async function () {
		this.timeout(60_000);
		world = await startWorld(['a', 'b'], () => ({}));
		attacker = startAttacker();
		await whenComplete(world);
	});
	after(async () => {
		await attacker?.stop();
		await world?.[Symbol.asyncDispose]();
	});

	const certOf = ({ peer, signer, kem }: NodeKeys, change: Partial<MachineCert> = {}) => ({
		...{ mesh: world.root.mesh.cid, machineId: peer.peerId as MachineId },
		...{ sigKey: signer.publicKey, kemKey: kem.publicKey, caps: [], labels: {}, serial: 99, nbf: Date.now() },
		...change,
	});
	const certified = (keys: NodeKeys, change: Partial<MachineCert> = {}, by: KeyPair = world.root.root) =>
		certifyMachine(certOf(keys, change), by);

	const protocols = (): readonly string[] => [
		...[RPC, OWNER_RELAY, `/beemesh/m/${meshHash(world.root.mesh.cid)}/kad/1.0.0`, '/meshsub/1.2.0', PING],
	];

	/** Every door of both hosts, and the mesh as it was. */
	async function refused(papers: Papers): Promise<void> {
		const before = await world.look();
		for (const host of world.hosts) {
			const { served, refused: refusals } = await attacker.try('knock', {
				...{ papers, target: world.targetOf(host), protocols: protocols() },
			});
			expect(served).to.deep.equal([]);
			for (const { code, message } of refusals) {
				expect(code).to.equal('unauthorized');
				expect(message).to.match(/refused our certificate|our pre-shared key|does not verify/);
			}
		}
		expect(await world.look()).to.deep.equal(before);
	}

	it('is let in with a certificate, so that what follows is refused for what it says', async () => {
		const keys = createNodeKeys();
		const { served, refused: why } = await attacker.try('knock', {
			papers: world.machinePapers(keys, certified(keys)),
			...{ target: world.targetOf(world.hosts[0] as never), protocols: protocols() },
		});
		expect(why).to.deep.equal([]);
		expect(served).to.deep.equal(protocols());
	});

	const attack = (title: string, papers: (keys: NodeKeys) => Papers | Promise<Papers>): void => {
		it(title, async () => refused(await papers(createNodeKeys())));
	};

	describe('is refused with', () => {
		attack('a mesh of its own', (keys) => {
			const mesh = createMesh('mine', keys.signer, Date.now());
			return world.machinePapers(keys, certified(keys, { mesh: mesh.cid }, keys.signer), {
				domain: sha256(new TextEncoder().encode(`beemesh/mesh/${mesh.cid}`)),
				psk: new Uint8Array(randomBytes(32)),
			});
		});

		attack('a certificate of another mesh', (keys) => {
			const root = createKeyPair();
			const mesh = createMesh('quickstart', root, Date.now());
			return world.machinePapers(keys, certified(keys, { mesh: mesh.cid }, root));
		});

		attack('a certificate of another mesh under the same root key', (keys) => {
			const mesh = createMesh('second', world.root.root, Date.now());
			return world.machinePapers(keys, certified(keys, { mesh: mesh.cid }));
		});

		attack('the mesh’s pre-shared key without a certificate', (keys) =>
			world.machinePapers(keys, requestEnrolment(keys, { name: 'me', labels: {} }, Date.now())),
		);

		attack('a certificate without the mesh’s pre-shared key', (keys) =>
			world.machinePapers(keys, certified(keys), { psk: new Uint8Array(randomBytes(32)) }),
		);

		attack('an expired certificate', (keys) =>
			world.machinePapers(keys, certified(keys, { nbf: Date.now() - 31 * DAY_MS, exp: Date.now() - 1 })),
		);

		attack('a certificate that is not valid yet', (keys) =>
			world.machinePapers(keys, certified(keys, { nbf: Date.now() + 60_000 })),
		);

		attack('a certificate of a hundred years', (keys) =>
			world.machinePapers(keys, certified(keys, { exp: Date.now() + 36_500 * DAY_MS })),
		);

		attack('a certificate that its holder has signed', (keys) =>
			world.machinePapers(keys, certified(keys, {}, keys.signer)),
		);

		attack('a machine that an enroller has certified', (keys) => {
			const enroller = createNodeKeys();
			const delegation = signRecord(
				'enroller',
				{
					...{ mesh: world.root.mesh.cid, machineId: enroller.peer.peerId as MachineId },
					...{ sigKey: enroller.signer.publicKey, serialMin: 0, serialMax: 1_000, nbf: 0, exp: Date.now() + DAY_MS },
				},
				world.root.root,
			);
			const own = { delegation, signer: enroller.signer };
			// Its own certificate is good; the newcomer's is the enroller's word, with its delegation beside it.
			const credential = certified(enroller);
			const machine = openMachineCredential(credential, world.root.mesh, Date.now());
			const nowMs = Date.now();
			const renewed = renewMachine({ ...machine, credential: certified(keys, {}, enroller.signer) }, own, {
				nbf: nowMs,
				exp: nowMs + DAY_MS / 2,
			});
			return world.machinePapers(keys, renewed);
		});

		attack('the certificate of a member, and keys of its own', async (keys) => {
			const victim = await world.keysOf(world.hosts[1] as never);
			return world.machinePapers(keys, certified(victim));
		});

		attack('the certificate of a member that names its peer, signed with keys of its own', async (keys) => {
			const victim = await world.keysOf(world.hosts[1] as never);
			const { machineId } = certOf(keys);
			return world.machinePapers(keys, certified(victim, { machineId }));
		});

		attack('a replica’s certificate at a machine’s door', (keys) => {
			const workload = createWorkload();
			const { tenderId } = workload.tender(keys.peer.peerId as MachineId, []);
			const award = {
				...{ wid: workload.wid, slot: 0, gen: 1, awardId: tenderId, manifestCid: workload.charter.manifestCid },
				machineId: keys.peer.peerId as MachineId,
			};
			const { cert } = admissionOf(award as never, keys, keys);
			return world.machinePapers(keys, encodeRecord({ cert }));
		});

		attack('the work plane at a machine’s door', (keys) =>
			world.machinePapers(keys, certified(keys), { plane: 'work' }),
		);

		attack('an owner’s record for a certificate', (keys) =>
			world.machinePapers(keys, world.owner.root.envelope, { cid: world.owner.root.cid }),
		);
	});

	it('is nobody’s host: a bundle that was stolen opens nowhere else', async () => {
		const before = await world.look();
		const bundle = await world.mesh.enrol('a', world.stateDirOf(world.hosts[0] as never));
		const main = join(import.meta.dirname, '../../dist/bundle/main.mjs');
		const at = join(world.folder, 'thief');
		const words = ['--bundle', bundle, '--state-dir', at, '--socket', join(at, 'run', 'hostd.sock')];
		const more = ['--name', 'thief', '--runtime', 'process', '--bind', '127.0.0.1', '--port', '0'];
		const { exitCode, stderr, stdout } = await tryCommand([process.execPath, main, ...words, ...more]);
		expect(exitCode).not.to.equal(0);
		expect(stderr + stdout).to.match(/this bundle is for machine \S+; this one is/);
		expect(await world.look()).to.deep.equal(before);
	});
});
