import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import * as v from 'valibot';
import { isMeshError } from '../../errors.ts';
import type { Group, Machine } from '../../raft/group.types.ts';
import { createTestMesh, type TestMesh } from '../../testing/index.ts';
import type { Workplane } from '../workplane.ts';

const addSchema = v.strictObject({ add: v.number() });
interface Counter {
	n: number;
}
const counter: Machine<Counter, typeof addSchema, number> = {
	command: addSchema,
	init: () => ({ n: 0 }),
	apply: (state, { add }) => (state.n += add),
	snapshot: ({ n }) => new TextEncoder().encode(String(n)),
	async restore(bytes) {
		let text = '';
		for await (const chunk of bytes) text += new TextDecoder().decode(chunk);
		return { n: Number(text) };
	},
};
type CounterGroup = Group<Counter, { add: number }, number>;

function open(wp: Workplane): Promise<CounterGroup> {
	return wp.group('counter', counter);
}

/** Resolves when the test holds, looking at every event of these replicas. */
function until(wps: readonly Workplane[], test: () => boolean): Promise<void> {
	return new Promise((resolve) => {
		const abort = new AbortController();
		const look = (): void => {
			if (!test()) return;
			abort.abort();
			resolve();
		};
		for (const wp of wps) for (const type of ['consensus', 'member', 'state'] as const) wp.on(type, look, abort);
		look();
	});
}

describe('groups of a workplane', function () {
	this.timeout(20_000);
	let mesh: TestMesh;
	beforeEach(() => {
		mesh = createTestMesh();
	});
	afterEach(() => mesh[Symbol.asyncDispose]());

	async function trio(): Promise<{ wps: Workplane[]; groups: CounterGroup[] }> {
		const wps = await Promise.all([mesh.join(), mesh.join(), mesh.join()]);
		const groups = await Promise.all(wps.map(open));
		await until(wps, () => groups.every(({ leaderId }) => leaderId !== undefined));
		return { wps, groups };
	}

	it('replicates an app’s state machine; a replica is ready once it is a voter', async () => {
		const { wps, groups } = await trio();
		await Promise.all(groups.map((group) => group.propose({ add: 1 })));
		for (const group of groups) expect(await group.read(({ n }) => n)).to.equal(3);
		await until(wps, () => wps.every((wp) => wp.replicas({ ready: true }).length === 3));
		expect(groups.filter(({ role }) => role === 'leader')).to.have.length(1);
	});

	it('goes on after the leader was killed, and takes it back with its log', async () => {
		const { wps, groups } = await trio();
		await groups[0]?.propose({ add: 5 });
		const lead = groups.findIndex(({ role }) => role === 'leader');
		const leader = wps[lead] as Workplane;
		await mesh.crash(leader);
		const rest = groups.filter((_, i) => i !== lead);
		expect(await rest[0]?.propose({ add: 1 })).to.equal(6);
		const again = await mesh.restart(leader);
		expect(again.self).to.include({ slot: leader.self.slot, gen: 1 });
		const group = await open(again);
		expect(await group.read(({ n }) => n)).to.equal(6);
	});

	it('replaces a member that lost its disk by a new one, as a learner first', async () => {
		const { wps, groups } = await trio();
		await groups[0]?.propose({ add: 5 });
		const [dead, ...others] = wps as [Workplane, Workplane, Workplane];
		await mesh.crash(dead);
		// A new data directory takes the free slot under the next generation.
		const fresh = await mesh.join();
		expect(fresh.self).to.include({ slot: dead.self.slot, gen: 2 });
		const group = await open(fresh);
		await until([fresh, ...others], () => group.role === 'follower' || group.role === 'leader');
		expect(await group.read(({ n }) => n)).to.equal(5);
		// The membership may still be in its joint state for a moment; it says so with an event of its own.
		const isSettled = (): boolean =>
			group.members().length === 3 && group.members().every(({ kind }) => kind === 'voter');
		if (!isSettled()) await new Promise<void>((resolve) => group.onEvent(() => isSettled() && resolve()));
		// The old generation is not let in again.
		const returned = await mesh.restart(dead).catch((error: unknown) => error);
		if (!isMeshError(returned)) expect((returned as Workplane).self).to.not.include({ slot: dead.self.slot, gen: 1 });
	});

	it('refuses writes on the minority side of a partition', async () => {
		const { wps, groups } = await trio();
		const cut = mesh.partition(wps.slice(0, 1), wps.slice(1));
		expect(await groups[1]?.propose({ add: 1 })).to.equal(1);
		const error = await groups[0]?.propose({ add: 1 }).catch((e: unknown) => e);
		expect(isMeshError(error) && ['no_quorum', 'unknown_outcome'].includes(error.code)).to.equal(true);
		cut[Symbol.dispose]();
		expect(await groups[0]?.read(({ n }) => n)).to.be.at.least(1);
	});

	it('hands over leadership when it drains', async () => {
		const { wps, groups } = await trio();
		const lead = groups.findIndex(({ role }) => role === 'leader');
		const rest = groups.filter((_, i) => i !== lead);
		const drained = wps[lead]?.drain();
		await until(wps, () => rest.some(({ role }) => role === 'leader'));
		expect(await rest[0]?.propose({ add: 2 })).to.equal(2);
		await drained;
	});

	it('keeps keys with revisions (kv)', async () => {
		const wps = await Promise.all([mesh.join(), mesh.join(), mesh.join()]);
		const [a, b] = await Promise.all(wps.map((wp) => wp.kv('config', v.strictObject({ on: v.boolean() }))));
		const rev = await a?.put('k', { on: true });
		expect(await b?.get('k')).to.deep.equal({ value: { on: true }, rev });
	});
});
