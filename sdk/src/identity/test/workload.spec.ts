import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as v from 'valibot';
import { type Csr, encodeRecord, type MachineId, peerIdSchema } from '../../wire/index.ts';
import { cidOf, createKeyPair } from '../keys.ts';
import { createNodeKeys, openMachineCredential } from '../machine.ts';
import { signRecord } from '../records.ts';
import { createUlid } from '../ulid.ts';
import {
	openAdmission,
	openBundle,
	openCharter,
	openCsr,
	openTender,
	requestAdmission,
	signTender,
} from '../workload.ts';
import { createTestMesh, createWorkload, HOUR_MS, MANIFEST, NOW_MS, refused } from './fixtures.ts';

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
		refused('unauthorized', () => openBundle({ ...mine.bundle, manifest: new Uint8Array([0xa0]) }, NOW_MS));
	});

	it('holds no manifest that has another form or name than its charter says, though its owner has signed it', () => {
		const { bundle, charter, owner } = createWorkload();
		const chartered = (manifest: unknown) => {
			const bytes = encodeRecord(manifest);
			const signed = signRecord('charter', { ...charter, manifestCid: cidOf(bytes) }, owner);
			return { ...bundle, manifest: bytes, charter: signed };
		};
		expect(openBundle(chartered(MANIFEST), NOW_MS).manifest).to.deep.equal(MANIFEST);
		const { metadata, spec } = MANIFEST;
		const odd: readonly unknown[] = [
			null,
			[],
			'manifest',
			{ ...MANIFEST, metadata: undefined },
			{ ...MANIFEST, kind: 'StatefulSet' },
			{ ...MANIFEST, metadata: { ...metadata, name: '../web' } },
			{ ...MANIFEST, metadata: { ...metadata, namespace: 'other' } },
			{ ...MANIFEST, spec: { ...spec, template: { spec: {} } } },
			{ ...MANIFEST, spec: { ...spec, template: { spec: { containers: [null] } } } },
			{ ...MANIFEST, spec: { ...spec, volumeClaimTemplates: [{ metadata: { name: 'data' } }] } },
		];
		for (const manifest of odd)
			refused('invalid_input', () => openBundle(chartered(JSON.parse(JSON.stringify(manifest))), NOW_MS));
	});

	it('ends when the charter ends, and does not rename', () => {
		const { bundle, wid, owner } = createWorkload();
		refused('unauthorized', () => openCharter(bundle.charter, wid, owner.publicKey, NOW_MS + HOUR_MS + 1));
		const renamed = createWorkload(owner, { name: 'elsewhere' });
		refused('unauthorized', () => openCharter(renamed.bundle.charter, wid, owner.publicKey, NOW_MS));
	});

	it('lets only the granted key tender', () => {
		const { bundle, wid, tenderKey } = createWorkload();
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
			requester: createNodeKeys().peer.peerId as MachineId,
			requesterAddresses: [],
			ts: NOW_MS,
			exp: NOW_MS + 10_000,
		};
		const nonce = new Uint8Array(16);
		expect(openTender(signTender(tender, nonce, tenderKey), NOW_MS).tender.body.wid).to.equal(wid);
		refused('unauthorized', () => openTender(signTender(tender, nonce, createKeyPair()), NOW_MS));
		refused('unauthorized', () => openTender(signTender(tender, nonce, tenderKey), NOW_MS + 30_001));
		const grant = createWorkload().bundle.grant;
		refused('unauthorized', () => openTender(signTender({ ...tender, grant }, nonce, tenderKey), NOW_MS));
	});
});

describe('admission', () => {
	const { wid, charter } = createWorkload();
	const { mesh, credentialOf } = createTestMesh();
	const [replica, bee, wasp] = [createNodeKeys(), createNodeKeys(), createNodeKeys()];
	const machine = openMachineCredential(credentialOf(bee), mesh, NOW_MS);
	const awardId = createUlid(NOW_MS);
	const at = { wid, slot: 1, gen: 2, incarnation: 0, awardId, addresses: [], ts: NOW_MS };
	const { csr, envelope } = requestAdmission(replica, at);
	const statementOf = (signer = bee, csrEnvelope = envelope, machineId = machine.machineId) =>
		signRecord(
			'host-statement',
			{ awardId, csrCid: openCsr(csrEnvelope).cid, manifestCid: charter.manifestCid, machineId, ts: NOW_MS },
			signer.signer,
		);

	it('takes a request that its replica and its machine signed', () => {
		const opened = openAdmission(envelope, statementOf(), machine);
		expect(opened.csr.body).to.deep.equal(csr);
		expect(opened.statement.body.machineId).to.equal(machine.machineId);
		expect(v.is(peerIdSchema, csr.replicaId)).to.equal(true);
	});

	it('refuses a statement by another machine, about another machine, or about another request', () => {
		refused('unauthorized', () => openAdmission(envelope, statementOf(wasp), machine));
		refused('unauthorized', () =>
			openAdmission(envelope, statementOf(bee, envelope, wasp.peer.peerId as MachineId), machine),
		);
		const other = requestAdmission(replica, { ...at, slot: 0 }).envelope;
		refused('unauthorized', () => openAdmission(envelope, statementOf(bee, other), machine));
	});

	it('refuses a request for keys that are not its sender’s, all three of them', () => {
		const mallory = createNodeKeys();
		const forged: readonly Csr[] = [
			{ ...csr, sigKey: mallory.signer.publicKey },
			{ ...csr, sigKey: mallory.signer.publicKey, kemKey: mallory.kem.publicKey },
			{ ...requestAdmission(mallory, at).csr, replicaId: csr.replicaId },
			{ ...requestAdmission(mallory, at).csr, kemKey: csr.kemKey },
		];
		for (const body of forged) refused('unauthorized', () => openCsr(signRecord('csr', body, mallory.signer)));
		refused('unauthorized', () => openCsr(signRecord('csr', csr, mallory.signer)));
	});
});
