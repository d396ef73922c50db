import { readFile, stat } from 'node:fs/promises';
import {
	createNodeKeys,
	decodeArmor,
	decodeInvite,
	encodeArmor,
	MachineTrust,
	type MeshBundle,
	type NodeKeys,
	openMachineCredential,
	openMesh,
	openMeshBundle,
	openRecord,
	requestEnrolment,
	signRecord,
} from '@beemesh/sdk/identity';
import type { MachineId } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { parse } from 'yaml';
import { createHome, type Home } from './folder.ts';

const ADDRESS = (keys: NodeKeys) => `/ip4/192.0.2.7/udp/4700/quic-v1/p2p/${keys.peer.peerId}`;
const DAY_MS = 24 * 3_600_000;

describe('beectl mesh', () => {
	let home: Home;
	let bee: NodeKeys;
	beforeEach(async () => {
		home = await createHome();
		bee = createNodeKeys();
		expect((await home.beectl('mesh init --name home --no-passphrase')).code).to.equal(0);
	});
	afterEach(() => home[Symbol.asyncDispose]());

	const request = (keys: NodeKeys, name: string, labels: Record<string, string> = {}) =>
		encodeArmor('REQUEST', requestEnrolment(keys, { name, labels }, Date.now()));
	const bundleOf = (text: string, keys: NodeKeys): MeshBundle =>
		openMeshBundle(decodeArmor('BUNDLE', text), keys.peer.peerId as MachineId, keys.kem);
	const enroll = async (args: string, keys: NodeKeys, name: string, labels?: Record<string, string>) => {
		const { code, out, err } = await home.beectl(`mesh enroll - ${args}`.trim(), {
			stdin: request(keys, name, labels),
		});
		expect(code, err).to.equal(0);
		const bundle = bundleOf(out, keys);
		return { err, bundle, machine: openMachineCredential(bundle.credential, openMesh(bundle.genesis), Date.now()) };
	};
	const shown = async () =>
		JSON.parse((await home.beectl('mesh show -o json')).out) as {
			mesh: string;
			epoch: { seq: number; isDelivered: boolean; revoked: string[] };
			machines: { name: string; serial: number; status: string }[];
		};

	describe('init and show', () => {
		it('make one mesh in a private file, and never replace it', async () => {
			const file = home.at('.config/beemesh/mesh.json');
			expect((await stat(file)).mode & 0o777).to.equal(0o600);
			const before = await readFile(file, 'utf8');
			const again = await home.beectl('mesh init --name other --no-passphrase');
			expect(again.code).to.equal(1);
			expect(again.err).to.contain('exists already and is left as it is; name another file with --mesh');
			expect(await readFile(file, 'utf8')).to.equal(before);
		});

		it('show name, ID, epoch and machines, for people and for programs', async () => {
			const empty = await home.beectl('mesh show');
			expect(empty.out).to.match(
				/^Name: +home\nMesh ID: +bafy\w+\nMade: .* ago\)\nEpoch: +1\nValid until: .*\(in 36\dd\)\n/,
			);
			expect(empty.out).to.contain('no machine is enrolled yet');
			await enroll('--renews', bee, 'bee-1');
			await enroll('--days 7', createNodeKeys(), 'bee-2');
			const { out } = await home.beectl('mesh show');
			expect(out).to.match(/\nNAME +STATUS +SERIAL +RENEWS +CERTIFIED UNTIL +MACHINE ID\n/);
			expect(out).to.match(/\nbee-1 +enrolled +1 +yes +\S+ \(in 29d\) +12D3KooW\w+\n/);
			expect(out).to.match(/\nbee-2 +enrolled +2 +no +\S+ \(in 6d\) +12D3KooW\w+\n$/);
			const json = await shown();
			expect(json.mesh).to.match(/^bafy/);
			expect(json.machines.map(({ name, serial, status }) => [name, serial, status])).to.deep.equal([
				['bee-1', 1, 'enrolled'],
				['bee-2', 2, 'enrolled'],
			]);
			expect(parse((await home.beectl('mesh show -o yaml')).out)).to.deep.include({ name: 'home' });
		});

		it('seal the root under a passphrase that changes need and looking does not', async () => {
			const mesh = home.at('sealed.json');
			const env = { BEEMESH_MESH: mesh };
			const made = await home.beectl('mesh init --name lab', { env, answers: ['correct horse', 'correct horse'] });
			expect(made.code, made.err).to.equal(0);
			expect((await home.beectl('mesh show', { env })).out).to.contain(made.out.trim());
			const stdin = request(bee, 'bee-1');
			const none = await home.beectl('mesh enroll -', { env, stdin });
			expect(none.code).to.equal(1);
			expect(none.err).to.contain('needs a passphrase and there is no terminal to ask at');
			const wrong = await home.beectl('mesh enroll -', { env, stdin, answers: ['correct house'] });
			expect(wrong.code).to.equal(1);
			expect(wrong.err).to.contain(`wrong passphrase for ${mesh}`);
			const right = await home.beectl('mesh enroll -', { env, stdin, answers: ['correct horse'] });
			expect(right.code, right.err).to.equal(0);
			expect(bundleOf(right.out, bee).keyrings).to.have.length(1);
		});

		it('say how to make one where there is none', async () => {
			const { code, err } = await home.beectl(['mesh', 'show', '--mesh', home.at('none')]);
			expect(code).to.equal(3);
			expect(err).to.contain(`there is no mesh file at ${home.at('none')}; make a mesh with \`beectl mesh init\``);
		});
	});

	it('invites with what is public, by text or file', async () => {
		const address = ADDRESS(bee);
		const { out } = await home.beectl(`mesh invite --join ${address}`);
		const { mesh, join } = decodeInvite(out);
		expect(mesh.body.name).to.equal('home');
		expect(mesh.cid).to.equal((await shown()).mesh);
		expect(join).to.deep.equal([address]);
		const named = await home.beectl(`mesh invite -o ${home.path}`);
		expect(named.err).to.contain(`written to ${home.at('home.invite')}`);
		expect(decodeInvite(await readFile(home.at('home.invite'), 'utf8')).join).to.deep.equal([]);
		const bad = await home.beectl('mesh invite --join /ip4/192.0.2.7/udp/4700');
		expect(bad.code).to.equal(2);
	});

	describe('enroll', () => {
		it('answers a request with a bundle that makes its machine a member', async () => {
			const { bundle, machine, err } = await enroll('', bee, 'bee-1', { zone: 'cellar' });
			expect(machine.machineId).to.equal(bee.peer.peerId);
			expect(bundle.name).to.equal('bee-1');
			expect(machine.cert).to.deep.include({ caps: [], labels: {}, serial: 1 });
			expect(machine.cert.sigKey).to.deep.equal(bee.signer.publicKey);
			expect(machine.cert.exp - machine.cert.nbf).to.equal(30 * DAY_MS);
			const trust = new MachineTrust(openMesh(bundle.genesis), bundle.epoch);
			expect(trust.learn(bundle.credential, Date.now()).machineId).to.equal(bee.peer.peerId);
			expect(bundle.enroller).to.equal(undefined);
			expect(err).to.contain(`Machine ID:       ${bee.peer.peerId}\n`);
			expect(err).to.contain('zone=cellar (not certified; --accept-labels does)');
		});

		it('certifies the labels that the operator gives or accepts, and no others', async () => {
			const given = await enroll('--label disk=ssd --label zone=attic', bee, 'bee-1', { zone: 'cellar', gpu: 'yes' });
			expect(given.machine.cert.labels).to.deep.equal({ disk: 'ssd', zone: 'attic' });
			const both = await enroll('--label zone=attic --accept-labels', bee, 'bee-1', { zone: 'cellar', gpu: 'yes' });
			expect(both.machine.cert.labels).to.deep.equal({ zone: 'attic', gpu: 'yes' });
		});

		it('lets a machine renew others within a delegation', async () => {
			const { bundle, machine } = await enroll('--renews --days 3', bee, 'bee-1');
			expect(machine.cert.caps).to.deep.equal(['renew']);
			expect(machine.cert.exp - machine.cert.nbf).to.equal(3 * DAY_MS);
			const { body } = openRecord('enroller', bundle.enroller ?? new Uint8Array(), [
				openMesh(bundle.genesis).body.rootKey,
			]);
			expect(body.machineId).to.equal(bee.peer.peerId);
			expect(body.sigKey).to.deep.equal(bee.signer.publicKey);
			expect(body.serialMin).to.equal(1);
			expect(body.serialMax).to.be.greaterThan(1000);
		});

		it('gives the same machine its old serial, and another one the next', async () => {
			await enroll('', bee, 'bee-1');
			const other = createNodeKeys();
			expect((await enroll('', other, 'bee-1')).machine.cert.serial).to.equal(2);
			expect((await enroll('', bee, 'bee-1')).machine.cert.serial).to.equal(1);
			expect((await shown()).machines).to.have.length(2);
		});

		it('warns when a machine of that name is in already', async () => {
			await enroll('', bee, 'bee-1');
			const { err } = await enroll('', createNodeKeys(), 'bee-1');
			expect(err).to.contain(`run \`beectl mesh revoke ${bee.peer.peerId}\``);
			expect((await enroll('', bee, 'bee-2')).err).not.to.contain('warning');
		});

		it('remembers addresses for the machines that follow, but tells none its own', async () => {
			const first = await enroll(`--join ${ADDRESS(bee)}`, bee, 'bee-1');
			expect(first.bundle.join).to.deep.equal([]);
			expect((await enroll('', createNodeKeys(), 'bee-2')).bundle.join).to.deep.equal([ADDRESS(bee)]);
			expect(decodeInvite((await home.beectl('mesh invite')).out).join).to.deep.equal([ADDRESS(bee)]);
		});

		it('takes several requests into a folder, all or none', async () => {
			const other = createNodeKeys();
			const paths = [await home.write('1', request(bee, 'bee-1')), await home.write('2', request(other, 'bee-2'))];
			const bad = await home.write('3', 'nonsense');
			const none = await home.beectl(['mesh', 'enroll', ...paths, bad, '-o', home.at('bundles/')]);
			expect(none.code).to.equal(2);
			expect(none.err).to.contain(`${bad} is no request as \`hostd request\` prints it`);
			expect((await shown()).machines).to.deep.equal([]);
			const both = await home.beectl(['mesh', 'enroll', ...paths, '-o', home.at('bundles/')]);
			expect(both.code, both.err).to.equal(0);
			for (const [keys, name] of [
				[bee, 'bee-1'],
				[other, 'bee-2'],
			] as const)
				expect(bundleOf(await readFile(home.at('bundles', `${name}.bundle`), 'utf8'), keys).join).to.deep.equal([]);
			const namesakes = [paths[0] ?? '', await home.write('4', request(other, 'bee-1'))];
			const refused = await home.beectl(['mesh', 'enroll', ...namesakes, '-o', home.at('bundles/')]);
			expect(refused.err).to.contain('two of these machines have one name');
		});

		it('refuses what is not a request, or not of the keys that it names', async () => {
			const invited = (await home.beectl('mesh invite')).out;
			const invite = await home.beectl('mesh enroll -', { stdin: invited });
			expect(invite.code).to.equal(2);
			expect(invite.err).to.contain("it is an invitation to a mesh, not a machine's request for enrolment");
			const mallory = createNodeKeys();
			const { body } = openRecord('machine-csr', requestEnrolment(bee, { name: 'bee-1', labels: {} }, 1), [
				bee.signer.publicKey,
			]);
			for (const forged of [
				signRecord('machine-csr', body, mallory.signer),
				// Somebody else's peer ID for keys of one's own.
				signRecord('machine-csr', { ...body, sigKey: mallory.signer.publicKey }, mallory.signer),
			]) {
				const { code, err } = await home.beectl('mesh enroll -', { stdin: encodeArmor('REQUEST', forged) });
				expect(code, err).to.equal(1);
			}
			expect((await shown()).machines).to.deep.equal([]);
		});

		it('is refused with a mesh file whose root is another’s', async () => {
			const file = home.at('.config/beemesh/mesh.json');
			await home.beectl(['mesh', 'init', '--name', 'home', '--no-passphrase', '--mesh', home.at('other.json')]);
			const [ours, theirs] = await Promise.all(
				[file, home.at('other.json')].map(async (path) => JSON.parse(await readFile(path, 'utf8'))),
			);
			const mixed = await home.write('mixed.json', JSON.stringify({ ...ours, secret: theirs.secret }));
			const { code, err } = await home.beectl(['mesh', 'enroll', '-', '--mesh', mixed], {
				stdin: request(bee, 'bee-1'),
			});
			expect(code).to.equal(1);
			expect(err).to.contain('its secrets do not belong to its mesh and epoch');
			const { epoch } = theirs.public;
			const foreign = await home.write('foreign.json', JSON.stringify({ ...ours, public: { ...ours.public, epoch } }));
			expect((await home.beectl(['mesh', 'show', '--mesh', foreign])).code).to.equal(1);
		});
	});
});
