import { expect } from 'chai';
import { describe, it } from 'mocha';
import { age, bytes, cores } from './human.ts';
import { table } from './table.ts';

describe('what people read', () => {
	it('has ages as kubectl writes them', () => {
		const second = 1000;
		const cases: readonly (readonly [number, string])[] = [
			[-5, '0s'],
			[119 * second, '119s'],
			[120 * second, '2m'],
			[200 * second, '3m20s'],
			[3600 * second, '60m'],
			[5 * 3600 * second, '5h'],
			[(5 * 60 + 7) * 60 * second, '5h7m'],
			[30 * 3600 * second, '30h'],
			[72 * 3600 * second, '3d'],
		];
		for (const [ms, text] of cases) expect(age(ms)).to.equal(text);
	});

	it('has sizes in binary units and cores in thousandths', () => {
		expect([0, 512, 1024, 1.5 * 2 ** 30, 200 * 2 ** 20].map(bytes)).to.deep.equal([
			'0',
			'512',
			'1Ki',
			'1.5Gi',
			'200Mi',
		]);
		expect([2000, 1500, 250].map(cores)).to.deep.equal(['2', '1.5', '250m']);
	});

	it('is aligned, and cannot move the cursor', () => {
		const columns = [
			{ title: 'NAME', value: (row: readonly string[]) => row[0] ?? '' },
			{ title: 'X', value: (row: readonly string[]) => row[1] ?? '' },
		];
		expect(
			table(columns, [
				['long-name', ''],
				['a', '\u001b[2Jb'],
			]),
		).to.equal('NAME        X\nlong-name   <none>\na            [2Jb\n');
	});
});
