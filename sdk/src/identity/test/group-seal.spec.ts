import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { isMeshError } from '../../errors.ts';
import { GROUP_SEAL_BYTES, openForGroup, sealForGroup } from '../group-seal.ts';

const [key, other] = [new Uint8Array(randomBytes(32)), new Uint8Array(randomBytes(32))];
const plaintext = new TextEncoder().encode('a canary in a cage');

function codeOf(open: () => unknown): string {
	try {
		open();
		return 'none';
	} catch (error) {
		if (!isMeshError(error)) throw error;
		return error.code;
	}
}

describe('messages sealed for a group', () => {
	it('open with the key and the context that they were sealed with, under the old key and the new', () => {
		for (const keys of [[key], [other, key], [key, other]]) {
			expect(openForGroup(keys, 'topic', sealForGroup(key, 'topic', plaintext))).to.deep.equal(plaintext);
		}
		expect(openForGroup([key], 'topic', sealForGroup(key, 'topic', new Uint8Array(0)))).to.have.length(0);
	});

	it('show nothing of what is in them, and are never the same twice', () => {
		const [a, b] = [sealForGroup(key, 'topic', plaintext), sealForGroup(key, 'topic', plaintext)];
		expect(a).to.have.length(plaintext.byteLength + GROUP_SEAL_BYTES);
		expect(Buffer.from(a).includes(Buffer.from(plaintext.subarray(0, 6)))).to.equal(false);
		expect(Buffer.compare(a, b)).to.not.equal(0);
		expect(Buffer.compare(a.subarray(25), b.subarray(25))).to.not.equal(0);
	});

	it('do not open under another key, for another topic, or when a bit of them is another', () => {
		const sealed = sealForGroup(key, 'topic', plaintext);
		expect(codeOf(() => openForGroup([other], 'topic', sealed))).to.equal('not_found');
		expect(codeOf(() => openForGroup([key], 'topi', sealed))).to.equal('unauthorized');
		for (let i = 0; i < sealed.byteLength; i++) {
			const flipped = sealed.slice();
			flipped[i] = (flipped[i] as number) ^ 0x80;
			expect(
				codeOf(() => openForGroup([key], 'topic', flipped)),
				`byte ${i}`,
			).to.be.oneOf([i === 0 ? 'invalid_input' : i < 9 ? 'not_found' : 'unauthorized']);
			expect(
				codeOf(() => openForGroup([key], 'topic', sealed.subarray(0, i))),
				`cut at ${i}`,
			).to.not.equal('none');
		}
	});
});
