import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import * as v from 'valibot';
import { isMeshError } from '../../errors.ts';
import { contract, rpc } from '../../streams/rpc/contract.ts';
import { createTestMesh, type TestMesh } from '../../testing/index.ts';
import type { MembershipEvent } from '../types.ts';
import type { Workplane } from '../workplane.ts';

const Greeter = contract('greeter', '1.2.0', {
	greet: rpc({ input: v.object({ name: v.string() }), output: v.string(), idempotent: true }),
	count: rpc.stream({ input: v.object({ to: v.number() }), output: v.number() }),
	sum: rpc.upload({ input: v.number(), output: v.number() }),
});

async function serveGreeter(wp: Workplane, greeting = 'hello'): Promise<void> {
	await wp.serve(Greeter, {
		greet: async ({ name }, { from }) => `${greeting} ${name} from slot ${wp.self.slot} for ${from.workload}`,
		count: async function* ({ to }) {
			for (let i = 1; i <= to; i++) yield i;
		},
		sum: async (numbers) => {
			let sum = 0;
			for await (const n of numbers) sum += n;
			return sum;
		},
	});
}

/** Reads membership until this has been seen. */
async function until(
	wp: Workplane,
	test: (event: MembershipEvent) => boolean,
	options: { workload?: string } = {},
): Promise<MembershipEvent> {
	const abort = new AbortController();
	for await (const event of wp.watch({ ...options, signal: abort.signal })) {
		if (!test(event)) continue;
		abort.abort();
		return event;
	}
	throw new Error('the watch ended');
}

async function untilReplicas(wp: Workplane, count: number, workload?: string): Promise<void> {
	const target = workload === undefined ? {} : { workload };
	for (;;) {
		const isThere = (): boolean => wp.replicas({ ...target, ready: true }).length === count;
		if (isThere()) return;
		await until(wp, isThere, target);
	}
}

