import { expect } from 'chai';
import { describe, it } from 'mocha';
import { createBlame } from './blame.ts';

describe('blame', () => {
	it('adds up, and halves in ten seconds', () => {
		const blame = createBlame();
		for (let i = 0; i < 8; i++) blame.add('a', 0);
		expect(blame.of('a', 0)).to.equal(8);
		expect(blame.of('a', 10_000)).to.equal(4);
		blame.add('a', 10_000);
		expect(blame.of('a', 20_000)).to.equal(2.5);
		expect(blame.of('b', 0)).to.equal(0);
	});
});
