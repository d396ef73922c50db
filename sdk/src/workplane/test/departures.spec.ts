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
			retire: async ({ slot }) => {
				log.push(`retire ${slot}`);
				if (slot === fails) throw new Error('no quorum');
			},
			ask: async (id, reason) => {
				log.push(`${id}: ${reason}`);
				if (id === replica(0).replicaId) done();
			},
			log: silentLogger,
		});
		return { departures, log, ended };
	}

	it('go one after the other, out of their groups first, ourselves last', async () => {
		const { departures, log, ended } = scene();
		for (const slot of [0, 1, 2, 1]) departures.add(replica(slot), 'scaled-down');
		await ended;
		expect(log).to.deep.equal([1, 2, 0].flatMap((slot) => [`retire ${slot}`, `replica-${slot}: scaled-down`]));
	});

	it('stay when a group cannot let them go, and the others go on', async () => {
		const { departures, log, ended } = scene(1);
		for (const slot of [1, 0]) departures.add(replica(slot), 'scaled-down');
		await ended;
		expect(log).to.deep.equal(['retire 1', 'retire 0', 'replica-0: scaled-down']);
	});
});
