import { expect } from 'chai';
import { describe, it } from 'mocha';
import { decodeRecord, encodeRecord, LIMITS, raftMemberId, SLOTS_MAX, slotOfMember } from './index.ts';

describe('records on the wire (strict DAG-CBOR)', () => {
	it('come back as they went', () => {
		const value = { a: [1, 'two', null, true], bytes: new Uint8Array([1, 2]), nested: { deep: { er: -1 } } };
		expect(decodeRecord(encodeRecord(value))).to.deep.equal(value);
	});

	it('are refused when not canonical: unsorted keys, long integers, duplicate keys, indefinite lengths', () => {
		for (const hex of ['a2616201616101', '1800', '1900ff', 'a2616101616102', '9f01ff', 'f90000']) {
			expect(() => decodeRecord(new Uint8Array(Buffer.from(hex, 'hex'))), hex).to.throw(/DAG-CBOR/);
		}
	});

	it('are refused when too large or too deep', () => {
		expect(() => decodeRecord(new Uint8Array(LIMITS.recordBytesMax + 1))).to.throw(/larger/);
		const deep = (n: number): unknown => (n === 0 ? 0 : [deep(n - 1)]);
		expect(() => decodeRecord(encodeRecord(deep(LIMITS.depthMax + 1)))).to.throw(/deeper/);
		expect(decodeRecord(encodeRecord(deep(LIMITS.depthMax - 1)))).to.be.an('array');
	});
});

describe('Raft member ids', () => {
	it('name one (slot, generation) and are never reused', () => {
		const seen = new Set<number>();
		for (const gen of [1, 2, 77]) {
			for (const slot of [0, 1, SLOTS_MAX - 1]) {
				const id = raftMemberId(slot, gen);
				expect(slotOfMember(id)).to.deep.equal({ slot, gen });
				expect(seen.has(id)).to.equal(false);
				seen.add(id);
			}
		}
	});
});
