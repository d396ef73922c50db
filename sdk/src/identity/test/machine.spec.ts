import { expect } from 'chai';
import { describe, it } from 'mocha';
import { encodeRecord, type MachineId } from '../../wire/index.ts';
import { createKeyPair } from '../keys.ts';
import {
	certifyMachine,
	createMesh,
	createNodeKeys,
	NODE_SEED_BYTES,
	type NodeKeys,
	openEnrolmentRequest,
	openMachineCredential,
	openMesh,
	peekMachineCert,
	renewMachine,
	requestEnrolment,
	requireNamed,
} from '../machine.ts';
import { openRecord, signRecord } from '../records.ts';
import { certOf, createTestMesh, DAY_MS, flipped, NOW_MS, refused } from './fixtures.ts';

const ABOUT = { name: 'bee-1', labels: { zone: 'attic' } };

describe('the keys of a machine', () => {
	it('come back from one seed', () => {
		const { seed, peer, signer, kem } = createNodeKeys();
		const again = createNodeKeys(seed);
		expect(again.peer.peerId).to.equal(peer.peerId);
		expect(again.signer.publicKey).to.deep.equal(signer.publicKey);
		expect(again.kem.publicKey).to.deep.equal(kem.publicKey);
		for (const bytes of [0, NODE_SEED_BYTES - 1, NODE_SEED_BYTES + 1])
			refused('invalid_input', () => createNodeKeys(new Uint8Array(bytes)));
	});
});

describe('a mesh', () => {
	it('is its root key’s own, and is named by its CID', () => {
		const root = createKeyPair();
		const [a, b] = [createMesh('home', root, NOW_MS), createMesh('home', root, NOW_MS)];
		expect(openMesh(a.envelope).cid).to.equal(a.cid);
		expect(a.cid).not.to.equal(b.cid);
	});

	it('is nobody’s when another key signed for the root', () => {
		const { mesh } = createTestMesh();
		refused('unauthorized', () => openMesh(signRecord('mesh-genesis', mesh.body, createKeyPair())));
		for (const bytes of flipped(mesh.envelope)) expect(() => openMesh(bytes)).to.throw();
	});
});

describe('a request for enrolment', () => {
	it('binds three keys to one holder', () => {
		const keys = createNodeKeys();
		const { body } = openEnrolmentRequest(requestEnrolment(keys, ABOUT, NOW_MS));
		expect(body).to.deep.include({ machineId: keys.peer.peerId, name: 'bee-1', labels: { zone: 'attic' }, ts: NOW_MS });
		expect(body.sigKey).to.deep.equal(keys.signer.publicKey);
		expect(body.kemKey).to.deep.equal(keys.kem.publicKey);
	});

	it('is refused with a key of somebody else in any of the three places', () => {
		const [mine, theirs] = [createNodeKeys(), createNodeKeys()];
		const mix = (change: Partial<NodeKeys>, signer = mine) => {
			const keys = { ...mine, ...change };
			const certified = { sigKey: keys.signer.publicKey, kemKey: keys.kem.publicKey };
			// The peer proof is the one that was seen of its holder.
			const { peerProof } = openEnrolmentRequest(
				requestEnrolment(keys.peer === theirs.peer ? theirs : mine, ABOUT, NOW_MS),
			).body;
			const machineId = keys.peer.peerId as MachineId;
			return signRecord('machine-csr', { machineId, ...certified, peerProof, ...ABOUT, ts: NOW_MS }, signer.signer);
		};
		openEnrolmentRequest(mix({}));
		refused('unauthorized', () => openEnrolmentRequest(mix({ peer: theirs.peer })));
		refused('unauthorized', () => openEnrolmentRequest(mix({ kem: theirs.kem })));
		refused('unauthorized', () => openEnrolmentRequest(mix({ signer: theirs.signer })));
		refused('unauthorized', () => openEnrolmentRequest(mix({ signer: theirs.signer }, theirs)));
		refused('unauthorized', () => openEnrolmentRequest(mix({}, theirs)));
	});

	it('is refused when any byte of it was changed', () => {
		for (const bytes of flipped(requestEnrolment(createNodeKeys(), ABOUT, NOW_MS)))
			expect(() => openEnrolmentRequest(bytes)).to.throw();
	});
});

