/** What node:crypto does in both suites, against the vectors of Wycheproof, whole. */
import { verify } from 'node:crypto';
import { expect } from 'chai';
import { describe } from 'mocha';
import {
	chachaOpen,
	chachaSeal,
	ED25519_SIGNATURE_BYTES,
	ed25519PublicKey,
	hkdfExpand,
	hkdfExtract,
	x25519,
	x25519PrivateKey,
} from '../classical.ts';
import { fromHex, itWithVectors, toHex, wycheproof } from './vectors.ts';

describe('classical primitives of the suite', () => {
	itWithVectors('Ed25519 verifies as the vectors say (RFC 8032)', () => {
		const vectors = wycheproof<{ msg: string; sig: string }, { publicKey: { pk: string } }>('ed25519_test.json');
		expect(vectors).to.have.length(151);
		for (const { test, group } of vectors) {
			const signature = fromHex(test.sig);
			const key = ed25519PublicKey(fromHex(group.publicKey.pk));
			// The composite cuts signatures to length before this half sees them.
			const verified =
				signature.byteLength === ED25519_SIGNATURE_BYTES && verify(null, fromHex(test.msg), key, signature);
			expect(verified, `tcId ${test.tcId}`).to.equal(test.result === 'valid');
		}
	});

	itWithVectors('X25519 agrees with the vectors and refuses every secret of zeros (RFC 7748 §6.1)', () => {
		const vectors = wycheproof<{ public: string; private: string; shared: string }>('x25519_test.json');
		expect(vectors).to.have.length(518);
		let refused = 0;
		for (const { test } of vectors) {
			const agree = (): string => toHex(x25519(x25519PrivateKey(fromHex(test.private)), fromHex(test.public)));
			if (/^0*$/.test(test.shared)) {
				refused++;
				expect(agree, `tcId ${test.tcId}`).to.throw(/low order/);
				expect(test.flags).to.include('ZeroSharedSecret');
			} else expect(agree(), `tcId ${test.tcId}`).to.equal(test.shared);
		}
		expect(refused).to.equal(vectors.filter(({ test }) => test.flags.includes('ZeroSharedSecret')).length);
	});

	itWithVectors('HKDF-SHA256 extracts and expands as the vectors do (RFC 5869)', () => {
		type HkdfTest = { ikm: string; salt: string; info: string; size: number; okm: string };
		const vectors = wycheproof<HkdfTest>('hkdf_sha256_test.json');
		expect(vectors).to.have.length(86);
		for (const { test } of vectors) {
			const prk = hkdfExtract(fromHex(test.salt), fromHex(test.ikm));
			const expand = (): string => toHex(hkdfExpand(prk, fromHex(test.info), test.size));
			if (test.result === 'valid') expect(expand(), `tcId ${test.tcId}`).to.equal(test.okm);
			else expect(expand, `tcId ${test.tcId}`).to.throw(/at most 8160 bytes/);
		}
	});

	itWithVectors('ChaCha20-Poly1305 seals and opens as the vectors do (RFC 8439)', () => {
		type AeadTest = { key: string; iv: string; aad: string; msg: string; ct: string; tag: string };
		const vectors = wycheproof<AeadTest>('chacha20_poly1305_test.json');
		expect(vectors).to.have.length(325);
		for (const { test } of vectors) {
			const [key, nonce, aad] = [fromHex(test.key), fromHex(test.iv), fromHex(test.aad)];
			const label = `tcId ${test.tcId}`;
			const open = (): Uint8Array | undefined => chachaOpen(key, nonce, aad, fromHex(test.ct + test.tag));
			const seal = (): string => toHex(chachaSeal(key, nonce, aad, fromHex(test.msg)));
			if (test.result === 'valid') {
				expect(seal(), label).to.equal(test.ct + test.tag);
				expect(toHex(open() ?? new Uint8Array(1)), label).to.equal(test.msg);
			} else if (test.flags.includes('InvalidNonceSize')) {
				expect(seal, label).to.throw(/nonce has 12 bytes, not /);
				expect(open, label).to.throw(/nonce has 12 bytes, not /);
			} else expect(open(), label).to.equal(undefined);
		}
	});
});
