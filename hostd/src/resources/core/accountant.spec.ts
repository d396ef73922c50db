import type { WorkloadId } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { addResources, type Claim, createAccountant, fitsIn, NO_RESOURCES } from './accountant.ts';

const TOTAL = { cpuMillis: 4000, memoryBytes: 8000, diskBytes: 100 };

function claim(memoryBytes: number, port?: number): Claim {
	return {
		wid: 'workload-1' as WorkloadId,
		resources: { cpuMillis: 100, memoryBytes, diskBytes: 0 },
		hostPorts: port === undefined ? [] : [{ port, protocol: 'TCP' }],
	};
}

describe('accountant', () => {
	it('counts reserved, leased and running alike, and gives back what is released', () => {
		const accountant = createAccountant(TOTAL);
		expect(accountant.reserve('a', claim(3000))).to.equal(true);
		expect(accountant.reserve('b', claim(3000))).to.equal(true);
		accountant.commit('a', 'leased');
		accountant.commit('b', 'running');
		expect(accountant.free().memoryBytes).to.equal(2000);
		expect(accountant.reserve('c', claim(2001))).to.equal(false);
		expect(accountant.usage()).to.deep.include({
			leased: claim(3000).resources,
			running: claim(3000).resources,
			reserved: NO_RESOURCES,
		});
		expect(accountant.release('a')).to.equal(true);
		expect(accountant.release('a')).to.equal(false);
		expect(accountant.reserve('c', claim(5000))).to.equal(true);
	});

	it('claims a host port once, per protocol', () => {
		const accountant = createAccountant(TOTAL);
		expect(accountant.reserve('a', claim(1, 80))).to.equal(true);
		expect(accountant.reserve('b', claim(1, 80))).to.equal(false);
		expect(accountant.reserve('c', { ...claim(1), hostPorts: [{ port: 80, protocol: 'UDP' }] })).to.equal(true);
	});

	it('keeps a key for its first claim', () => {
		const accountant = createAccountant(TOTAL);
		accountant.reserve('a', claim(1));
		expect(accountant.reserve('a', claim(2))).to.equal(false);
		expect(accountant.free().memoryBytes).to.equal(7999);
	});

	it('counts replicas that deploy or run, not offers', () => {
		const accountant = createAccountant(TOTAL);
		accountant.reserve('a', claim(1));
		expect(accountant.replicasOf('workload-1' as WorkloadId)).to.equal(0);
		accountant.commit('a', 'leased');
		accountant.adopt('b', claim(1));
		expect(accountant.replicasOf('workload-1' as WorkloadId)).to.equal(2);
	});

	it('adopts what runs although it does not fit, and then has nothing free', () => {
		const accountant = createAccountant(TOTAL);
		accountant.adopt('a', claim(9000));
		expect(accountant.free().memoryBytes).to.equal(0);
		expect(accountant.reserve('b', claim(1))).to.equal(false);
	});

	it('tells of each change', () => {
		const accountant = createAccountant(TOTAL);
		let changes = 0;
		const stop = accountant.onChange(() => changes++);
		accountant.reserve('a', claim(1));
		accountant.release('a');
		accountant.release('a');
		stop();
		accountant.setAllocatable(TOTAL);
		expect(changes).to.equal(2);
	});

	it('never promises more than there is, whatever the order', () => {
		let state = 42;
		const random = () => {
			state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
			return state / 2 ** 32;
		};
		const accountant = createAccountant(TOTAL);
		const held = new Map<string, Claim>();
		for (let i = 0; i < 5_000; i++) {
			const key = `k${Math.floor(random() * 12)}`;
			if (random() < 0.5) {
				const wanted = claim(Math.floor(random() * 4000));
				if (accountant.reserve(key, wanted)) held.set(key, wanted);
			} else if (accountant.release(key)) held.delete(key);
			const sum = [...held.values()].reduce((all, one) => addResources(all, one.resources), NO_RESOURCES);
			expect(fitsIn(sum, TOTAL)).to.equal(true);
			expect(accountant.free().memoryBytes).to.equal(TOTAL.memoryBytes - sum.memoryBytes);
		}
	});
});