describe('a workplane', function () {
	this.timeout(10_000);
	let mesh: TestMesh;
	beforeEach(() => {
		mesh = createTestMesh();
	});
	afterEach(() => mesh[Symbol.asyncDispose]());

	it('finds its replicas, each in its slot', async () => {
		const all = await Promise.all([mesh.join(), mesh.join(), mesh.join()]);
		await Promise.all(all.map((wp) => untilReplicas(wp, 3)));
		for (const wp of all) {
			expect(wp.state).to.equal('serving');
			expect(wp.replicas().map(({ slot, gen }) => [slot, gen])).to.deep.equal([
				[0, 1],
				[1, 1],
				[2, 1],
			]);
		}
	});

	it('calls a replica that serves the contract, itself included', async () => {
		const [a, b] = await Promise.all([mesh.join(), mesh.join()]);
		await serveGreeter(a);
		expect(await b.client(Greeter).greet({ name: 'x' })).to.equal('hello x from slot 0 for app');
		expect(await a.client(Greeter).greet({ name: 'y' })).to.equal('hello y from slot 0 for app');
	});

	it('streams items and uploads them', async () => {
		const [a, b] = await Promise.all([mesh.join(), mesh.join()]);
		await serveGreeter(a);
		const items: number[] = [];
		for await (const n of b.client(Greeter).count({ to: 4 })) items.push(n);
		expect(items).to.deep.equal([1, 2, 3, 4]);
		const numbers = (async function* () {
			yield* [1, 2, 3];
		})();
		expect(await b.client(Greeter).sum(numbers)).to.equal(6);
	});

	it('waits for a replica to become ready, and says who is missing when none does', async () => {
		const [a, b] = await Promise.all([mesh.join(), mesh.join()]);
		const answer = b.client(Greeter).greet({ name: 'late' });
		await serveGreeter(a);
		expect(await answer).to.match(/^hello late/);
		const Other = contract('other', '1.0.0', { ask: rpc({ input: v.object({}), output: v.string() }) });
		const error = await b
			.client(Other, { waitForReady: 0 })
			.ask({})
			.catch((e: unknown) => e);
		expect(isMeshError(error, 'no_replicas')).to.equal(true);
		expect((error as Error).message).to.contain('other@1.0.0');
	});

	it('asks all ready replicas at once', async () => {
		const all = await Promise.all([mesh.join(), mesh.join(), mesh.join()]);
		await Promise.all(all.map((wp) => serveGreeter(wp)));
		const [first] = all;
		await untilReplicas(first, 3);
		const slots: number[] = [];
		for await (const { from, value } of first.client(Greeter).all.greet({ name: 'all' })) {
			expect(value).to.contain(`from slot ${from.slot}`);
			slots.push(from.slot);
		}
		expect(slots.sort()).to.deep.equal([0, 1, 2]);
	});

	it('does not choose one that says it is not ready', async () => {
		const [a, b, c] = await Promise.all([mesh.join(), mesh.join(), mesh.join()]);
		await Promise.all([serveGreeter(a, 'a'), serveGreeter(b, 'b')]);
		await untilReplicas(c, 3);
		const gone = until(c, ({ type, replica }) => type === 'unready' && replica.peer === a.self.peer);
		a.health.setReady(false);
		await gone;
		for (let i = 0; i < 20; i++) expect(await c.client(Greeter).greet({ name: 'x' })).to.match(/^b/);
	});

	it('marks a killed replica within a second, and its calls go elsewhere', async () => {
		const [a, b, c] = await Promise.all([mesh.join(), mesh.join(), mesh.join()]);
		await Promise.all([serveGreeter(a), serveGreeter(b)]);
		await untilReplicas(c, 3);
		const greeter = c.client(Greeter, { timeout: 4000 });
		const removed = until(c, ({ type, replica }) => type === 'removed' && replica.peer === a.self.peer);
		await mesh.crash(a);
		await removed;
		for (let i = 0; i < 10; i++) expect(await greeter.greet({ name: 'x' })).to.contain('slot 1');
	});

	it('brings a crashed replica back in its slot, as the same replica', async () => {
		const [a, b] = await Promise.all([mesh.join(), mesh.join()]);
		await untilReplicas(b, 2);
		const before = a.self;
		const again = await mesh.restart(a);
		expect(again.self).to.include({ slot: before.slot, gen: before.gen });
		expect(again.self.peer).to.equal(before.peer);
		await untilReplicas(b, 2);
		expect(b.replicas().map(({ peer }) => peer)).to.include(again.self.peer);
	});

	it('drains: unready, calls in flight end, then it is gone', async () => {
		const [a, b] = await Promise.all([mesh.join(), mesh.join()]);
		const { promise: entered, resolve: enter } = Promise.withResolvers<void>();
		const { promise: open, resolve: release } = Promise.withResolvers<void>();
		await a.serve(Greeter, {
			greet: async ({ name }) => {
				enter();
				await open;
				return name;
			},
			count: async function* () {},
			sum: async () => 0,
		});
		const call = b.client(Greeter).greet({ name: 'in flight' });
		await entered;
		const unready = until(b, ({ type, replica }) => type === 'unready' && replica.peer === a.self.peer);
		const removed = until(b, ({ type, replica }) => type === 'removed' && replica.peer === a.self.peer);
		const report = a.drain();
		await unready;
		expect(a.state).to.equal('draining');
		release();
		expect(await call).to.equal('in flight');
		expect(await report).to.include({ finished: 1, aborted: 0 });
		await removed;
		expect(a.state).to.equal('left');
	});

	it('calls another workload by name', async () => {
		const kv = await Promise.all([mesh.join({ workload: 'kv' }), mesh.join({ workload: 'kv' })]);
		await Promise.all(kv.map((wp) => serveGreeter(wp)));
		const web = await mesh.join({ workload: 'web' });
		const greeter = web.client(Greeter, { workload: 'kv' });
		expect(await greeter.greet({ name: 'x' })).to.match(/for web$/);
		await untilReplicas(web, 2, 'kv');
		expect(web.replicas()).to.have.length(1);
		expect(kv[0].replicas()).to.have.length(2);
		// One that joins later is told of.
		const third = mesh.join({ workload: 'kv' });
		await untilReplicas(web, 3, 'kv');
		await third;
	});

	it('refuses replicas of another owner', async () => {
		const kv = await mesh.join({ workload: 'kv' });
		await serveGreeter(kv);
		const stranger = await mesh.join({ workload: 'web', owner: 'somebody else' });
		const client = stranger.client(Greeter, { workload: 'kv', waitForReady: 300 });
		const error = await client.greet({ name: 'x' }).catch((e: unknown) => e);
		expect(isMeshError(error, 'no_replicas')).to.equal(true);
		expect(stranger.replicas({ workload: 'kv' })).to.deep.equal([]);
	});

	it('heals a partition: both sides see all again', async () => {
		const [a, b, c] = await Promise.all([mesh.join(), mesh.join(), mesh.join()]);
		await Promise.all([a, b, c].map((wp) => untilReplicas(wp, 3)));
		const cut = mesh.partition([a], [b, c]);
		await untilReplicas(a, 1);
		await untilReplicas(b, 2);
		cut[Symbol.dispose]();
		await Promise.all([a, b, c].map((wp) => untilReplicas(wp, 3)));
	});
});
