/** What the suite promises beyond its vectors: every altered byte, half, length and context is refused, alike. */
import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { isMeshError } from '../../../errors.ts';
import { ML_DSA_65, ML_KEM_768 } from '../backend.ts';
import { suite as chosen, createSuite, javascriptBackend, nativeBackend, SIZES } from '../index.ts';
import { Lru } from '../lru.ts';
import { backends } from './vectors.ts';

// x-coordinates with 0 as their multiple by 8: orders 1, 2, 4, 8 on curve and twist, and encodings beyond the prime.
const LOW_ORDER_POINTS = [
	'0000000000000000000000000000000000000000000000000000000000000000',
	'0100000000000000000000000000000000000000000000000000000000000000',
	'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
	'5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
	'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
	'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
	'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
];

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const seedOf = (length: number, fill: number): Uint8Array => new Uint8Array(length).fill(fill);

/** The same bytes with bit 0 of one of them flipped. */
function flip(bytes: Uint8Array, at: number): Uint8Array {
	const flipped = bytes.slice();
	flipped[at] = (flipped[at] ?? 0) ^ 1;
	return flipped;
}

/** Some offsets in every region that starts at one of `starts`: its ends and a few inside. */
function offsets(length: number, ...starts: readonly number[]): number[] {
	const edges = [...starts, length];
	return starts.flatMap((start, i) => {
		const end = edges[i + 1] ?? length;
		return [start, start + 1, Math.floor((start + end) / 2), end - 2, end - 1];
	});
}

function failure(action: () => unknown): { code: string; message: string } {
	try {
		action();
	} catch (error) {
		if (isMeshError(error)) return { code: error.code, message: error.message };
		throw error;
	}
	throw new Error('did not throw');
}

