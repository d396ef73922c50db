import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as v from 'valibot';
import { KvContract } from './contract.ts';
import { LIMITS } from './limits.ts';

const { put, list } = KvContract.methods;
const takes = (schema: v.GenericSchema, input: unknown): boolean => v.safeParse(schema, input).success;

describe('the typed contract', () => {
	it('takes any bytes as a value, up to the limit', () => {
		expect(takes(put.input, { key: 'a', value: new Uint8Array(LIMITS.valueBytesMax) })).to.equal(true);
		expect(takes(put.input, { key: 'a', value: Buffer.from('x') })).to.equal(true);
		expect(takes(put.input, { key: 'a', value: new Uint8Array(LIMITS.valueBytesMax + 1) })).to.equal(false);
		expect(takes(put.input, { key: 'a', value: 'text' })).to.equal(false);
	});

	it('counts keys in bytes, not in characters', () => {
		const value = new Uint8Array();
		expect(takes(put.input, { key: 'ü'.repeat(512), value })).to.equal(true);
		expect(takes(put.input, { key: 'ü'.repeat(513), value })).to.equal(false);
		expect(takes(put.input, { key: '', value })).to.equal(false);
	});

	it('refuses fields and pages that it does not know', () => {
		expect(takes(list.input, { prefix: '', limit: LIMITS.listItemsMax })).to.equal(true);
		expect(takes(list.input, { prefix: '', limit: LIMITS.listItemsMax + 1 })).to.equal(false);
		expect(takes(list.input, { prefix: '', stael: true })).to.equal(false);
	});
});
