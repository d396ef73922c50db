import {
	certifyMachine,
	createKeyPair,
	createMesh,
	createNodeKeys,
	createUlid,
	encodeArmor,
	encodeInvite,
	genesisFor,
	openMachineCredential,
	ownerIdOf,
	renewMachine,
	requestEnrolment,
	signRecord,
} from '@beemesh/sdk/identity';
import { encodeRecord, type MachineId } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { parse } from 'yaml';
import { createHome, type Home } from './folder.ts';

interface Told {
	readonly type: string;
	readonly description: string;
	readonly cid: string;
	readonly signature: { readonly state: string; readonly why: string };
	readonly body: Record<string, unknown>;
	readonly records: readonly Told[];
}

describe('beectl inspect', () => {
	const root = createKeyPair();
	const mesh = createMesh('home', root, Date.now());
	const owner = createKeyPair();
	const bee = createNodeKeys();
	const machineId = bee.peer.peerId as MachineId;
	const genesis = signRecord('genesis', genesisFor(owner.publicKey, 'Deployment', 'default', 'web'), owner);
	const certTerms = {
		mesh: mesh.cid,
		machineId,
		sigKey: bee.signer.publicKey,
		kemKey: bee.kem.publicKey,
		labels: {},
		serial: 3,
	};
	let home: Home;
	beforeEach(async () => {
		home = await createHome();
	});
	afterEach(() => home[Symbol.asyncDispose]());
	const inspect = async (content: string | Uint8Array, args: readonly string[] = []) =>
		home.beectl(['inspect', await home.write('it', content), ...args]);
	const told = async (content: string | Uint8Array, args: readonly string[] = []): Promise<Told> =>
		JSON.parse((await inspect(content, ['-o', 'json', ...args])).out) as Told;
	const pinned = async () => ['--mesh-genesis', await home.write('genesis', mesh.envelope)];

	it('says in its first line what a record is, and then what it says', async () => {
		const { code, out } = await inspect(genesis);
		expect(code).to.equal(0);
		const [first, ...rest] = out.split('\n');
		expect(first).to.equal(`Genesis of a workload of the owner …${ownerIdOf(owner.publicKey).slice(-8)}`);
		expect(rest[0]).to.equal('Type:         genesis');
		expect(out).to.match(/\nCID: +bafy\w+\nSize: +\d+ bytes\nOwner: +bafk\w+\nSalt: +[0-9a-f]{64}\n/);
		expect(out).to.match(/\nSigned with: +key [0-9a-f]{16}\nSignature: +holds \(the owner that it names\)\n$/);
	});

	it('takes raw bytes, base64 in both alphabets, armour and standard input', async () => {
		const { out } = await inspect(genesis);
		for (const encoding of ['base64', 'base64url'] as const) {
			const text = Buffer.from(genesis).toString(encoding);
			expect((await inspect(`${text.slice(0, 70)}\n${text.slice(70)}\n`)).out, encoding).to.equal(out);
			expect((await home.beectl('inspect -', { stdin: text })).out).to.equal(out);
		}
		const request = requestEnrolment(bee, { name: 'bee-1', labels: { zone: 'attic' } }, Date.now() - 5_000);
		const armoured = await inspect(encodeArmor('REQUEST', request));
		expect(armoured.out).to.match(/^Machine "bee-1" \(….{8}\) asks to be enrolled\n/);
		expect(armoured.out)
			.to.match(/\nLabels: +zone=attic\n/)
			.and.match(/\nSaid: +\S+Z \(5s ago\)\n/);
		expect(armoured.out).to.match(/\nSignature: +holds \(the keys that it asks to have certified, all three\)\n$/);
	});

	it('tells programs the same', async () => {
		const { type, body, signature, cid } = await told(genesis);
		expect(type).to.equal('genesis');
		expect(cid).to.match(/^bafy/);
		expect(body).to.have.keys('owner', 'salt');
		expect(body['salt']).to.have.nested.property('/.bytes');
		expect(signature.state).to.equal('holds');
		expect(parse((await inspect(genesis, ['-o', 'yaml'])).out)).to.deep.include({ type: 'genesis', cid });
	});

	it('ends with 1 when a signature does not hold, whichever part of it', async () => {
		const forgeries = [genesis.length - 1, genesis.length - 80].map((at) => {
			const bytes = genesis.slice();
			bytes[at] = (bytes[at] ?? 0) ^ 1;
			return bytes;
		});
		const { body } = { body: genesisFor(owner.publicKey, 'Deployment', 'default', 'web') };
		for (const bytes of [...forgeries, signRecord('genesis', body, createKeyPair())]) {
			const { code, out, err } = await inspect(bytes);
			expect(code).to.equal(1);
			expect(out).to.match(/Signature: +does NOT hold \(.+\)\n$/);
			expect(err).to.equal('error: a signature does not hold: nobody should act on this\n');
		}
		const tampered = requestEnrolment(bee, { name: 'bee-1', labels: {} }, 1);
		tampered[tampered.length - 1] = (tampered.at(-1) ?? 0) ^ 1;
		expect((await inspect(encodeArmor('REQUEST', tampered))).code).to.equal(1);
	});

	it('says what is missing when a signature cannot be checked here', async () => {
		const lease = { wid: mesh.cid as never, slot: 0, gen: 1, machineId, awardId: createUlid(1), renewNonce: 1, ts: 1 };
		const { code, out } = await inspect(signRecord('lease', lease, bee.signer));
		expect(code).to.equal(0);
		expect(out).to.match(/^Lease: machine ….{8} deploys slot 0, generation 1\n/);
		expect(out).to.contain(
			`cannot be checked here (it takes the certificate of machine ${machineId}, which is not in it)`,
		);
	});

	it('checks a machine’s credential under the mesh that is named or known', async () => {
		const credential = certifyMachine({ ...certTerms, caps: ['renew'], nbf: Date.now() }, root);
		const unknown = await inspect(credential);
		expect(unknown.code).to.equal(0);
		expect(unknown.out).to.contain(
			`Accepted:  cannot be told here (it is of the mesh ${mesh.cid}, which is not known here`,
		);
		const { code, out } = await inspect(credential, await pinned());
		expect(code).to.equal(0);
		expect(out).to.match(
			new RegExp(`^Credential of machine ${machineId}\nAccepted: +yes \\(by the mesh "home", now\\)\n`),
		);
		expect(out).to.match(/\nCertificate 3 of machine ….{8}, which may renew\n/);
		expect(out).to.match(/\nValid until: +\S+Z \(in 29d\)\n/);
		expect(out).to.contain('holds (the root key of the mesh "home")');
		await home.beectl(['mesh', 'trust', await home.write('invite', encodeInvite({ mesh, join: [] }))]);
		expect((await inspect(credential)).out).to.equal(out);
		const forged = certifyMachine({ ...certTerms, caps: [], nbf: Date.now() }, createKeyPair());
		const refused = await inspect(forged, await pinned());
		expect(refused.out).to.contain('Accepted:  no (').and.contain('does NOT hold');
		expect(refused.code).to.equal(1);
	});

	it('follows a credential through the delegation in it, and tells signature from date', async () => {
		const nowMs = Date.now();
		const enroller = signRecord(
			'enroller',
			{
				mesh: mesh.cid,
				machineId,
				sigKey: bee.signer.publicKey,
				serialMin: 1,
				serialMax: 9,
				nbf: nowMs - 2,
				exp: nowMs - 1,
			},
			root,
		);
		const machine = openMachineCredential(certifyMachine({ ...certTerms, caps: [], nbf: nowMs }, root), mesh, nowMs);
		const credential = renewMachine(
			machine,
			{ delegation: enroller, signer: bee.signer },
			{ nbf: nowMs, exp: nowMs + 1000 },
		);
		const { code, out } = await inspect(credential, await pinned());
		expect(code).to.equal(0);
		expect(out).to.contain('Accepted:  no (the delegation expired at ');
		expect(out).to.contain('holds (the enroller of the delegation below)');
		expect(out).to.match(/\nDelegation: machine ….{8} may renew certificates 1 to 9\n/);
		const { records } = await told(credential, await pinned());
		expect(records.map(({ type, signature }) => [type, signature.state])).to.deep.equal([
			['machine-cert', 'holds'],
			['machine-renewal', 'holds'],
			['enroller', 'holds'],
		]);
	});

	it('reads invitations, sealed bundles, owner keys and mesh files without their secrets', async () => {
		const join = [`/ip4/192.0.2.7/udp/4700/quic-v1/p2p/${machineId}`];
		const invite = await inspect(encodeInvite({ mesh, join }));
		expect(invite.out).to.match(/^Invitation to the mesh "home", with 1 address\nJoin: +\/ip4\//);
		expect(invite.out).to.contain('holds (its own root key)');
		const bundle = encodeArmor('BUNDLE', encodeRecord({ machineId, sealed: new Uint8Array(100) }));
		expect((await inspect(bundle)).out).to.match(new RegExp(`^Bundle of machine ${machineId}, sealed`));
		await home.beectl('owner create --no-passphrase');
		const key = await home.beectl(['inspect', home.at('.config/beemesh/owner.key')]);
		expect(key.out).to.match(/^Owner key WITHOUT a passphrase: its public part\nOwner: +bafk\w+\n/);
		const passphrase = { BEEMESH_PASSPHRASE_FILE: await home.write('p', 'correct horse\n') };
		await home.beectl('mesh init --name lab', { env: passphrase });
		const file = await home.beectl(['inspect', home.at('.config/beemesh/mesh.json')]);
		expect(file.out).to.match(/^Root of the mesh "lab" under a passphrase: its public part\nMesh ID: +bafy\w+\n/);
		expect(file.out).to.contain('\nEpoch 1 of a mesh, with 0 machines revoked\n');
		for (const { out } of [key, file]) expect(out).not.to.match(/secret|sealed/);
	});

	it('finds a record by its CID among those kept here, or says what to give instead', async () => {
		const { out: id } = await home.beectl('mesh init --name lab --no-passphrase');
		await home.beectl('owner create --no-passphrase');
		expect((await home.beectl(`inspect ${id.trim()}`)).out).to.match(/^Genesis of the mesh "lab"\n/);
		const { records } = JSON.parse(
			(await home.beectl(['inspect', home.at('.config/beemesh/owner.key'), '-o', 'json'])).out,
		) as Told;
		expect((await home.beectl(`inspect ${records[0]?.cid}`)).out).to.match(/^Public keys of the owner /);
		const unknown = await home.beectl(`inspect ${mesh.cid}`);
		expect(unknown.code).to.equal(3);
		expect(unknown.err)
			.to.contain('hosts do not look records up by CID')
			.and.contain('as a file, or - for standard input');
	});

	it('refuses what is nothing of Beemesh', async () => {
		for (const [content, message] of [
			['', /is nothing that beectl can read/],
			['hello world, this is text', /is nothing that beectl can read/],
			['{}', /is a JSON file, but neither an owner key nor a mesh file/],
			[new Uint8Array([0xa1, 0x61, 0x61, 0x01]), /is DAG-CBOR, but no record that this beectl knows/],
			[new Uint8Array([...genesis, 0]), /is nothing that beectl can read/],
			[genesis.subarray(0, 100), /is nothing that beectl can read/],
			['-----BEGIN BEEMESH INVITE-----\nAAAA\n', /does not end with the line -----END BEEMESH INVITE-----/],
		] as const) {
			const { code, err, out } = await inspect(content);
			expect(err, String(content)).to.match(message);
			expect(code).to.equal(2);
			expect(out).to.equal('');
		}
		expect((await home.beectl('inspect /nowhere/x')).err).to.equal('error: /nowhere/x: no such file\n');
	});
});
