import type { StandardSchemaV1 } from '@standard-schema/spec';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { type Kv, type KvWatchEvent, openKv } from '../kv.ts';
import { type KvCommand, type KvResult, type KvState, kvMachine } from '../kv-machine.ts';
import { Cluster, failureOf } from './cluster.ts';

interface Config {
	readonly size: number;
}

/** Fills in a default, so that what is stored is the schema's output. */
const config: StandardSchemaV1<{ size?: number }, Config> = {
	'~standard': {
		version: 1,
		vendor: 'test',
		validate: (value) => {
			const { size = 1 } = value as { size?: number };
			return size >= 0 ? { value: { size } } : { issues: [{ message: 'size must not be negative' }] };
		},
	},
};

type KvCluster = Cluster<KvState, StandardSchemaV1<KvCommand>, KvResult>;

describe('kv', () => {
	let cluster: KvCluster;
	const kv = (id: number): Kv<{ size?: number }, Config> => openKv(cluster.group(id), config);

	beforeEach(async () => {
		cluster = new Cluster({ machine: kvMachine({ countMax: 20, bytesMax: 1024 * 1024 }) });
		await cluster.startAll([1, 2, 3]);
		await cluster.elected();
	});
	afterEach(async () => {
		await cluster[Symbol.asyncDispose]();
	});

	it('puts, gets, deletes; each change takes the next revision', async () => {
		expect(await cluster.run(kv(1).get('a'))).to.equal(undefined);
		expect(await cluster.run(kv(1).put('a', { size: 3 }))).to.equal(1n);
		expect(await cluster.run(kv(2).put('b', {}))).to.equal(2n);
		expect(await cluster.run(kv(3).get('a'))).to.deep.equal({ value: { size: 3 }, rev: 1n });
		expect(await cluster.run(kv(3).get('b'))).to.deep.equal({ value: { size: 1 }, rev: 2n });
		expect(await cluster.run(kv(3).delete('a'))).to.equal(true);
		expect(await cluster.run(kv(3).delete('a'))).to.equal(false);
		expect(await cluster.run(kv(1).get('a'))).to.equal(undefined);
		expect(await cluster.run(kv(1).revision())).to.equal(3n);
	});

	it('compares and sets: 0 means "must not exist"', async () => {
		expect(await cluster.run(kv(1).put('a', { size: 1 }, { ifRev: 0n }))).to.equal(1n);
		const taken = await failureOf(cluster.run(kv(2).put('a', { size: 2 }, { ifRev: 0n })));
		expect(taken)
			.to.include({ code: 'conflict', applied: 'no' })
			.and.to.have.deep.property('details', { key: 'a', rev: 1 });
		expect(await cluster.run(kv(2).put('a', { size: 2 }, { ifRev: 1n }))).to.equal(2n);
		expect(await failureOf(cluster.run(kv(3).delete('a', { ifRev: 1n })))).to.include({ code: 'conflict' });
		expect(await cluster.run(kv(3).delete('a', { ifRev: 2n }))).to.equal(true);
		expect(await failureOf(cluster.run(kv(1).put('a', {}, { ifRev: 2n })))).to.include({ code: 'conflict' });
	});

	it('one of many rivals wins', async () => {
		const rivals = [1, 2, 3].flatMap((id) =>
			Array.from({ length: 10 }, () => kv(id).put('lock', { size: id }, { ifRev: 0n })),
		);
		const outcomes = await cluster.run(Promise.allSettled(rivals));
		expect(outcomes.filter(({ status }) => status === 'fulfilled')).to.have.length(1);
	});

	it('refuses values and keys that do not fit', async () => {
		expect(await failureOf(kv(1).put('a', { size: -1 }))).to.include({ code: 'invalid_input' });
		expect(await failureOf(kv(1).put('', {}))).to.include({ code: 'invalid_input' });
		expect(await failureOf(kv(1).put('x'.repeat(1025), {}))).to.include({ code: 'invalid_input' });
	});

	it('lists by prefix, in order, as of one moment', async () => {
		for (const key of ['b/2', 'a/1', 'b/1', 'c']) await cluster.run(kv(1).put(key, {}));
		const keys = async (prefix: string): Promise<string[]> => {
			const found: string[] = [];
			for await (const { key } of kv(2).list(prefix)) found.push(key);
			return found;
		};
		expect(await cluster.run(keys('b/'))).to.deep.equal(['b/1', 'b/2']);
		expect(await cluster.run(keys(''))).to.deep.equal(['a/1', 'b/1', 'b/2', 'c']);
	});

	it('watches without a gap, over a change of leaders, and only its prefix', async () => {
		const watcher = [1, 2, 3].find((id) => cluster.group(id).role !== 'leader') as number;
		const abort = new AbortController();
		const seen: KvWatchEvent<Config>[] = [];
		const watching = (async (): Promise<void> => {
			for await (const event of kv(watcher).watch('w/', { from: 1n, signal: abort.signal })) seen.push(event);
		})();
		for (let i = 1; i <= 15; i++) await cluster.run(kv(1).put(i % 3 === 0 ? 'other' : 'w/a', { size: i }));
		await cluster.run((cluster.leader as NonNullable<typeof cluster.leader>).transferLeadership(watcher));
		for (let i = 16; i <= 30; i++) await cluster.run(kv(2).put('w/a', { size: i }));
		await cluster.run(kv(2).delete('w/a'));
		await cluster.until('the watch caught up', () => seen.at(-1)?.rev === 31n);
		abort.abort();
		await watching;
		const expected = Array.from({ length: 30 }, (_, i) => i + 1).filter((i) => i > 15 || i % 3 !== 0);
		expect(seen.slice(0, -1).map(({ rev }) => Number(rev))).to.deep.equal(expected);
		expect(seen.slice(0, -1).map(({ value }) => value?.size)).to.deep.equal(expected);
		expect(seen.at(-1)).to.deep.equal({ key: 'w/a', value: undefined, rev: 31n });
	});

	it('a watch from a forgotten revision is told so, and where it can begin', async () => {
		for (let i = 0; i < 30; i++) await cluster.run(kv(1).put('a', { size: i }));
		await cluster.run(kv(1).get('a'));
		const watch = kv(1).watch('', { from: 5n })[Symbol.asyncIterator]();
		const error = await failureOf(cluster.run(watch.next()));
		expect(error).to.include({ code: 'not_found' }).and.to.have.deep.property('details', { oldest: 11n });
		const fresh = kv(1).watch('', { from: 11n })[Symbol.asyncIterator]();
		expect((await cluster.run(fresh.next())).value).to.deep.include({ rev: 11n, value: { size: 10 } });
	});

	it('a snapshot holds keys and revisions', async () => {
		const machine = kvMachine();
		const state = machine.init();
		const at = { index: 1n, now: 0 };
		machine.apply(state, { op: 'put', key: 'a', value: new Uint8Array([1, 2]) }, at);
		machine.apply(state, { op: 'put', key: 'b', value: new Uint8Array([3]) }, at);
		machine.apply(state, { op: 'delete', key: 'a' }, at);
		const taken = machine.snapshot(state) as AsyncIterable<Uint8Array>;
		// Not in it: it is the state as of the call.
		machine.apply(state, { op: 'put', key: 'c', value: new Uint8Array([4]) }, at);
		const parts: Uint8Array[] = [];
		for await (const part of taken) parts.push(part);
		const bytes = Buffer.concat(parts);
		const restored = await machine.restore(
			(async function* () {
				yield bytes.subarray(0, 5);
				yield bytes.subarray(5);
			})(),
		);
		expect(restored.rev).to.equal(3);
		expect([...restored.entries]).to.deep.equal([...state.entries].slice(0, 1));
		expect(restored.history.oldestRev).to.equal(4);
	});
});
