import { expect } from 'chai';
import { describe, it } from 'mocha';
import { threeReplicas } from '../test/harness.ts';
import { type FoundReplica, overviewOf } from './overview.ts';

const self = { workload: 'web-frontend', replicas: [] };
const over = (found: readonly FoundReplica[]) => overviewOf({ workload: 'kv-store', found }, self);

describe('the overview of the mesh', () => {
	it('names the leader that a majority follows', () => {
		const { store, trouble } = over(threeReplicas(1));
		expect(store.leader).to.equal(store.replicas[1]?.replica);
		expect(trouble).to.equal(undefined);
	});

	it('believes the leader of the higher term, when a deposed one does not know yet', () => {
		const [old, , next] = [threeReplicas(0)[0], 0, threeReplicas(2)[2]];
		if (old === undefined || next?.status === undefined) throw new Error('three replicas are three');
		const { store } = over([old, { ...next, status: { ...next.status, term: 8 } }]);
		expect([store.leader, store.term]).to.deep.equal([next.replica, 8]);
	});

	it('keeps a lost member in sight, under its name', () => {
		const { store } = over(threeReplicas(0).slice(0, 2));
		expect(store.replicas.map(({ name, status }) => [name, status !== undefined])).to.deep.equal([
			['kv-store-0', true],
			['kv-store-1', true],
			['kv-store-2', false],
		]);
	});

	it('shows a replica once that is found but does not answer', () => {
		const silent = threeReplicas(0).map(({ replica, ready, status }, i) =>
			i === 2 ? { replica, ready } : { replica, ready, status },
		);
		const { store } = over(silent as FoundReplica[]);
		expect(store.replicas.map(({ name }) => name)).to.deep.equal(['kv-store-0', 'kv-store-1', 'kv-store-2']);
	});

	it('tells apart: nothing found, nothing answers, no majority', () => {
		const [one] = threeReplicas('none');
		expect(over([]).trouble?.code).to.equal('no_replicas');
		expect(over([{ replica: one?.replica ?? '', ready: true }]).trouble?.code).to.equal('unavailable');
		expect(over(threeReplicas('none')).trouble?.code).to.equal('no_quorum');
	});
});
