import { expect } from 'chai';
import { describe, it } from 'mocha';
import { type Call, checkLinearizable } from '../linearizable.ts';

type Short = Partial<Call> & Pick<Call, 'op'>;

function call(callNs: number, returnNs: number, rest: Short): Call {
	return { client: 1, key: 'k', callNs, returnNs, outcome: 'ok', ...rest };
}

function isLinearizable(...calls: Call[]): boolean {
	return checkLinearizable(calls).isLinearizable;
}

describe('linearizable histories', () => {
	it('one client in sequence', () => {
		const history = [
			call(0, 1, { op: 'get', result: null }),
			call(2, 3, { op: 'put', value: 'a' }),
			call(4, 5, { op: 'get', result: 'a' }),
			call(6, 7, { op: 'cas', expect: 'a', value: 'b', result: true }),
			call(8, 9, { op: 'cas', expect: 'a', value: 'c', result: false }),
			call(10, 11, { op: 'delete' }),
			call(12, 13, { op: 'get', result: null }),
		];
		expect(isLinearizable(...history)).to.equal(true);
	});

	it('concurrent calls in any order that fits', () => {
		const history = [
			call(0, 10, { op: 'put', value: 'a' }),
			call(0, 10, { op: 'put', value: 'b' }),
			call(2, 4, { op: 'get', result: 'b' }),
			call(5, 7, { op: 'get', result: 'a' }),
		];
		expect(isLinearizable(...history)).to.equal(true);
	});

	it('a call of unknown outcome took effect late', () => {
		const history = [
			call(0, 1, { op: 'put', value: 'a', outcome: 'unknown' }),
			call(2, 3, { op: 'get', result: null }),
			call(4, 5, { op: 'get', result: 'a' }),
		];
		expect(isLinearizable(...history)).to.equal(true);
	});

	it('a call of unknown outcome, or a failed one, left no trace', () => {
		for (const outcome of ['unknown', 'fail'] as const) {
			const history = [call(0, 1, { op: 'put', value: 'a', outcome }), call(2, 3, { op: 'get', result: null })];
			expect(isLinearizable(...history)).to.equal(true);
		}
	});

	it('keys are independent', () => {
		const history = [
			call(0, 1, { op: 'put', value: 'a', key: 'x' }),
			call(2, 3, { op: 'get', result: null, key: 'y' }),
		];
		expect(isLinearizable(...history)).to.equal(true);
	});

	it('many concurrent calls are decided quickly', () => {
		const history: Call[] = [];
		for (let i = 0; i < 2000; i++) {
			history.push(call(i * 2, i * 2 + 9, { op: 'put', value: `v${i}`, client: i % 5 }));
			history.push(call(i * 2 + 10, i * 2 + 11, { op: 'cas', expect: 'never', value: 'x', result: false }));
		}
		expect(isLinearizable(...history)).to.equal(true);
	});
});

describe('histories that are not linearizable', () => {
	it('a stale read', () => {
		const history = [
			call(0, 1, { op: 'put', value: 'a' }),
			call(2, 3, { op: 'put', value: 'b' }),
			call(4, 5, { op: 'get', result: 'a' }),
		];
		const report = checkLinearizable(history);
		expect(report).to.include({ isLinearizable: false, key: 'k' });
		expect(report.stuckAt).to.deep.equal([history[2]]);
	});

	it('a lost write', () => {
		const history = [call(0, 1, { op: 'put', value: 'a' }), call(2, 3, { op: 'get', result: null })];
		expect(isLinearizable(...history)).to.equal(false);
	});

	it('reads that go back in time', () => {
		const history = [
			call(0, 20, { op: 'put', value: 'a' }),
			call(2, 4, { op: 'get', result: 'a' }),
			call(5, 7, { op: 'get', result: null }),
		];
		expect(isLinearizable(...history)).to.equal(false);
	});

	it('a compare-and-set that two callers won', () => {
		const history = [
			call(0, 1, { op: 'put', value: 'a' }),
			call(2, 9, { op: 'cas', expect: 'a', value: 'b', result: true }),
			call(2, 9, { op: 'cas', expect: 'a', value: 'c', result: true }),
		];
		expect(isLinearizable(...history)).to.equal(false);
	});

	it('a write applied twice', () => {
		const history = [
			call(0, 9, { op: 'put', value: 'a' }),
			call(10, 11, { op: 'get', result: 'a' }),
			call(12, 13, { op: 'put', value: 'b' }),
			call(14, 15, { op: 'get', result: 'b' }),
			call(16, 17, { op: 'get', result: 'a' }),
		];
		expect(isLinearizable(...history)).to.equal(false);
	});

	it('a failed write that shows', () => {
		const history = [call(0, 1, { op: 'put', value: 'a', outcome: 'fail' }), call(2, 3, { op: 'get', result: 'a' })];
		expect(isLinearizable(...history)).to.equal(false);
	});

	it('a value that nobody wrote', () => {
		expect(isLinearizable(call(0, 1, { op: 'get', result: 'ghost' }))).to.equal(false);
	});
});
