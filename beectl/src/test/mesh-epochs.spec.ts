import { readFile, writeFile } from 'node:fs/promises';
import {
	createKeyPair,
	createNodeKeys,
	decodeArmor,
	encodeArmor,
	keyringIdOf,
	MachineTrust,
	type NodeKeys,
	openMesh,
	openMeshBundle,
	requestEnrolment,
} from '@beemesh/sdk/identity';
import type { Keyring, MachineId } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { openMeshFile } from '../mesh/mesh-file.ts';
import { passphrasesFrom } from '../secrets/passphrase.ts';
import { createHome, type Home } from './folder.ts';
import { type ScriptedHost, startScriptedHost } from './scripted-host.ts';

describe('epochs of a mesh', () => {
	let home: Home;
	let host: ScriptedHost | undefined;
	let bee: NodeKeys;
	const file = () => home.at('.config/beemesh/mesh.json');
	const opened = () => openMeshFile(file(), passphrasesFrom(undefined, undefined));
	/** A host of the mesh, at the socket where beectl looks. */
	const start = async () => {
		const { root, mesh } = await opened();
		host = await startScriptedHost(home.at('no.sock'), 'bee-0', root, mesh);
		return host;
	};
	const enroll = async (args: string, keys: NodeKeys, name: string) => {
		const stdin = encodeArmor('REQUEST', requestEnrolment(keys, { name, labels: {} }, Date.now()));
		const result = await home.beectl(`mesh enroll - ${args}`.trim(), { stdin });
		const bundle = () => openMeshBundle(decodeArmor('BUNDLE', result.out), keys.peer.peerId as MachineId, keys.kem);
		return { ...result, bundle };
	};

	beforeEach(async () => {
		home = await createHome();
		bee = createNodeKeys();
		await home.beectl('mesh init --name home --no-passphrase');
		expect((await enroll('', bee, 'bee-1')).code).to.equal(0);
	});
	afterEach(async () => {
		await host?.[Symbol.asyncDispose]();
		host = undefined;
		await home[Symbol.asyncDispose]();
	});

	it('put a machine out, with new secrets for the others, through the entry host', async () => {
		const host = await start();
		const before = await opened();
		const { code, out, err } = await home.beectl('mesh revoke bee-1');
		expect(code, err).to.equal(0);
		expect(out).to.equal(`bee-1 (${bee.peer.peerId}) revoked\n`);
		expect(err).to.equal('epoch 2 given to 1 host\n');
		const [epoch] = host.epochs;
		expect(epoch?.body).to.deep.include({ seq: 2, prev: before.epoch.cid, revoked: [bee.peer.peerId] });
		const [keyring] = host.keyrings as Keyring[];
		expect(keyringIdOf(keyring as Keyring)).to.deep.equal(epoch?.body.keyringId);
		expect(keyring?.psk).not.to.deep.equal(before.keyrings[0].psk);
		const after = await opened();
		expect(after.keyrings).to.deep.equal([keyring, before.keyrings[0]]);
		expect(after.deliveredSeq).to.equal(2);
		const trust = new MachineTrust(before.mesh, before.epoch.envelope);
		expect(trust.offerEpoch(epoch?.envelope ?? new Uint8Array())).to.equal(true);
		expect(trust.isRevoked(bee.peer.peerId as MachineId)).to.equal(true);
		expect((await home.beectl('mesh show')).out).to.match(/\nbee-1 +revoked +1 /);
	});

	it('keep those who were put out before', async () => {
		const host = await start();
		const other = createNodeKeys();
		await enroll('', other, 'bee-2');
		await home.beectl('mesh revoke bee-1');
		await home.beectl(`mesh revoke ${other.peer.peerId}`);
		expect(host.epochs.at(-1)?.body.revoked).to.have.members([bee.peer.peerId, other.peer.peerId]);
		expect((await home.beectl('mesh revoke bee-2')).out).to.contain('was revoked before');
		expect(host.epochs).to.have.length(2);
		const unknown = await home.beectl('mesh revoke bee-9');
		expect(unknown.code).to.equal(3);
		expect(unknown.err).to.contain('no machine "bee-9" was enrolled with this mesh file');
	});

	it('ask for an ID where two machines have one name', async () => {
		const other = createNodeKeys();
		await enroll('', other, 'bee-1');
		const { code, err } = await home.beectl('mesh revoke bee-1');
		expect(code).to.equal(1);
		expect(err).to.contain(`name the one by its ID:\n  ${bee.peer.peerId}\n  ${other.peer.peerId}\n`);
		expect((await opened()).epoch.body.seq).to.equal(1);
	});

	it('change the secrets alone', async () => {
		const host = await start();
		const { code, out } = await home.beectl('mesh rotate-psk');
		expect(code).to.equal(0);
		expect(out).to.equal('the secrets of the mesh "home" are new from epoch 2 on\n');
		expect(host.epochs[0]?.body.revoked).to.deep.equal([]);
		// Somebody who joins now still meets machines that have not heard of it.
		const { bundle } = await enroll('', createNodeKeys(), 'bee-2');
		expect(bundle().keyrings)
			.to.deep.equal((await opened()).keyrings)
			.and.to.have.length(2);
	});

	it('stay in the file when no host can be reached, until they are published', async () => {
		const { code, err, out } = await home.beectl('mesh revoke bee-1');
		expect(code).to.equal(4);
		expect(out).to.contain('revoked');
		expect(err).to.match(/^error: epoch 2 is saved in .*mesh\.json, but not delivered: no host answers at /);
		expect(err).to.contain('repeat it with `beectl mesh publish`');
		expect((await home.beectl('mesh show')).out).to.match(/Epoch: +2, not delivered yet/);
		const host = await start();
		const { code: published, err: told } = await home.beectl('mesh publish');
		expect(published, told).to.equal(0);
		expect(host.epochs.map(({ body }) => body.seq)).to.deep.equal([2]);
		expect((await home.beectl('mesh show')).out).to.match(/Epoch: +2\n/);
	});

	it('are not handed to a host of another mesh, nor to one that is put out', async () => {
		host = await startScriptedHost(home.at('no.sock'));
		const other = await home.beectl('mesh rotate-psk');
		expect(other.code).to.equal(1);
		expect(other.err).to.contain('is of the mesh "test"').and.contain('not of "home"');
		expect(host.keyrings).to.deep.equal([]);
		await host[Symbol.asyncDispose]();
		host = undefined;
		const revoked = await start();
		// The ledger knows the host under the name that it was given here.
		const json = JSON.parse(await readFile(file(), 'utf8'));
		json.public.machines[0].machineId = revoked.machineId;
		await writeFile(file(), JSON.stringify(json));
		const itself = await home.beectl('mesh revoke bee-1');
		expect(itself.code).to.equal(1);
		expect(itself.err).to.contain('is revoked itself and is not handed the new secrets');
		expect(revoked.keyrings).to.deep.equal([]);
	});

	it('are not believed from a host that only shows our genesis', async () => {
		const { mesh } = await opened();
		host = await startScriptedHost(home.at('no.sock'), 'bee-0', createKeyPair(), mesh);
		const { code, err } = await home.beectl('mesh rotate-psk');
		expect(code).to.equal(1);
		expect(err).to.contain('is signed with a key that may not sign it');
		expect(host.keyrings).to.deep.equal([]);
	});

	it('let a machine that was put out in again only when that is said', async () => {
		const host = await start();
		await home.beectl('mesh revoke bee-1');
		const refused = await enroll('', bee, 'bee-1');
		expect(refused.code).to.equal(1);
		expect(refused.err).to.contain('was revoked at').and.contain('--again');
		const again = await enroll('--again', bee, 'bee-1');
		expect(again.code, again.err).to.equal(0);
		expect(again.err).to.contain('note: epoch 3 is not delivered yet; run `beectl mesh publish`');
		const { credential, epoch, genesis } = again.bundle();
		expect(new MachineTrust(openMesh(genesis), epoch).learn(credential, Date.now()).cert.serial).to.equal(1);
		await home.beectl('mesh publish');
		expect(host.epochs.map(({ body }) => body.revoked.length)).to.deep.equal([1, 0]);
	});
});