describe('a machine’s credential', () => {
	const { mesh, root, credentialOf, delegationTo } = createTestMesh();
	const [bee, enroller] = [createNodeKeys(), createNodeKeys()];

	it('is checked with the genesis alone', () => {
		const credential = credentialOf(bee);
		const opened = openMachineCredential(credential, mesh, NOW_MS);
		expect(opened.machineId).to.equal(bee.peer.peerId);
		expect(opened.cert).to.deep.equal(certOf(mesh, bee));
		expect(opened.credential).to.equal(credential);
		expect(peekMachineCert(credential)).to.deep.equal(opened.cert);
	});

	it('holds from 30 s before its beginning to its very end', () => {
		const credential = credentialOf(bee);
		openMachineCredential(credential, mesh, NOW_MS - 30_000);
		openMachineCredential(credential, mesh, NOW_MS + 30 * DAY_MS);
		refused('unauthorized', () => openMachineCredential(credential, mesh, NOW_MS - 30_001));
		refused('unauthorized', () => openMachineCredential(credential, mesh, NOW_MS + 30 * DAY_MS + 1));
	});

	it('lives for 30 days at most, whoever signed it', () => {
		const credential = credentialOf(bee, { exp: NOW_MS + 30 * DAY_MS + 1 });
		refused('unauthorized', () => openMachineCredential(credential, mesh, NOW_MS));
	});

	it('is of one mesh, though the same root key signed for another', () => {
		const other = createMesh('other', root, NOW_MS);
		refused('unauthorized', () => openMachineCredential(credentialOf(bee), other, NOW_MS));
		refused('unauthorized', () => openMachineCredential(credentialOf(bee), createTestMesh().mesh, NOW_MS));
	});

	it('is nothing without the root’s signature: not a machine’s own, nor another machine’s', () => {
		for (const signer of [bee.signer, enroller.signer, createKeyPair()])
			refused('unauthorized', () => openMachineCredential(certifyMachine(certOf(mesh, bee), signer), mesh, NOW_MS));
		for (const bytes of flipped(credentialOf(bee))) expect(() => openMachineCredential(bytes, mesh, NOW_MS)).to.throw();
	});

	it('is refused in any other form', () => {
		const cert = certifyMachine(certOf(mesh, bee), root);
		for (const bytes of [new Uint8Array(0), new Uint8Array([0xa0]), new Uint8Array([...cert, 0]), cert.subarray(1)])
			refused('invalid_input', () => openMachineCredential(bytes, mesh, NOW_MS));
		refused('invalid_input', () => openMachineCredential(encodeRecord({ cert: mesh.envelope }), mesh, NOW_MS));
		refused('invalid_input', () => openMachineCredential(encodeRecord({ cert, x: 1 }), mesh, NOW_MS));
		refused('invalid_input', () => openMachineCredential(new Uint8Array(25 * 1024), mesh, NOW_MS));
	});

	it('names the keys of its machine, all three', () => {
		requireNamed(certOf(mesh, bee), bee);
		const other = createNodeKeys();
		for (const change of [{ peer: other.peer }, { signer: other.signer }, { kem: other.kem }])
			refused('unauthorized', () => requireNamed(certOf(mesh, bee), { ...bee, ...change }));
	});

	describe('renewed by an enroller', () => {
		const at = NOW_MS + 20 * DAY_MS;
		const term = { nbf: at, exp: at + 30 * DAY_MS };
		const first = (change = {}) => openMachineCredential(credentialOf(bee, change), mesh, NOW_MS);
		const renewed = (change = {}, delegation = delegationTo(enroller), signer = enroller.signer, machine = first()) =>
			renewMachine(machine, { delegation, signer }, { ...term, ...change });

		it('holds on after the root’s certificate has ended, and is the same machine', () => {
			const opened = openMachineCredential(renewed(), mesh, NOW_MS + 45 * DAY_MS);
			expect(opened).to.include({ machineId: bee.peer.peerId, cid: first().cid, ...term });
			refused('unauthorized', () => openMachineCredential(credentialOf(bee), mesh, NOW_MS + 45 * DAY_MS));
			refused('unauthorized', () => openMachineCredential(renewed(), mesh, term.exp + 1));
			refused('unauthorized', () => openMachineCredential(renewed(), mesh, at - 30_001));
		});

		it('can be renewed again', () => {
			const again = { nbf: at + 15 * DAY_MS, exp: at + 45 * DAY_MS };
			const once = openMachineCredential(renewed(), mesh, again.nbf);
			const twice = renewMachine(once, { delegation: delegationTo(enroller), signer: enroller.signer }, again);
			expect(openMachineCredential(twice, mesh, again.nbf).exp).to.equal(again.exp);
		});

		it('is within the delegation: serials, time, mesh, and the key that it names', () => {
			const of = (serial: number) => renewed({}, delegationTo(enroller), enroller.signer, first({ serial }));
			for (const serial of [0, 10]) refused('unauthorized', () => openMachineCredential(of(serial), mesh, at));
			for (const serial of [1, 9]) openMachineCredential(of(serial), mesh, at);
			const expired = delegationTo(enroller, { exp: at - 1 });
			refused('unauthorized', () => openMachineCredential(renewed({}, expired), mesh, at));
			const ending = delegationTo(enroller, { exp: term.exp - 1 });
			refused('unauthorized', () => openMachineCredential(renewed({}, ending), mesh, at));
			const early = delegationTo(enroller, { nbf: at + 30_001 });
			refused('unauthorized', () => openMachineCredential(renewed({}, early), mesh, at));
			const elsewhere = delegationTo(enroller, { mesh: createTestMesh().mesh.cid });
			refused('unauthorized', () => openMachineCredential(renewed({}, elsewhere), mesh, at));
			refused('unauthorized', () => openMachineCredential(renewed({}, delegationTo(enroller), bee.signer), mesh, at));
		});

		it('lives no longer than any other', () => {
			refused('unauthorized', () => openMachineCredential(renewed({ exp: term.exp + 1 }), mesh, at));
		});

		it('adds nobody: an enroller cannot certify a machine, nor lend one machine’s renewal to another', () => {
			const forged = certifyMachine(certOf(mesh, createNodeKeys()), enroller.signer);
			refused('unauthorized', () => openMachineCredential(forged, mesh, NOW_MS));
			const own = openMachineCredential(credentialOf(bee), mesh, NOW_MS);
			const lent = renewMachine(
				{ ...own, credential: credentialOf(createNodeKeys()) },
				{
					delegation: delegationTo(enroller),
					signer: enroller.signer,
				},
				term,
			);
			refused('unauthorized', () => openMachineCredential(lent, mesh, at));
			const others = { ...own, credential: forged };
			const laundered = renewMachine(others, { delegation: delegationTo(enroller), signer: enroller.signer }, term);
			refused('unauthorized', () => openMachineCredential(laundered, mesh, at));
		});

		it('cannot be passed on: a delegation of an enroller is none', () => {
			const { body } = openRecord('enroller', delegationTo(bee), [root.publicKey]);
			const passedOn = signRecord('enroller', body, enroller.signer);
			refused('unauthorized', () => openMachineCredential(renewed({}, passedOn, bee.signer), mesh, at));
		});

		it('is refused with any byte flipped', () => {
			for (const bytes of flipped(renewed())) expect(() => openMachineCredential(bytes, mesh, at)).to.throw();
		});
	});
});
