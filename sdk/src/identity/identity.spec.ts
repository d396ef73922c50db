import { expect } from 'chai';
import { describe, it } from 'mocha';
import { isMeshError } from '../errors.ts';
import type { Csr, MachineId, ReplicaId } from '../wire/index.ts';
import {
	certify,
	createKeyPair,
	createUlid,
	openAdmission,
	openBundle,
	openCharter,
	openCredential,
	openMachineRecord,
	openRecord,
	openTender,
	ownerIdOf,
	peerIdOf,
	requireFresh,
	signRecord,
	signTender,
	verifySignature,
	workloadIdOf,
} from './index.ts';
import { createWorkload, HOUR_MS, MANIFEST, NOW_MS } from './test/fixtures.ts';

function refused(code: string, act: () => unknown): void {
	try {
		act();
	} catch (error) {
		expect(isMeshError(error), String(error)).to.equal(true);
		expect((error as { code: string }).code).to.equal(code);
		return;
	}
	expect.fail('it was accepted');
}

describe('keys', () => {
	it('make the same key pair from the same seed, and libp2p peer IDs', () => {
		const seed = new Uint8Array(32).fill(7);
		expect(createKeyPair(seed).publicKey).to.deep.equal(createKeyPair(seed).publicKey);
		expect(peerIdOf(createKeyPair(seed).publicKey)).to.match(/^12D3KooW/);
	});

	it('verify their own signatures only', () => {
		const [a, b] = [createKeyPair(), createKeyPair()];
		const message = new Uint8Array([1, 2, 3]);
		expect(verifySignature(a.publicKey, message, a.sign(message))).to.equal(true);
		expect(verifySignature(b.publicKey, message, a.sign(message))).to.equal(false);
		expect(verifySignature(a.publicKey, new Uint8Array([1, 2]), a.sign(message))).to.equal(false);
		expect(verifySignature(new Uint8Array(33), message, a.sign(message))).to.equal(false);
	});

	it('order ULIDs by time', () => {
		expect(createUlid(1) < createUlid(2)).to.equal(true);
		expect(createUlid(NOW_MS)).to.have.length(26);
	});
});

describe('signed records', () => {
	const { owner, bundle } = createWorkload();

	it('open as what they are, with the CID of their body', () => {
		const { body, signer, cid } = openRecord('genesis', bundle.genesis);
		expect(signer).to.deep.equal(owner.publicKey);
		expect(workloadIdOf(body) as string).to.equal(cid as string);
	});

	it('never open as another type', () => {
		refused('invalid_input', () => openRecord('charter', bundle.genesis));
		refused('invalid_input', () => openRecord('tender-grant', bundle.charter));
	});

	it('are refused when any byte is flipped or cut off', () => {
		for (let i = 0; i < bundle.charter.byteLength; i++) {
			const bytes = bundle.charter.slice();
			bytes[i] = (bytes[i] ?? 0) ^ 0x01;
			expect(() => openRecord('charter', bytes), `byte ${i}`).to.throw();
			expect(() => openRecord('charter', bundle.charter.subarray(0, i)), `cut at ${i}`).to.throw();
		}
	});

	it('are refused with trailing bytes', () => {
		refused('invalid_input', () => openRecord('charter', new Uint8Array([...bundle.charter, 0])));
	});

	it('count as fresh within 30.000 s and not at 30.001 s', () => {
		requireFresh('it', { ts: NOW_MS }, NOW_MS + 30_000);
		requireFresh('it', { ts: NOW_MS }, NOW_MS - 30_000);
		refused('unauthorized', () => requireFresh('it', { ts: NOW_MS }, NOW_MS + 30_001));
		refused('unauthorized', () => requireFresh('it', { ts: NOW_MS }, NOW_MS - 30_001));
	});
});

