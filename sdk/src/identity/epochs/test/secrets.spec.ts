import { expect } from 'chai';
import { describe, it } from 'mocha';
import { type AdmissionAnswer, KEY_BYTES, LIMITS, type MachineId } from '../../../wire/index.ts';
import { createKemKey, sealTo } from '../../keys.ts';
import { createNodeKeys } from '../../machine.ts';
import { signRecord } from '../../records.ts';
import { flipped, NOW_MS, refused } from '../../test/fixtures.ts';
import { createUlid } from '../../ulid.ts';
import { openCsr, requestAdmission } from '../../workload.ts';
import { openSealedAdmission, sealAdmission } from '../admission.ts';
import { certifyOwn, openReplicaCert, renewOwn, requireAsRequested } from '../certificate.ts';
import { createGroupKey, groupKeyCommit, requireGroupKey } from '../group-key.ts';
import { bodyOf, createEpochWorkload } from './workload.ts';

describe('the answer to a newcomer', () => {
	const w = createEpochWorkload();
	const kem = createKemKey();
	const chain = w.found([w.replica(0)]);
	const answer: AdmissionAnswer = {
		links: chain.linksSince(-1).map(({ epoch, certs }) => ({ epoch, certs: [...certs] })),
		psk: new Uint8Array(32).fill(1),
		groupKey: new Uint8Array(32).fill(2),
		tenderSecret: new Uint8Array(KEY_BYTES.seed).fill(3),
	};

	it('is opened by whom it was sealed to, and nobody else', () => {
		const sealed = sealAdmission(answer, kem.publicKey);
		expect(openSealedAdmission(sealed, kem)).to.deep.equal(answer);
		refused('unauthorized', () => openSealedAdmission(sealed, createKemKey()));
		for (const bytes of flipped(sealed)) refused('unauthorized', () => openSealedAdmission(bytes, kem));
		refused('unauthorized', () => openSealedAdmission(sealed.subarray(0, -1), kem));
	});

	it('is nothing that was sealed for another purpose, or is of another shape', () => {
		refused('unauthorized', () => openSealedAdmission(sealTo(kem.publicKey, 'mesh-bundle', new Uint8Array(9)), kem));
		const empty = sealTo(kem.publicKey, 'workload-admission', new Uint8Array([0xa0]));
		refused('invalid_input', () => openSealedAdmission(empty, kem));
	});

	it('has 4 MiB at most, sealed or to be sealed', () => {
		const link = { epoch: new Uint8Array(LIMITS.epochBytesMax), certs: [] };
		const fits = { ...answer, links: new Array(15).fill(link) };
		expect(sealAdmission(fits, kem.publicKey).byteLength).to.be.lessThan(LIMITS.admissionBytesMax);
		refused('exhausted', () => sealAdmission({ ...answer, links: new Array(16).fill(link) }, kem.publicKey));
		refused('invalid_input', () => openSealedAdmission(new Uint8Array(LIMITS.admissionBytesMax + 1), kem));
	});
});

describe('a group key', () => {
	it('is the one that the epoch commits to', () => {
		const [key, other] = [createGroupKey(), createGroupKey()];
		const epoch = { e: 7, groupKeyCommit: groupKeyCommit(key) };
		requireGroupKey(key, epoch);
		refused('unauthorized', () => requireGroupKey(other, epoch));
		expect(key).to.have.length(32);
		expect(key).not.to.deep.equal(other);
	});
});

describe('a replica’s own certificate', () => {
	const w = createEpochWorkload();
	const keys = createNodeKeys();
	const about = { machineId: createNodeKeys().peer.peerId as MachineId, manifestCid: w.charter.body.manifestCid };
	const at = { wid: w.charter.body.wid, slot: 1, gen: 2, incarnation: 0, awardId: createUlid(NOW_MS), addresses: [] };
	const csr = openCsr(requestAdmission(keys, { ...at, ts: NOW_MS }).envelope);
	const envelope = certifyOwn(w.charter.body, csr, about, keys.signer, NOW_MS);

	it('says what was asked for, and lives as long as the charter lets it', () => {
		const cert = openReplicaCert(envelope);
		requireAsRequested(cert, csr, about);
		expect(cert.body.exp - cert.body.nbf).to.equal(w.charter.body.certTtlMs);
		const renewal = openReplicaCert(renewOwn(w.charter.body, cert.body, keys.signer, NOW_MS + 5));
		expect(renewal.body).to.deep.equal({ ...cert.body, nbf: NOW_MS + 5, exp: cert.body.exp + 5 });
	});

	it('fits twice into a handshake of 25 KB with 9 KB of its own', () => {
		expect(2 * envelope.byteLength + 9 * 1024).to.be.lessThan(25_000);
	});

	it('is no other’s: not another request’s, machine’s, manifest’s, slot’s, nor of other keys', () => {
		const body = bodyOf(envelope);
		const other = openCsr(requestAdmission(keys, { ...at, ts: NOW_MS + 1 }).envelope);
		const cert = openReplicaCert(envelope);
		refused('unauthorized', () => requireAsRequested(cert, other, about));
		const elsewhere = createNodeKeys().peer.peerId as MachineId;
		refused('unauthorized', () => requireAsRequested(cert, csr, { ...about, machineId: elsewhere }));
		refused('unauthorized', () => requireAsRequested(cert, csr, { ...about, manifestCid: csr.cid }));
		for (const change of [{ slot: 2 }, { gen: 3 }, { incarnation: 1 }, { awardId: createUlid(NOW_MS + 1) }]) {
			const changed = openReplicaCert(signRecord('replica-cert', { ...body, ...change }, keys.signer));
			refused('unauthorized', () => requireAsRequested(changed, csr, about));
		}
	});

	it('holds only with the signature of its key and the proof of its peer key', () => {
		const body = bodyOf(envelope);
		const mallory = createNodeKeys();
		refused('unauthorized', () => openReplicaCert(signRecord('replica-cert', body, mallory.signer)));
		for (const change of [
			{ replicaId: mallory.peer.peerId as never },
			{ kemKey: mallory.kem.publicKey },
			{ peerProof: new Uint8Array(KEY_BYTES.peerProof) },
		])
			refused('unauthorized', () => openReplicaCert(signRecord('replica-cert', { ...body, ...change }, keys.signer)));
	});
});