for (const backend of backends()) {
	const suite = createSuite(backend);
	const key = suite.createSigningKey(seedOf(SIZES.seed, 1));
	const other = suite.createSigningKey(seedOf(SIZES.seed, 2));
	const message = text('a charter');
	const context = text('beemesh/charter/1');
	const signature = key.sign(message, context);

	describe(`composite signatures on the ${backend.name} backend`, () => {
		it('have the sizes of the draft, verify, and differ each time', () => {
			expect(key.publicKey).to.have.length(SIZES.publicKey);
			expect(signature).to.have.length(SIZES.signature);
			expect(suite.verify(key.publicKey, message, signature, context)).to.equal(true);
			expect(key.sign(message, context)).not.to.deep.equal(signature);
			expect(suite.verify(key.publicKey, new Uint8Array(0), key.sign(new Uint8Array(0)))).to.equal(true);
		});

		it('are refused with one bit flipped in any part of signature, key, message or context', () => {
			// ML-DSA signature: challenge, z, hints (FIPS 204 §7.2); then R and S of Ed25519.
			for (const at of offsets(SIZES.signature, 0, 48, 48 + 3200, ML_DSA_65.signature, ML_DSA_65.signature + 32)) {
				expect(suite.verify(key.publicKey, message, flip(signature, at), context), `signature ${at}`).to.equal(false);
			}
			for (const at of offsets(SIZES.publicKey, 0, 32, ML_DSA_65.publicKey)) {
				expect(suite.verify(flip(key.publicKey, at), message, signature, context), `key ${at}`).to.equal(false);
			}
			for (const at of offsets(message.length, 0)) {
				expect(suite.verify(key.publicKey, flip(message, at), signature, context)).to.equal(false);
			}
			for (const at of offsets(context.length, 0)) {
				expect(suite.verify(key.publicKey, message, signature, flip(context, at))).to.equal(false);
			}
			expect(suite.verify(key.publicKey, message, signature, context), 'untouched').to.equal(true);
		});

		it('need both halves of one signer over one message', () => {
			const split = (bytes: Uint8Array, at: number) => [bytes.slice(0, at), bytes.slice(at)] as const;
			const [pq, classical] = split(signature, ML_DSA_65.signature);
			const [otherPq, otherClassical] = split(other.sign(message, context), ML_DSA_65.signature);
			const [laterPq, laterClassical] = split(key.sign(text('another'), context), ML_DSA_65.signature);
			const [keyPq, keyClassical] = split(key.publicKey, ML_DSA_65.publicKey);
			const [otherKeyPq, otherKeyClassical] = split(other.publicKey, ML_DSA_65.publicKey);
			const join = (a: Uint8Array, b: Uint8Array): Uint8Array => new Uint8Array(Buffer.concat([a, b]));
			const zeros = new Uint8Array(64);
			const mixed = [
				join(otherPq, classical),
				join(pq, otherClassical),
				join(laterPq, classical),
				join(pq, laterClassical),
				join(new Uint8Array(ML_DSA_65.signature), classical),
				join(pq, zeros),
				join(classical, pq),
				pq,
				classical,
			];
			for (const [i, bytes] of mixed.entries()) {
				expect(suite.verify(key.publicKey, message, bytes, context), `signature ${i}`).to.equal(false);
			}
			for (const publicKey of [join(keyPq, otherKeyClassical), join(otherKeyPq, keyClassical), keyPq, keyClassical]) {
				expect(suite.verify(publicKey, message, signature, context)).to.equal(false);
			}
			// Halves that verify, each under its own half of a mixed key, are a composite signature of that key only.
			expect(suite.verify(join(keyPq, otherKeyClassical), message, join(pq, otherClassical), context)).to.equal(true);
		});

		it('hold for their context only, of at most 255 bytes', () => {
			expect(suite.verify(key.publicKey, message, signature)).to.equal(false);
			expect(suite.verify(key.publicKey, message, signature, text('beemesh/charter/2'))).to.equal(false);
			expect(suite.verify(key.publicKey, message, key.sign(message), context)).to.equal(false);
			// len(ctx) separates context from what follows it: no byte moves across.
			expect(suite.verify(key.publicKey, message, signature, new Uint8Array([...context, 0]))).to.equal(false);
			const longest = new Uint8Array(255).fill(7);
			expect(suite.verify(key.publicKey, message, key.sign(message, longest), longest)).to.equal(true);
			expect(failure(() => key.sign(message, new Uint8Array(256))).code).to.equal('invalid_input');
			expect(suite.verify(key.publicKey, message, signature, new Uint8Array(256))).to.equal(false);
		});

		it('of wrong length or type are false, never an error', () => {
			for (const length of [0, 1, 63, 64, ML_DSA_65.signature, SIZES.signature - 1, SIZES.signature + 1]) {
				expect(suite.verify(key.publicKey, message, new Uint8Array(length), context)).to.equal(false);
			}
			for (const length of [0, 32, ML_DSA_65.publicKey, SIZES.publicKey - 1, SIZES.publicKey + 1]) {
				expect(suite.verify(new Uint8Array(length), message, signature, context)).to.equal(false);
			}
			const wrong = JSON.parse('null');
			expect(suite.verify(wrong, message, signature)).to.equal(false);
			expect(suite.verify(key.publicKey, wrong, signature)).to.equal(false);
			expect(suite.verify(key.publicKey, message, wrong)).to.equal(false);
			expect(suite.verify(key.publicKey, message, signature, wrong)).to.equal(false);
			for (const length of [0, 32, 63, 65]) {
				expect(failure(() => suite.createSigningKey(new Uint8Array(length))).code).to.equal('invalid_input');
			}
		});

		it('verify alike for a key that is new and one seen before', () => {
			const signers = [key, other];
			for (let round = 0; round < 3; round++) {
				for (const signer of signers) {
					const signed = signer.sign(message);
					expect(suite.verify(signer.publicKey, message, signed)).to.equal(true);
					expect(suite.verify(signer.publicKey, message, flip(signed, 100))).to.equal(false);
					expect(suite.verify(signer.publicKey, message, flip(signed, SIZES.signature - 40))).to.equal(false);
				}
			}
		});
	});

	const recipient = suite.createKemKey(seedOf(SIZES.kemSeed, 3));
	const stranger = suite.createKemKey(seedOf(SIZES.kemSeed, 4));

	describe(`X-Wing on the ${backend.name} backend`, () => {
		it('agrees on a secret, a new one each time', () => {
			const first = suite.encapsulate(recipient.publicKey);
			const second = suite.encapsulate(recipient.publicKey);
			expect(first.ciphertext).to.have.length(SIZES.kemCiphertext);
			expect(recipient.decapsulate(first.ciphertext)).to.deep.equal(first.sharedSecret);
			expect(first.sharedSecret).to.have.length(32).and.not.deep.equal(second.sharedSecret);
			expect(recipient.decapsulate(first.ciphertext), 'again').to.deep.equal(first.sharedSecret);
		});

		it('agrees for a key without a seed, on whichever backend the other side is', () => {
			for (const other of backends()) {
				const fresh = suite.newKemKey();
				expect(fresh.publicKey).to.have.length(SIZES.kemPublicKey);
				expect(fresh.publicKey).not.to.deep.equal(suite.newKemKey().publicKey);
				const { ciphertext, sharedSecret } = createSuite(other).encapsulate(fresh.publicKey);
				expect(fresh.decapsulate(ciphertext)).to.deep.equal(sharedSecret);
			}
		});

		it('gives an unrelated secret for a ciphertext of somebody else, or with one bit flipped', () => {
			const { ciphertext, sharedSecret } = suite.encapsulate(recipient.publicKey);
			expect(stranger.decapsulate(ciphertext)).not.to.deep.equal(sharedSecret);
			for (const at of offsets(SIZES.kemCiphertext, 0, 960, ML_KEM_768.ciphertext)) {
				expect(recipient.decapsulate(flip(ciphertext, at)), `${at}`).not.to.deep.equal(sharedSecret);
			}
		});

		it('refuses keys that are not reduced, of low order, or of wrong length', () => {
			const notReduced = recipient.publicKey.slice();
			notReduced.set([0xff, 0xff, 0xff]);
			const lowOrder = recipient.publicKey.slice();
			lowOrder.fill(0, ML_KEM_768.publicKey);
			const cases = [
				[notReduced, /not reduced/],
				[lowOrder, /low order/],
				[recipient.publicKey.slice(1), /1216 bytes, not 1215/],
				[new Uint8Array(0), /1216 bytes, not 0/],
				[new Uint8Array([...recipient.publicKey, 0]), /1216 bytes, not 1217/],
			] as const;
			for (const [publicKey, reason] of cases) {
				const refusal = failure(() => suite.encapsulate(publicKey));
				expect(refusal.code).to.equal('invalid_input');
				expect(refusal.message).to.match(reason);
				expect(failure(() => suite.seal(publicKey, message, message, message)).code).to.equal('invalid_input');
			}
			// Every point of small order on the curve and its twist, RFC 7748 §6.1 and Curve25519's own list.
			for (const point of LOW_ORDER_POINTS) {
				lowOrder.set(Buffer.from(point, 'hex'), ML_KEM_768.publicKey);
				expect(failure(() => suite.encapsulate(lowOrder)).message).to.match(/low order/);
				const { ciphertext } = suite.encapsulate(recipient.publicKey);
				ciphertext.set(Buffer.from(point, 'hex'), ML_KEM_768.ciphertext);
				expect(failure(() => recipient.decapsulate(ciphertext)).code).to.equal('invalid_input');
			}
			expect(failure(() => suite.createKemKey(new Uint8Array(31))).code).to.equal('invalid_input');
			expect(failure(() => recipient.decapsulate(new Uint8Array(1119))).code).to.equal('invalid_input');
		});
	});

	describe(`HPKE on the ${backend.name} backend`, () => {
		const info = text('beemesh/enrol/1');
		const aad = text('machine');
		const sealed = suite.seal(recipient.publicKey, info, aad, message);

		it('opens what it sealed, nothing and much alike', () => {
			expect(sealed).to.have.length(message.byteLength + SIZES.sealOverhead);
			expect(suite.open(recipient, info, aad, sealed)).to.deep.equal(message);
			for (const plaintext of [new Uint8Array(0), new Uint8Array(randomBytes(70_000))]) {
				const envelope = suite.seal(recipient.publicKey, info, aad, plaintext);
				expect(Buffer.compare(suite.open(recipient, info, aad, envelope), plaintext)).to.equal(0);
			}
		});

		it('fails in one way, whatever was tampered with', () => {
			const { ciphertext } = suite.encapsulate(recipient.publicKey);
			const lowOrder = sealed.slice();
			lowOrder.fill(0, ML_KEM_768.ciphertext, SIZES.kemCiphertext);
			const attempts: (() => unknown)[] = [
				() => suite.open(stranger, info, aad, sealed),
				() => suite.open(recipient, text('beemesh/enrol/2'), aad, sealed),
				() => suite.open(recipient, info, text('machinf'), sealed),
				() => suite.open(recipient, info, aad, lowOrder),
				() => suite.open(recipient, info, aad, new Uint8Array(0)),
				() => suite.open(recipient, info, aad, ciphertext),
				() => suite.open(recipient, info, aad, sealed.slice(0, -1)),
				() => suite.open(recipient, info, aad, sealed.slice(1)),
				() => suite.open(recipient, info, aad, new Uint8Array([...sealed, 0])),
				...offsets(sealed.length, 0, ML_KEM_768.ciphertext, SIZES.kemCiphertext, sealed.length - 16).map(
					(at) => () => suite.open(recipient, info, aad, flip(sealed, at)),
				),
			];
			for (const attempt of attempts) {
				const expected = { code: 'unauthorized', message: 'a sealed message cannot be opened with this key' };
				expect(failure(attempt)).to.deep.equal(expected);
			}
		});
	});
}

describe('the suite', () => {
	it('is the native one where this Node has it', () => {
		expect(chosen.backend).to.equal(nativeBackend === undefined ? 'javascript' : 'native');
		expect(createSuite(javascriptBackend).backend).to.equal('javascript');
	});

	it('remembers the most recently used keys', () => {
		const lru = new Lru<number>(2);
		lru.set('a', 1);
		lru.set('b', 2);
		expect(lru.get('a')).to.equal(1);
		lru.set('c', 3);
		expect([lru.get('a'), lru.get('b'), lru.get('c')]).to.deep.equal([1, undefined, 3]);
	});
});
