import { expect } from 'chai';
import { describe, it } from 'mocha';
import { simulate } from '../index.ts';
import { MUTANTS } from '../mutants.ts';

const SEEDS = 1000;
/** Seeds to search for a planted bug before the simulation counts as blind to it. */
const SEARCH = 2000;
/** A loaded machine is several times slower than the ten seconds that the seeds take on an idle one. */
const TIMEOUT_MS = 300_000;

describe('simulation of a group of five (Raft figure 3)', () => {
	it(`holds every promise over ${SEEDS} seeds with all faults`, function () {
		this.timeout(TIMEOUT_MS);
		const violations: string[] = [];
		let calls = 0;
		let elections = 0;
		for (let seed = 1; seed <= SEEDS; seed++) {
			const result = simulate({ seed, nodes: 5 });
			calls += result.calls;
			elections += result.elections;
			if (result.violation === undefined) continue;
			violations.push(`npm run sim -- raft --nodes 5 --seed ${seed}: ${result.violation.message}`);
		}
		expect(violations).to.deep.equal([]);
		// Runs in which nothing happens would keep every promise, too.
		expect(calls / SEEDS).to.be.above(50);
		expect(elections / SEEDS).to.be.above(3);
	});

	it('replays a seed exactly', () => {
		const run = () => simulate({ seed: 77, nodes: 5 });
		expect(run()).to.deep.equal(run());
	});

	for (const nodes of [1, 2, 3, 7]) {
		it(`holds for a group of ${nodes}`, function () {
			this.timeout(TIMEOUT_MS);
			for (let seed = 1; seed <= 50; seed++) {
				expect(simulate({ seed, nodes }).violation, `seed ${seed}`).to.equal(undefined);
			}
		});
	}
});

describe('the simulation notices a planted bug', () => {
	for (const { name, options, fromSeed = 1 } of MUTANTS) {
		it(name, function () {
			this.timeout(TIMEOUT_MS);
			const lastSeed = fromSeed + SEARCH;
			let seed = fromSeed;
			while (seed < lastSeed && simulate({ seed, nodes: 5, ...options }).violation === undefined) seed += 1;
			expect(seed, `seeds ${fromSeed}..${lastSeed} show nothing`).to.be.below(lastSeed);
		});
	}
});