describe('a workload’s chain of trust', () => {
	it('holds from genesis to manifest', () => {
		const { bundle, wid } = createWorkload();
		const opened = openBundle(bundle, NOW_MS);
		expect(opened.wid).to.equal(wid);
		expect(opened.manifest).to.deep.equal(MANIFEST);
	});

	it('is the same workload for the same owner and name, another for another owner', () => {
		const owner = createKeyPair();
		expect(createWorkload(owner).wid).to.equal(createWorkload(owner).wid);
		expect(createWorkload().wid).not.to.equal(createWorkload(owner).wid);
	});

	it('breaks with parts of another owner, another manifest, or another tender key', () => {
		const [mine, other] = [createWorkload(), createWorkload()];
		refused('unauthorized', () => openBundle({ ...mine.bundle, charter: other.bundle.charter }, NOW_MS));
		refused('unauthorized', () => openBundle({ ...mine.bundle, grant: other.bundle.grant }, NOW_MS));
		refused('unauthorized', () => openBundle({ ...mine.bundle, tenderSecret: other.bundle.tenderSecret }, NOW_MS));
		refused('unauthorized', () => openBundle({ ...mine.bundle, manifest: new Uint8Array([0xa0]) }, NOW_MS));
	});

	it('ends when the charter ends, and does not rename', () => {
		const { bundle, wid, owner } = createWorkload();
		refused('unauthorized', () => openCharter(bundle.charter, wid, owner.publicKey, NOW_MS + HOUR_MS + 1));
		const renamed = createWorkload(owner, { name: 'elsewhere' });
		refused('unauthorized', () => openCharter(renamed.bundle.charter, wid, owner.publicKey, NOW_MS));
	});

	it('lets only the granted key tender', () => {
		const { bundle, wid, tenderKey } = createWorkload();
		const machine = peerIdOf(createKeyPair().publicKey) as MachineId;
		const tender = {
			tenderId: createUlid(NOW_MS),
			wid,
			grant: bundle.grant,
			slots: [{ slot: 0, gen: 1 }],
			manifestCid: openBundle(bundle, NOW_MS).charter.body.manifestCid,
			requirements: {
				resources: { cpuMillis: 0, memoryBytes: 0, diskBytes: 0 },
				nodeSelector: {},
				hostPorts: [],
				images: [],
			},
			priority: 0,
			avoid: { hard: [], soft: [] },
			requester: machine,
			requesterAddresses: [],
			ts: NOW_MS,
			exp: NOW_MS + 10_000,
		};
		const nonce = new Uint8Array(16);
		expect(openTender(signTender(tender, nonce, tenderKey), NOW_MS).tender.body.wid).to.equal(wid);
		refused('unauthorized', () => openTender(signTender(tender, nonce, createKeyPair()), NOW_MS));
		refused('unauthorized', () => openTender(signTender(tender, nonce, tenderKey), NOW_MS + 30_001));
	});
});

describe('admission', () => {
	const { bundle, wid, tenderKey, charter, owner } = createWorkload();
	const [replica, machine] = [createKeyPair(), createKeyPair()];
	const machineId = peerIdOf(machine.publicKey) as MachineId;
	const awardId = createUlid(NOW_MS);
	const csr: Csr = {
		wid,
		slot: 1,
		gen: 2,
		incarnation: 0,
		awardId,
		replicaId: peerIdOf(replica.publicKey) as ReplicaId,
		addresses: [],
		ts: NOW_MS,
	};
	const envelope = signRecord('csr', csr, replica);
	const statementOf = (signer = machine, csrEnvelope = envelope) =>
		signRecord(
			'host-statement',
			{
				awardId,
				csrCid: openRecord('csr', csrEnvelope).cid,
				manifestCid: charter.manifestCid,
				machineId,
				ts: NOW_MS,
			},
			signer,
		);

	it('takes a request that its replica and its machine signed', () => {
		expect(openAdmission(envelope, statementOf()).machineId).to.equal(machineId);
	});

	it('refuses a statement by another machine or about another request', () => {
		refused('unauthorized', () => openAdmission(envelope, statementOf(createKeyPair())));
		const other = signRecord('csr', { ...csr, slot: 0 }, replica);
		refused('unauthorized', () => openAdmission(envelope, statementOf(machine, other)));
		refused('unauthorized', () => openAdmission(signRecord('csr', csr, createKeyPair()), statementOf()));
	});

	it('certifies a replica that others of its owner accept until the certificate ends', () => {
		const cert = certify(charter, csr, machineId, tenderKey, NOW_MS);
		const opened = openCredential({ cert, grant: bundle.grant }, NOW_MS + 1);
		expect(opened.cert.replicaId).to.equal(csr.replicaId);
		expect(opened.owner).to.deep.equal(owner.publicKey);
		expect(ownerIdOf(opened.owner)).to.equal(charter.owner);
		refused('unauthorized', () => openCredential({ cert, grant: bundle.grant }, NOW_MS + 25 * HOUR_MS));
	});

	it('does not count with a certificate signed by anyone else, or under another workload’s grant', () => {
		const forged = certify(charter, csr, machineId, createKeyPair(), NOW_MS);
		refused('unauthorized', () => openCredential({ cert: forged, grant: bundle.grant }, NOW_MS));
		const cert = certify(charter, csr, machineId, tenderKey, NOW_MS);
		refused('unauthorized', () => openCredential({ cert, grant: createWorkload().bundle.grant }, NOW_MS));
	});

	it('needs machines to speak for themselves', () => {
		refused('unauthorized', () => openMachineRecord('host-statement', statementOf(createKeyPair())));
	});
});
