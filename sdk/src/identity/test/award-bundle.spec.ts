import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { Bundle, MachineId } from '../../wire/index.ts';
import {
	certifyMachine,
	createKemKey,
	createKeyPair,
	createMesh,
	createNodeKeys,
	createUlid,
	isSealedReason,
	openMachineCredential,
	openPapers,
	openReason,
	openSealedBundle,
	sealBundle,
	sealPapers,
	sealReason,
	sealTo,
} from '../index.ts';

const root = createKeyPair();
const mesh = createMesh('test', root, Date.now());
const keys = createNodeKeys();
const certified = { sigKey: keys.signer.publicKey, kemKey: keys.kem.publicKey };
const terms = { mesh: mesh.cid, machineId: keys.peer.peerId as MachineId, caps: [], labels: {}, serial: 1 };
const credential = certifyMachine({ ...terms, ...certified, nbf: Date.now() }, root);
const machine = openMachineCredential(credential, mesh, Date.now());

const replies = createKemKey();
const bundle: Bundle = {
	...{ genesis: new Uint8Array(1), charter: new Uint8Array(2), grant: new Uint8Array(3) },
	manifest: new TextEncoder().encode('canary'),
};

describe('a bundle sealed for the winner of an award', () => {
	const awardId = createUlid(Date.now());
	const sealed = sealBundle(bundle, awardId, machine, replies);

	it('is opened by that machine under that award', () => {
		expect(openSealedBundle(sealed, awardId, keys.kem)).to.deep.equal({ bundle, replyKey: replies.publicKey });
		expect(Buffer.from(sealed).includes('canary')).to.equal(false);
	});

	it('is opened by no other machine, under no other award, and not when a byte of it is another', () => {
		const refused = (bytes: Uint8Array, id = awardId, kem = keys.kem): string => {
			try {
				openSealedBundle(bytes, id, kem);
				return 'opened';
			} catch (error) {
				return (error as { code: string }).code;
			}
		};
		expect(refused(sealed, awardId, createKemKey())).to.equal('unauthorized');
		expect(refused(sealed, createUlid(Date.now()))).to.equal('unauthorized');
		for (let i = 0; i < sealed.byteLength; i += 97) {
			const altered = sealed.slice();
			altered[i] = (altered[i] as number) ^ 1;
			expect(refused(altered), `byte ${i}`).to.equal('unauthorized');
		}
		expect(refused(sealed.subarray(0, 1_000))).to.equal('unauthorized');
		expect(refused(sealTo(keys.kem.publicKey, 'award-bundle', new Uint8Array([0xa0])))).to.equal('invalid_input');
		expect(refused(sealTo(keys.kem.publicKey, 'keyring', new Uint8Array([0xa0])))).to.equal('unauthorized');
	});
});

describe('papers of a replica, sealed for whoever decides', () => {
	const awardId = createUlid(Date.now());
	const papers = { csr: new TextEncoder().encode('canary'), cert: new Uint8Array(2) };
	const sealed = sealPapers(papers, awardId, replies.publicKey);

	it('are opened with the reply key under their award, and nowhere else', () => {
		expect(openPapers(sealed, awardId, replies)).to.deep.equal(papers);
		expect(Buffer.from(sealed).includes('canary')).to.equal(false);
		const other = sealTo(replies.publicKey, 'award-papers', new Uint8Array([0xa0]));
		for (const [bytes, id, kem, code] of [
			[sealed, awardId, keys.kem, 'unauthorized'],
			[sealed, createUlid(Date.now()), replies, 'unauthorized'],
			[sealed.subarray(0, -1), awardId, replies, 'unauthorized'],
			[sealBundle(bundle, awardId, machine, replies), awardId, keys.kem, 'unauthorized'],
			[other, awardId, replies, 'invalid_input'],
		] as const)
			expect(() => openPapers(bytes, id, kem))
				.to.throw()
				.with.property('code', code);
	});
});

describe('a reason sealed for whoever asked', () => {
	it('is read by nobody else', () => {
		const sealed = sealReason('hostPath /canary is not allowed', replies.publicKey);
		expect(sealed).not.to.contain('canary');
		expect(isSealedReason(sealed)).to.equal(true);
		expect(openReason(sealed, replies)).to.equal('hostPath /canary is not allowed');
		expect(openReason(sealed, createKemKey())).to.equal('for a reason that cannot be read');
		expect(openReason(`${sealed.slice(0, -8)}AAAAAAA=`, replies)).to.equal('for a reason that cannot be read');
		expect(openReason('sealed:!', replies)).to.equal('for a reason that cannot be read');
		expect(openReason('memory: needs 900Gi', replies)).to.equal('memory: needs 900Gi');
	});

	it('has a length that its carriers take, however much is said', () => {
		expect(sealReason('x'.repeat(100_000), replies.publicKey).length).to.be.below(4_000);
	});
});
