/** ML-KEM-768 and ML-DSA-65 against the vectors of Wycheproof and CCTV, whole, on both backends. */
import * as crypto from 'node:crypto';
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js';
import { expect } from 'chai';
import { describe } from 'mocha';
import { type DerandomizedBackend, ML_KEM_768, type PqBackend } from '../backend.ts';
import { javascriptBackend } from '../index.ts';
import { backends, fromHex, itWithVectors, readText, toHex, wycheproof } from './vectors.ts';

interface DecapsTest {
	readonly seed: string;
	readonly ek?: string;
	readonly c: string;
	readonly K: string;
}

interface EncapsTest {
	readonly ek: string;
	readonly m: string;
	readonly c: string;
	readonly K: string;
}

interface VerifyTest {
	readonly msg: string;
	readonly sig: string;
	readonly ctx?: string;
}

function decapsulates(backend: PqBackend, test: DecapsTest): string {
	const key = backend.mlKemKey(fromHex(test.seed));
	if (test.ek !== undefined && toHex(key.publicKey) !== test.ek) throw new Error('another public key than the vector');
	return toHex(key.decapsulate(fromHex(test.c)));
}

/** That vector has no seed but an expanded key, which only what lies below our interface reads. */
const decapsulateExpanded = {
	native(ciphertext: Uint8Array, expandedKey: Uint8Array): Uint8Array {
		const prefix = Buffer.from('30820978020100300b06096086480165030404020482096404820960', 'hex');
		const der = Buffer.concat([prefix, expandedKey]);
		return crypto.decapsulate(crypto.createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }), ciphertext);
	},
	javascript: (ciphertext: Uint8Array, expandedKey: Uint8Array) => ml_kem768.decapsulate(ciphertext, expandedKey),
};

function canDerandomize(backend: PqBackend): backend is DerandomizedBackend {
	return backend === javascriptBackend;
}

for (const backend of backends()) {
	describe(`${backend.name} ML-KEM-768 (FIPS 203)`, () => {
		itWithVectors('derives keys and decapsulates as the Wycheproof vectors do', () => {
			const vectors = wycheproof<DecapsTest>('mlkem_768_test.json');
			expect(vectors).to.have.length(193);
			for (const { test } of vectors) {
				const label = `tcId ${test.tcId}`;
				if (test.result === 'valid') expect(decapsulates(backend, test), label).to.equal(test.K);
				else expect(() => decapsulates(backend, test), label).to.throw(/has (64|1088) bytes, not /);
			}
		});

		// The native backend has no coins: it must take and refuse the same keys, and its secret has its own randomness.
		itWithVectors('encapsulates to the keys that the Wycheproof vectors accept, and to no other', () => {
			const vectors = wycheproof<EncapsTest>('mlkem_768_encaps_test.json');
			expect(vectors).to.have.length(265);
			for (const { test } of vectors) {
				const [key, label] = [fromHex(test.ek), `tcId ${test.tcId}`];
				if (test.result !== 'valid') {
					expect(() => backend.mlKemEncapsulate(key), label).to.throw(/not reduced|has 1184 bytes, not /);
					continue;
				}
				expect(backend.mlKemEncapsulate(key).ciphertext, label).to.have.length(ML_KEM_768.ciphertext);
				if (!canDerandomize(backend)) continue;
				const { ciphertext, sharedSecret } = backend.mlKemEncapsulateWith(key, fromHex(test.m));
				expect([toHex(ciphertext), toHex(sharedSecret)], label).to.deep.equal([test.c, test.K]);
			}
		});

		itWithVectors('rejects a ciphertext that differs after a zero byte (CCTV strcmp)', () => {
			const lines = [...readText('cctv-strcmp.txt').matchAll(/^(\w+) = (\w+)$/gm)];
			const fields = new Map(lines.map(([, name, value]) => [name, fromHex(value ?? '')]));
			const [dk, c, K] = [fields.get('dk'), fields.get('c'), fields.get('K')];
			if (dk === undefined || c === undefined || K === undefined) throw new Error('the file has dk, c and K');
			expect(toHex(decapsulateExpanded[backend.name](c, dk))).to.equal(toHex(K));
		});
	});

	describe(`${backend.name} ML-DSA-65 (FIPS 204)`, () => {
		itWithVectors('verifies as the Wycheproof vectors say', () => {
			const vectors = wycheproof<VerifyTest, { publicKey: string }>('mldsa_65_verify_test.json');
			expect(vectors).to.have.length(210);
			for (const { test, group } of vectors) {
				const verifier = backend.mlDsaVerifier(fromHex(group.publicKey));
				const verified = verifier?.verify(fromHex(test.msg), fromHex(test.sig), fromHex(test.ctx ?? '')) ?? false;
				expect(verified, `tcId ${test.tcId}`).to.equal(test.result === 'valid');
			}
		});
	});
}
