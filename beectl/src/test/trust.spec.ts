import { readFile, stat } from 'node:fs/promises';
import { certifyMachine, createKeyPair, createMesh, createNodeKeys, encodeInvite } from '@beemesh/sdk/identity';
import type { MachineId } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { nextEpoch } from '../mesh/epochs.ts';
import { changeMeshFile, openMeshFile } from '../mesh/mesh-file.ts';
import { passphrasesFrom } from '../secrets/passphrase.ts';
import { createHome, type Home } from './folder.ts';
import { type ScriptedHost, startScriptedHost } from './scripted-host.ts';

const WEB = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: "example/web:1"}]}
`;

describe('the mesh that beectl talks to', () => {
	let home: Home;
	let host: ScriptedHost;
	const apply = (name: string, env: Record<string, string> = {}) =>
		home.beectl('apply -f -', { stdin: WEB.replace('name: web', `name: ${name}`), env });

	beforeEach(async () => {
		home = await createHome();
		host = await startScriptedHost(home.at('no.sock'));
		await home.beectl('owner create --no-passphrase');
	});
	afterEach(async () => {
		await host[Symbol.asyncDispose]();
		await home[Symbol.asyncDispose]();
	});
	const meetAnother = async (): Promise<void> => {
		await host[Symbol.asyncDispose]();
		host = await startScriptedHost(home.at('no.sock'));
	};

	it('is remembered at first contact, said once, and no other is accepted', async () => {
		const first = await apply('a');
		expect(first.code, first.err).to.equal(0);
		expect(first.err).to.contain(`note: first contact with the mesh "test" (${host.mesh.cid})`);
		const file = home.at('.config/beemesh/known-mesh');
		expect((await stat(file)).mode & 0o777).to.equal(0o600);
		expect((await apply('b')).err).not.to.contain('first contact');
		expect((await home.beectl('mesh trust')).out).to.equal(`${host.mesh.cid} test\n`);
		const met = host.mesh.cid;
		await meetAnother();
		const { code, err } = await apply('c');
		expect(code).to.equal(1);
		expect(err).to.contain('is of another mesh than the one known here; nothing was sent to it');
		expect(err)
			.to.contain(`it shows   "test" (${host.mesh.cid})`)
			.and.contain(`known is   "test" (${met}), from ${file}`);
		expect(err).to.contain('`beectl mesh trust FILE`').and.contain('`beectl mesh trust --reset`');
		expect(host.placements).to.deep.equal([]);
	});

	it('changes when its user says so: by an invitation, or at the next contact', async () => {
		await apply('a');
		await meetAnother();
		const invite = await home.write('invite', encodeInvite({ mesh: host.mesh, join: [] }));
		const trusted = await home.beectl(`mesh trust ${invite}`);
		expect(trusted.out).to.equal(`${host.mesh.cid} test\n`);
		expect((await apply('b')).code).to.equal(0);
		await meetAnother();
		expect((await home.beectl('mesh trust --reset')).code).to.equal(0);
		expect((await home.beectl('mesh trust')).err).to.contain('no mesh is known yet');
		expect((await apply('c')).err).to.contain('first contact');
	});

	it('can be named for one command, by invitation or genesis, and is then not remembered', async () => {
		const invite = await home.write('invite', encodeInvite({ mesh: host.mesh, join: [] }));
		const genesis = await home.write('genesis', host.mesh.envelope);
		for (const [i, file] of [invite, genesis].entries()) {
			const { code, err } = await apply(`a${i}`, { BEEMESH_GENESIS: file });
			expect(code, err).to.equal(0);
			expect(err).not.to.contain('first contact');
		}
		const root = createKeyPair();
		const other = await home.write('other', encodeInvite({ mesh: createMesh('other', root, 1), join: [] }));
		const refused = await apply('b', { BEEMESH_GENESIS: other });
		expect(refused.code).to.equal(1);
		expect(refused.err).to.contain('name its invitation with --mesh-genesis');
		expect(await stat(home.at('.config/beemesh/known-mesh')).catch(() => undefined)).to.equal(undefined);
		expect((await apply('c', { BEEMESH_GENESIS: home.at('nowhere') })).code).to.equal(2);
		const nonsense = await home.write('nonsense', 'hello');
		expect((await apply('c', { BEEMESH_GENESIS: nonsense })).err).to.contain('is neither an invitation');
	});

	it('is, without asking, the one that was made here', async () => {
		await home.beectl('mesh init --name home --no-passphrase');
		const { root, mesh } = await openMeshFile(
			home.at('.config/beemesh/mesh.json'),
			passphrasesFrom(undefined, undefined),
		);
		expect((await apply('a')).err).to.contain('known is   "home"');
		await host[Symbol.asyncDispose]();
		host = await startScriptedHost(home.at('no.sock'), 'bee-1', root, mesh);
		const { code, err } = await apply('b');
		expect(code, err).to.equal(0);
		expect(err).not.to.contain('first contact');
	});

	it('is not believed to be what a host shows without a certificate under it', async () => {
		const theirs = createMesh('theirs', createKeyPair(), Date.now());
		host.mesh = theirs;
		const { code, err } = await apply('a');
		expect(code).to.equal(1);
		expect(err).to.contain('the machine certificate is of another mesh');
		expect((await home.beectl('mesh trust')).out).to.equal('');
	});

	describe('vouches for machines', () => {
		const strangers = createKeyPair();
		const stray = createNodeKeys();
		const keys = { sigKey: stray.signer.publicKey, kemKey: stray.kem.publicKey };
		const elsewhere = createMesh('test', strangers, Date.now());
		const terms = { mesh: elsewhere.cid, ...keys, caps: [], labels: {}, serial: 1, nbf: Date.now() };
		const foreign = certifyMachine({ ...terms, machineId: stray.peer.peerId as MachineId }, strangers);

		it('whose replicas are admitted', async () => {
			host.credential = foreign;
			const refusal = 'slot 0 not admitted: the machine certificate is of another mesh';
			const { code, err } = await home.beectl('apply -f -', { stdin: WEB, interruptAt: refusal });
			expect(err).to.contain(refusal);
			expect(code).to.equal(130);
			expect(host.admissions).to.deep.equal([]);
			expect(await readFile(home.at('.config/beemesh/known-mesh'), 'utf8')).to.contain('BEEMESH INVITE');
		});

		it('that are given what they are to run: nothing is sealed to any other', async () => {
			host.winner = foreign;
			const { code, err } = await apply('a');
			expect(code).to.equal(1);
			expect(err).to.contain('slot 0 not given to bee-1: the machine certificate is of another mesh');
			expect(host.bundles).to.deep.equal([]);
		});

		it('by labels, too: nothing is sealed to a winner that is not certified for the nodeSelector', async () => {
			const stdin = WEB.replace('{containers', '{nodeSelector: {trusted: "true"}, containers');
			const { code, err } = await home.beectl('apply -f -', { stdin });
			expect(code).to.equal(1);
			expect(err).to.match(
				/slot 0 not given to bee-1: machine \w+ must not run it: nodeSelector: needs trusted=true, the host is certified for no such label/,
			);
			expect(host.bundles).to.deep.equal([]);
		});

		it('until they are revoked: nothing is said or given to one that is out', async () => {
			await home.beectl('mesh init --name home --no-passphrase');
			const words = passphrasesFrom(undefined, undefined);
			const { root, mesh } = await openMeshFile(home.at('.config/beemesh/mesh.json'), words);
			await host[Symbol.asyncDispose]();
			host = await startScriptedHost(home.at('no.sock'), 'bee-1', root, mesh);
			expect((await home.beectl('get pods')).code).to.equal(0);
			await changeMeshFile(home.at('.config/beemesh/mesh.json'), words, (file) => {
				const terms = { revoked: [host.machineId], keyring: file.keyrings[0] };
				return { ...file, epoch: nextEpoch(mesh, file.epoch, terms, root, Date.now()) };
			});
			host.owners.clear();
			const { code, err } = await home.beectl('get pods');
			expect(code).to.equal(1);
			expect(err).to.contain('has been revoked from the mesh "home"');
			expect([...host.owners]).to.deep.equal([]);
		});

		it('that win: another one of the mesh is not the winner', async () => {
			host.winner = (await startScriptedHost(home.at('other.sock'), 'bee-2', host.root, host.mesh)).credential;
			const { err } = await apply('a');
			expect(err).to.match(/slot 0 not given to bee-1: the certificate shown for machine .* is of another one/);
			expect(host.bundles).to.deep.equal([]);
		});
	});

	it('is proved before a word is said of what is wanted, also by whoever answers for another host', async () => {
		const first = await apply('a');
		expect(first.code, first.err).to.equal(0);
		const owner = [...host.owners][0];
		await host[Symbol.asyncDispose]();
		// Our genesis, and a certificate of nobody we know.
		host = await startScriptedHost(home.at('no.sock'), 'bee-1', createKeyPair(), host.mesh);
		const { code, err } = await home.beectl('get pods');
		expect(code).to.equal(1);
		expect(err).to.match(/^error: BMS\/1: /);
		expect(owner).to.be.a('string');
		expect([...host.owners]).to.deep.equal([]);
	});

	it('hears from nobody in particular what is no owner’s affair', async () => {
		expect((await home.beectl('get hosts')).code).to.equal(0);
		expect((await home.beectl('version')).out).to.contain('hostd  0.1.0 (bee-1');
		expect([...host.owners]).to.deep.equal([]);
		const keyless = home.at('nowhere.key');
		expect((await home.beectl('get hosts', { env: { BEEMESH_OWNER: keyless } })).code).to.equal(0);
	});
});
