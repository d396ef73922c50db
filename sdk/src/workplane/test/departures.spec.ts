import { expect } from 'chai';
import { describe, it } from 'mocha';
import { silentLogger } from '../../telemetry/index.ts';
import type { ReplicaId } from '../../wire/index.ts';
import { Departures } from '../departures.ts';

describe('replicas that are sent away', () => {
	const replica = (slot: number) => ({ slot, gen: 1, replicaId: `replica-${slot}` as ReplicaId });

	function scene(fails?: number) {
		const log: string[] = [];
		let done = (): void => {};
		const ended = new Promise<void>((resolve) => (done = resolve));
		const departures = new Departures({
			self: replica(0).replicaId,
			dismiss: async ({ slot, replicaId }, reason) => {
				log.push(`${replicaId}: ${reason}`);
				if (slot === 0) done();
				if (slot === fails) throw new Error('no quorum');
			},
			log: silentLogger,
		});
		return { departures, log, ended };
	}

	it('go one after the other, ourselves last', async () => {
		const { departures, log, ended } = scene();
		for (const slot of [0, 1, 2, 1]) departures.add(replica(slot), 'scaled-down');
		await ended;
		expect(log).to.deep.equal([1, 2, 0].map((slot) => `replica-${slot}: scaled-down`));
	});

	it('stay when they cannot be let go, and the others go on', async () => {
		const { departures, log, ended } = scene(1);
		for (const slot of [1, 0]) departures.add(replica(slot), 'scaled-down');
		await ended;
		expect(log).to.deep.equal([1, 0].map((slot) => `replica-${slot}: scaled-down`));
	});
});
