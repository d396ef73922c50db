import type { MachineId, Presence } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { createBackoff } from './backoff.ts';
import { createPresenceTable, DEFAULT_PRESENCE } from './presence.ts';

const [a, b] = ['machine-a', 'machine-b'] as MachineId[] as [MachineId, MachineId];
const envelope = new Uint8Array();
const NOTHING = { cpuMillis: 0, memoryBytes: 0, diskBytes: 0 };

function presenceOf(machineId: MachineId, seq: number, ttlMs = 15_000): Presence {
	return {
		machineId,
		name: 'host',
		addresses: [],
		labels: {},
		runtime: 'memory',
		version: '0',
		capacity: NOTHING,
		free: NOTHING,
		pods: 0,
		leaving: false,
		seq,
		ts: 1_000,
		exp: 1_000 + ttlMs,
	};
}

describe('presence table', () => {
	it('knows a machine until its presence runs out, by our clock', () => {
		const table = createPresenceTable();
		expect(table.accept(presenceOf(a, 1), envelope, 50_000)?.map(({ type }) => type)).to.deep.equal(['up']);
		expect(table.nextDeadlineMs()).to.equal(65_000);
		expect(table.expire(64_999)).to.deep.equal([]);
		expect(table.expire(65_000)).to.deep.equal([{ type: 'down', machineId: a, reason: 'expired' }]);
		expect(table.present()).to.deep.equal([]);
	});

	it('grants nobody more life than the limit', () => {
		const table = createPresenceTable();
		table.accept(presenceOf(a, 1, 3_600_000), envelope, 0);
		expect(table.nextDeadlineMs()).to.equal(DEFAULT_PRESENCE.ttlMaxMs);
	});

	it('takes only what is newer', () => {
		const table = createPresenceTable();
		table.accept(presenceOf(a, 5), envelope, 0);
		for (const seq of [4, 5]) {
			expect(table.isNews(a, seq)).to.equal(false);
			expect(table.accept(presenceOf(a, seq), envelope, 1)).to.equal(undefined);
		}
		expect(table.accept(presenceOf(a, 6), envelope, 1)?.[0]?.type).to.equal('changed');
	});

	it('drops a suspected machine at once, and only something newer brings it back', () => {
		const table = createPresenceTable();
		table.accept(presenceOf(a, 5), envelope, 0);
		expect(table.suspect(a, 10)).to.deep.equal([{ type: 'down', machineId: a, reason: 'suspected' }]);
		expect(table.suspect(a, 11)).to.deep.equal([]);
		expect(table.get(a)).to.equal(undefined);
		expect(table.accept(presenceOf(a, 5), envelope, 12)).to.equal(undefined);
		expect(table.accept(presenceOf(a, 6), envelope, 13)?.[0]?.type).to.equal('up');
	});

	it('takes a goodbye for one', () => {
		const table = createPresenceTable();
		table.accept(presenceOf(a, 1), envelope, 0);
		table.accept(presenceOf(b, 1), envelope, 0);
		expect(table.accept(presenceOf(a, 2, 0), envelope, 1)).to.deep.equal([
			{ type: 'down', machineId: a, reason: 'left' },
		]);
		expect(table.accept(presenceOf(a, 1), envelope, 2)).to.equal(undefined);
		expect(table.present().map(({ machineId }) => machineId)).to.deep.equal([b]);
	});

	it('remembers who went long enough to refuse an old record, then forgets', () => {
		const table = createPresenceTable();
		table.accept(presenceOf(a, 5), envelope, 0);
		table.suspect(a, 0);
		table.expire(DEFAULT_PRESENCE.memoryMs - 1);
		expect(table.isNews(a, 5)).to.equal(false);
		table.expire(DEFAULT_PRESENCE.memoryMs);
		expect(table.nextDeadlineMs()).to.equal(undefined);
	});

	it('remembers a bounded number of machines', () => {
		const table = createPresenceTable({ ...DEFAULT_PRESENCE, machinesMax: 1 });
		table.accept(presenceOf(a, 1), envelope, 0);
		expect(table.accept(presenceOf(b, 1), envelope, 0)).to.equal(undefined);
	});
});

describe('back-off', () => {
	it('doubles up to its limit, never below its least, and starts again', () => {
		const backoff = createBackoff(100, 1_000);
		expect([0, 1, 2, 3, 4, 5].map(() => backoff.next(0.999999))).to.deep.equal(
			[99, 199, 399, 799, 999, 999].map((ms) => Math.max(100, ms)),
		);
		backoff.reset();
		expect(backoff.next(0)).to.equal(100);
	});
});
