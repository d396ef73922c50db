import { expect } from 'chai';
import { describe, it } from 'mocha';
import { Spaced } from '../spaced.ts';

describe('what is asked for often', () => {
	/** Resolves with the times of so many acts. */
	function acts(count: number, spacingMs: number, act: () => Promise<void> = async () => {}) {
		const atMs: number[] = [];
		const done = Promise.withResolvers<number[]>();
		const spaced = new Spaced({
			act() {
				atMs.push(performance.now());
				if (atMs.length === count) done.resolve(atMs);
				return act();
			},
			spacingMs: () => spacingMs,
		});
		return { spaced, atMs, done: done.promise };
	}

	it('is done once for all who ask meanwhile, and not again before its time', async () => {
		const { spaced, atMs, done } = acts(2, 40);
		spaced.ask();
		spaced.ask();
		await spaced.now();
		for (let i = 0; i < 5; i++) spaced.ask();
		const [first = 0, second = 0] = await done;
		expect(second - first).to.be.at.least(39);
		spaced.close();
		expect(atMs).to.have.length(2);
	});

	it('is done one after the other', async () => {
		let running = 0;
		const { spaced } = acts(3, 0, async () => {
			expect(++running).to.equal(1);
			await Promise.resolve();
			running--;
		});
		await Promise.all([spaced.now(), spaced.now(), spaced.now()]);
	});

	it('is not done any more once it is closed', async () => {
		const { spaced, atMs } = acts(1, 0);
		spaced.ask();
		spaced.close();
		spaced.ask();
		await new Promise((resolve) => setImmediate(resolve));
		expect(atMs).to.deep.equal([]);
	});
});
