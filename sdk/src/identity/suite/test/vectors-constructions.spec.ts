/** The three constructions against the vectors of their drafts' authors, on both backends. */
import { createHash } from 'node:crypto';
import { expect } from 'chai';
import { describe } from 'mocha';
import { chachaSeal, x25519PrivateKey } from '../classical.ts';
import { keySchedule } from '../hpke.ts';
import { createSuite, javascriptBackend, SIZES } from '../index.ts';
import { encapsulateWith } from '../x-wing.ts';
import { backends, fromHex, itWithVectors, readText, toHex } from './vectors.ts';

interface CompositeVectors {
	readonly m: string;
	readonly ctx: string;
	readonly tests: readonly { tcId: string; pk: string; sk: string; s: string; sWithContext: string }[];
}

type XWingVectors = readonly { seed: string; eseed: string; ss: string; pk: string; ct: string }[];

type HpkeVectors = readonly {
	mode: number;
	kem_id: number;
	kdf_id: number;
	aead_id: number;
	info: string;
	ikmE: string;
	ikmR: string;
	skRm: string;
	pkRm: string;
	enc: string;
	shared_secret: string;
	key: string;
	base_nonce: string;
	encryptions: readonly { aad: string; ct: string; nonce: string; pt: string }[];
}[];

const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));

/** EncapsulateDerand of X-Wing: ML-KEM coins, then the X25519 scalar. */
function encapsulateFrom(eseed: string, publicKey: string): { ct: string; ss: string } {
	const [coins, scalar] = [fromHex(eseed.slice(0, 64)), fromHex(eseed.slice(64))];
	const mlKem = (key: Uint8Array) => javascriptBackend.mlKemEncapsulateWith(key, coins);
	const { ciphertext, sharedSecret } = encapsulateWith(mlKem, x25519PrivateKey(scalar), fromHex(publicKey));
	return { ct: toHex(ciphertext), ss: toHex(sharedSecret) };
}

for (const backend of backends()) {
	const suite = createSuite(backend);

	describe(`${backend.name} id-MLDSA65-Ed25519-SHA512`, () => {
		itWithVectors('has the key and verifies the signatures of the draft, with and without context', () => {
			const { m, ctx, tests }: CompositeVectors = JSON.parse(readText('composite.json'));
			const ours = tests.filter(({ tcId }) => tcId === 'id-MLDSA65-Ed25519-SHA512');
			expect(ours).to.have.length(1);
			for (const test of ours) {
				const [message, context, publicKey] = [fromBase64(m), fromBase64(ctx), fromBase64(test.pk)];
				const key = suite.createSigningKey(fromBase64(test.sk));
				expect(toHex(key.publicKey)).to.equal(toHex(publicKey));
				expect(suite.verify(publicKey, message, fromBase64(test.s))).to.equal(true);
				expect(suite.verify(publicKey, message, fromBase64(test.sWithContext), context)).to.equal(true);
				expect(suite.verify(publicKey, message, fromBase64(test.s), context)).to.equal(false);
				expect(suite.verify(publicKey, message, fromBase64(test.sWithContext))).to.equal(false);
				// ML-DSA is hedged, so a signature of ours has only the Ed25519 half in common with the draft's.
				const signature = key.sign(message, context);
				expect(toHex(signature.subarray(-64))).to.equal(toHex(fromBase64(test.sWithContext).subarray(-64)));
				expect(suite.verify(publicKey, message, signature, context)).to.equal(true);
			}
		});
	});

	describe(`${backend.name} X-Wing`, () => {
		// Only the JavaScript backend can also repeat the encapsulation: the native one has no coins.
		itWithVectors('derives the keys and decapsulates the ciphertexts of the draft', () => {
			const vectors: XWingVectors = JSON.parse(readText('xwing.json'));
			expect(vectors).to.have.length(3);
			for (const { seed, eseed, ss, pk, ct } of vectors) {
				const key = suite.createKemKey(fromHex(seed));
				expect(toHex(key.publicKey)).to.equal(pk);
				expect(toHex(key.decapsulate(fromHex(ct)))).to.equal(ss);
				if (backend === javascriptBackend) expect(encapsulateFrom(eseed, pk)).to.deep.equal({ ct, ss });
			}
		});
	});

	describe(`${backend.name} HPKE 0x647A, 0x0001, 0x0003`, () => {
		itWithVectors('agrees with every step of the vectors of draft-ietf-hpke-pq', () => {
			const all: HpkeVectors = JSON.parse(readText('hpke-pq.json'));
			const ours = all.filter((v) => v.mode === 0 && v.kem_id === 0x647a && v.kdf_id === 1 && v.aead_id === 3);
			expect(ours).to.have.length(1);
			for (const vector of ours) {
				expect(deriveSeed(vector.ikmR)).to.equal(vector.skRm);
				const recipient = suite.createKemKey(fromHex(vector.skRm));
				const info = fromHex(vector.info);
				expect(toHex(recipient.publicKey)).to.equal(vector.pkRm);
				expect(toHex(recipient.decapsulate(fromHex(vector.enc)))).to.equal(vector.shared_secret);
				if (backend === javascriptBackend) {
					const expected = { ct: vector.enc, ss: vector.shared_secret };
					expect(encapsulateFrom(vector.ikmE, vector.pkRm)).to.deep.equal(expected);
				}
				const { key, baseNonce } = keySchedule(fromHex(vector.shared_secret), info);
				expect([toHex(key), toHex(baseNonce)]).to.deep.equal([vector.key, vector.base_nonce]);
				expect(vector.encryptions).to.have.length(10);
				for (const { aad, ct, nonce, pt } of vector.encryptions) {
					expect(toHex(chachaSeal(key, fromHex(nonce), fromHex(aad), fromHex(pt)))).to.equal(ct);
				}
				const [first] = vector.encryptions;
				if (first === undefined) throw new Error('no encryptions');
				const opened = suite.open(recipient, info, fromHex(first.aad), fromHex(vector.enc + first.ct));
				expect(toHex(opened)).to.equal(first.pt);
				const sealed = suite.seal(recipient.publicKey, info, fromHex(first.aad), opened);
				expect(sealed).to.have.length(opened.byteLength + SIZES.sealOverhead);
				expect(toHex(suite.open(recipient, info, fromHex(first.aad), sealed))).to.equal(first.pt);
			}
		});
	});
}

/** DeriveKeyPair of draft-ietf-hpke-pq: SHAKE256 over ikm ‖ "HPKE-v1" ‖ suite_id ‖ label ‖ length, for 32 bytes. */
function deriveSeed(ikm: string): string {
	const hash = createHash('shake256', { outputLength: SIZES.kemSeed });
	hash.update(fromHex(ikm)).update('HPKE-v1').update('KEM\x64\x7a', 'latin1');
	return hash.update('\x00\x0dDeriveKeyPair', 'latin1').update('\x00\x20', 'latin1').digest('hex');
}
