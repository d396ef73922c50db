import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as v from 'valibot';
import {
	decodeRecord,
	encodeRecord,
	LIMITS,
	nameSchema,
	raftMemberId,
	SLOTS_MAX,
	safeInt,
	slotOfMember,
} from './index.ts';

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

describe('numbers on the wire', () => {
	it('have no number beyond 2⁵³−1, and none that jumps there from 2⁶⁴−1', () => {
		const max = encodeRecord(Number.MAX_SAFE_INTEGER);
		expect(v.is(safeInt, decodeRecord(max))).to.equal(true);
		for (const hex of ['1b0020000000000000', '1bffffffffffffffff', '3bffffffffffffffff', 'fb43f0000000000000']) {
			const decoded = ((): unknown => {
				try {
					return decodeRecord(new Uint8Array(Buffer.from(hex, 'hex')));
				} catch {
					return undefined;
				}
			})();
			expect(v.is(safeInt, decoded), hex).to.equal(false);
		}
	});
});

describe('names on the wire', () => {
	it('are lower case letters, digits and dashes: no case, no dots, no letters that look alike', () => {
		for (const name of ['a', 'a-b', 'axb', '0']) expect(v.is(nameSchema, name), name).to.equal(true);
		const others = [
			'a.b',
			'A',
			'aXb',
			'a_b',
			'a/b',
			'..',
			'',
			'-a',
			'a-',
			' a',
			'a ',
			'a\n',
			'a\0',
			'\u0430',
			'\u{ff41}',
		];
		for (const name of [...others, 'i\u0307', '\u2170', 'a\u200db', 'a'.repeat(64)])
			expect(v.is(nameSchema, name), JSON.stringify(name)).to.equal(false);
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
