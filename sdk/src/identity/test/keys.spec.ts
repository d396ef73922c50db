import { expect } from 'chai';
import { describe, it } from 'mocha';
import { createKemKey, createKeyPair, hkdf, keyIdOf, ownerIdOf, sealTo, verifySignature } from '../keys.ts';
import { createUlid } from '../ulid.ts';
import { flipped, NOW_MS, refused } from './fixtures.ts';

describe('signing keys', () => {
	const message = new Uint8Array([1, 2, 3]);

	it('are the same from the same seed, which has 64 bytes', () => {
		const seed = new Uint8Array(64).fill(7);
		expect(createKeyPair(seed).publicKey).to.deep.equal(createKeyPair(seed).publicKey);
		expect(createKeyPair().publicKey).not.to.deep.equal(createKeyPair().publicKey);
		for (const bytes of [0, 32, 63, 65]) refused('invalid_input', () => createKeyPair(new Uint8Array(bytes)));
	});

	it('do not change when the seed that was handed in does', () => {
		const seed = new Uint8Array(64).fill(7);
		const key = createKeyPair(seed);
		seed.fill(0);
		expect(key.seed).to.deep.equal(new Uint8Array(64).fill(7));
	});

	it('verify their own signatures only', () => {
		const [a, b] = [createKeyPair(), createKeyPair()];
		const signature = a.sign(message);
		expect(verifySignature(a.publicKey, message, signature)).to.equal(true);
		expect(verifySignature(b.publicKey, message, signature)).to.equal(false);
		expect(verifySignature(a.publicKey, new Uint8Array([1, 2]), signature)).to.equal(false);
		for (const bytes of flipped(signature)) expect(verifySignature(a.publicKey, message, bytes)).to.equal(false);
	});

	it('are refused under another suite byte, or with another length', () => {
		const { publicKey, sign } = createKeyPair();
		for (const suiteByte of [0, 1, 3, 255]) {
			const other = publicKey.slice();
			other[0] = suiteByte;
			expect(verifySignature(other, message, sign(message))).to.equal(false);
		}
		for (const key of [new Uint8Array(0), publicKey.subarray(1), new Uint8Array([...publicKey, 0])])
			expect(verifySignature(key, message, sign(message))).to.equal(false);
	});

	it('name owners and signers, each in its way', () => {
		const { publicKey } = createKeyPair();
		expect(ownerIdOf(publicKey)).to.match(/^bafkrei/);
		expect(keyIdOf(publicKey)).to.have.length(32);
	});
});

describe('sealing keys', () => {
	const plain = new Uint8Array([1, 2, 3]);

	it('open what was sealed to them for the same purpose, and nothing else', () => {
		const [a, b] = [createKemKey(), createKemKey()];
		const sealed = sealTo(a.publicKey, 'test', plain);
		expect(a.open('test', sealed)).to.deep.equal(plain);
		expect(createKemKey(a.seed).open('test', sealed)).to.deep.equal(plain);
		refused('unauthorized', () => b.open('test', sealed));
		refused('unauthorized', () => a.open('other', sealed));
		for (const bytes of flipped(sealed)) refused('unauthorized', () => a.open('test', bytes));
		for (const length of [0, 1, sealed.length - 1])
			refused('unauthorized', () => a.open('test', sealed.subarray(0, length)));
	});

	it('have a seed of 32 bytes', () => {
		for (const bytes of [0, 31, 64]) refused('invalid_input', () => createKemKey(new Uint8Array(bytes)));
	});
});

describe('derived keys and ULIDs', () => {
	it('differ by secret and by purpose', () => {
		const secret = new Uint8Array(32).fill(1);
		expect(hkdf(secret, 'a', 32))
			.to.deep.equal(hkdf(secret, 'a', 32))
			.and.to.have.length(32);
		expect(hkdf(secret, 'a', 32)).not.to.deep.equal(hkdf(secret, 'b', 32));
		expect(hkdf(new Uint8Array(32), 'a', 32)).not.to.deep.equal(hkdf(secret, 'a', 32));
	});

	it('order ULIDs by time', () => {
		expect(createUlid(1) < createUlid(2)).to.equal(true);
		expect(createUlid(NOW_MS)).to.have.length(26);
	});
});
