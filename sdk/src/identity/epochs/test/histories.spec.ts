import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { Charter } from '../../../wire/index.ts';
import { World } from './world.ts';

const STEPS = 60;

function run(seed: number, terms: Partial<Charter>, options = {}) {
	const world = new World(seed, terms, options);
	try {
		for (let i = 0; i < STEPS; i++) world.step();
		world.converge();
	} catch (error) {
		(error as Error).message = `seed ${seed}: ${(error as Error).message}`;
		throw error;
	}
	return world.tally;
}

describe('random histories of a workload', () => {
	const total = { epochs: 0, forks: 0, refused: 0, owned: 0 };
	const add = (tally: typeof total) => {
		for (const name of Object.keys(total) as (keyof typeof total)[]) total[name] += tally[name];
	};

	for (const seed of [1, 2, 3, 4, 5])
		it(`lead every party to one head, lawfully: a Deployment that one may lead on (seed ${seed})`, () => {
			add(run(seed, {}));
		});

	for (const seed of [11, 12, 13])
		it(`lead every party to one head, lawfully: a Deployment that takes two (seed ${seed})`, () => {
			add(run(seed, { admit: { k: 2 } }));
		});

	it('have had what they were made for: epochs, forks, refusals, words of the owner', () => {
		expect(total.epochs, 'epochs').to.be.greaterThan(50);
		expect(total.forks, 'forks').to.be.greaterThan(10);
		expect(total.refused, 'refusals').to.be.greaterThan(10);
		expect(total.owned, 'words of the owner').to.be.greaterThan(5);
	});

	for (const seed of [21, 22, 23])
		it(`never part in a StatefulSet whose members sign one epoch after each, while its owner is silent (seed ${seed})`, () => {
			const tally = run(seed, { kind: 'StatefulSet' }, { isOwnerSilent: true });
			expect(tally.epochs).to.be.greaterThan(0);
			expect(tally.forks).to.equal(0);
		});
});
