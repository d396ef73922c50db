import { expect } from 'chai';
import { describe, it } from 'mocha';
import { CID } from 'multiformats/cid';
import { MeshError } from '../errors.ts';
import { decodeRecord, encodeRecord } from './dag-cbor.ts';
import { LIMITS } from './limits.ts';

function refusal(bytes: Uint8Array | readonly number[], bytesMax?: number): string {
	try {
		decodeRecord(Uint8Array.from(bytes), bytesMax);
		return 'accepted';
	} catch (error) {
		expect(error).to.be.instanceOf(MeshError);
		expect((error as MeshError).code).to.equal('invalid_input');
		return (error as MeshError).message;
	}
}

function nested(levels: number): unknown {
	let value: unknown = [];
	for (let i = 1; i < levels; i++) value = [value];
	return value;
}

describe('decoding of records', () => {
	it('follows 16 levels and not 17, of lists and maps, and of 60,000 only the first', () => {
		expect(decodeRecord(encodeRecord(nested(LIMITS.depthMax)))).to.deep.equal(nested(LIMITS.depthMax));
		expect(refusal(encodeRecord(nested(LIMITS.depthMax + 1)))).to.match(/nested deeper than 16/);
		let map: unknown = {};
		for (let i = 0; i < LIMITS.depthMax; i++) map = { a: map };
		expect(refusal(encodeRecord(map))).to.match(/nested deeper than 16/);
		expect(refusal(new Uint8Array(60_000).fill(0x81))).to.match(/nested deeper than 16/);
		expect(refusal(new Uint8Array(60_000).fill(0xd8))).to.not.equal('accepted');
	});

	it('believes no length that is not there', () => {
		for (const head of [0x5a, 0x7a, 0x9a, 0xba]) {
			expect(refusal([head, 0xff, 0xff, 0xff, 0xff]), `${head}`).to.match(/cut short/);
			expect(refusal([head + 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), `${head}`).to.match(/cut short/);
			for (let cut = 1; cut < 5; cut++) expect(refusal([head, 0, 0, 0].slice(0, cut))).to.not.equal('accepted');
		}
	});

	it('takes no million of values, whatever the limit of bytes', () => {
		const bytes = new Uint8Array(1_000_005);
		bytes.set([0x9a, 0x00, 0x0f, 0x42, 0x40]);
		expect(refusal(bytes, 4 * 1024 * 1024)).to.match(/more than 262144 values/);
		expect(refusal(encodeRecord(new Array(4_097).fill(0)))).to.match(/more than 4096 values/);
		expect(decodeRecord(encodeRecord(new Array(4_000).fill(0)))).to.have.length(4_000);
	});

	it('refuses indefinite lengths, other tags than links, floats that are no numbers, and names of prototypes', () => {
		for (const bytes of [
			[0x9f, 0xff],
			[0xbf, 0xff],
			[0x5f, 0x41, 0x00, 0xff],
			[0xc0, 0x00],
			[0xfb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0],
			[0xfb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0],
			[0xf7],
			[0xa1, 0x69, ...new TextEncoder().encode('__proto__'), 0xa1, 0x61, 0x78, 0x01],
		]) {
			expect(refusal(bytes), bytes.join()).to.not.equal('accepted');
		}
		expect(({} as { x?: number }).x).to.equal(undefined);
	});

	it('takes links, which are a tag and a level of their own', () => {
		const link = CID.parse('bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy');
		expect(decodeRecord(encodeRecord({ a: [link, 1], b: 2 }))).to.deep.equal({ a: [link, 1], b: 2 });
	});
});
