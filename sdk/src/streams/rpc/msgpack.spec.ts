import { expect } from 'chai';
import { describe, it } from 'mocha';
import { MeshError } from '../../errors.ts';
import { decodeBody, encodeBody } from './msgpack.ts';

function refusal(bytes: readonly number[] | Uint8Array): string {
	try {
		decodeBody(Uint8Array.from(bytes));
		return 'accepted';
	} catch (error) {
		expect(error).to.be.instanceOf(MeshError);
		return (error as MeshError).message;
	}
}

describe('bodies of frames', () => {
	it('believe no length that is not there', () => {
		for (const head of [0xc6, 0xdb, 0xdd, 0xdf]) {
			expect(refusal([head, 0xff, 0xff, 0xff, 0xff]), `${head}`).to.match(/cut short|longer than the body/);
		}
	});

	it('nest 64 levels and not more, and hold no million of values', () => {
		let value: unknown = 1;
		for (let i = 0; i < 64; i++) value = [value];
		expect(decodeBody(encodeBody(value))).to.deep.equal(value);
		expect(refusal(encodeBody([value]))).to.match(/nested deeper than 64/);
		expect(refusal(new Uint8Array(4 * 1024 * 1024).fill(0x91))).to.match(/nested deeper than 64/);
		expect(refusal(encodeBody(new Array(1_000_000).fill(0)))).to.match(/more than 262144 values/);
		const flat = new Array(250_000).fill(0);
		expect(decodeBody(encodeBody(flat))).to.have.length(250_000);
	});

	it('touch no prototype', () => {
		const bytes = [0x81, 0xa9, ...new TextEncoder().encode('__proto__'), 0x81, 0xa1, 0x78, 0x01];
		const decoded = decodeBody(Uint8Array.from(bytes)) as { x?: number };
		expect(decoded.x).to.equal(undefined);
		expect(Object.getPrototypeOf(decoded)).to.equal(Object.prototype);
		expect(({} as { x?: number }).x).to.equal(undefined);
	});

	it('carry no extension but those that are written here', () => {
		for (const bytes of [[0xd4, 0x72, 0x40], [0xd5, 1, 0, 0], [0xc7, 2, 5, 0, 0], [0xc8, 0, 1, 0, 0], [0xc1]]) {
			expect(refusal(bytes), bytes.join()).to.not.equal('accepted');
		}
	});
});
