import { expect } from 'chai';
import { describe, it } from 'mocha';
import {
	applyCommand,
	changesSince,
	emptyState,
	type KvState,
	pageOf,
	readSnapshot,
	writeSnapshot,
} from './kv-machine.ts';
import { LIMITS } from './limits.ts';

const put = (state: KvState, key: string, value: string | Uint8Array = key, ifRev?: number) =>
	applyCommand(state, { op: 'put', key, value: Buffer.from(value), ...(ifRev === undefined ? {} : { ifRev }) });
const remove = (state: KvState, key: string, ifRev?: number) =>
	applyCommand(state, { op: 'delete', key, ...(ifRev === undefined ? {} : { ifRev }) });
const keysOf = (items: readonly { key: string }[]) => items.map(({ key }) => key);

describe("kv-store's state machine", () => {
	it('counts changes, and only changes', () => {
		const state = emptyState();
		expect(put(state, 'a')).to.deep.equal({ type: 'done', rev: 1 });
		expect(remove(state, 'b')).to.deep.equal({ type: 'done', rev: 0 });
		expect(put(state, 'a', 'x', 7)).to.deep.equal({ type: 'conflict', rev: 1 });
		expect(remove(state, 'a')).to.deep.equal({ type: 'done', rev: 2 });
		expect(state.rev).to.equal(2);
	});

	it('compares revisions, where 0 stands for no key', () => {
		const state = emptyState();
		expect(put(state, 'a', '1', 0).type).to.equal('done');
		expect(put(state, 'a', '2', 0)).to.deep.equal({ type: 'conflict', rev: 1 });
		expect(put(state, 'a', '2', 1).type).to.equal('done');
		expect(remove(state, 'a', 1)).to.deep.equal({ type: 'conflict', rev: 2 });
		expect(remove(state, 'a', 2).type).to.equal('done');
		expect(remove(state, 'a', 2)).to.deep.equal({ type: 'conflict', rev: 0 });
	});

	it('lists keys of a prefix in order, page by page', () => {
		const state = emptyState();
		for (const key of ['b/2', 'a', 'b/1', 'b', 'b/3', 'c', 'b0']) put(state, key);
		expect(keysOf(pageOf(state, 'b/', { limit: 10 }).items)).to.deep.equal(['b/1', 'b/2', 'b/3']);
		expect(keysOf(pageOf(state, '', { limit: 10 }).items)).to.deep.equal(['a', 'b', 'b/1', 'b/2', 'b/3', 'b0', 'c']);
		const first = pageOf(state, 'b', { limit: 2 });
		expect([keysOf(first.items), first.next]).to.deep.equal([['b', 'b/1'], 'b/1']);
		const rest = pageOf(state, 'b', { limit: 10, after: 'b/1' });
		expect([keysOf(rest.items), rest.next]).to.deep.equal([['b/2', 'b/3', 'b0'], undefined]);
		remove(state, 'b/2');
		expect(keysOf(pageOf(state, 'b/', { limit: 10 }).items)).to.deep.equal(['b/1', 'b/3']);
		expect(pageOf(state, 'b/', { limit: 10, after: 'z' }).items).to.deep.equal([]);
	});

	it('ends a page before it gets too large, but never leaves it empty', () => {
		const state = emptyState();
		const half = new Uint8Array(LIMITS.listBytesMax / 2);
		for (const key of ['a', 'b', 'c']) put(state, key, half);
		expect(pageOf(state, '', { limit: 10 })).to.include({ next: 'b' });
		expect(pageOf(state, '', { limit: 10, after: 'b' }).items).to.have.length(1);
	});

	it('keeps the latest changes, and says when older ones are asked for', () => {
		const state = emptyState();
		for (let i = 0; i < LIMITS.changesMax + 5; i++) put(state, 'a', String(i));
		expect(changesSince(state, 5)).to.equal(undefined);
		expect(changesSince(state, 6)).to.have.length(LIMITS.changesMax);
		expect(changesSince(state, state.rev)?.map(({ rev }) => rev)).to.deep.equal([state.rev]);
		expect(changesSince(state, state.rev + 1)).to.deep.equal([]);
		expect(changesSince(emptyState(), 0)).to.deep.equal([]);
		expect(changesSince(emptyState(), 1)).to.deep.equal([]);
	});

	it('forgets changes that would take too much memory', () => {
		const state = emptyState();
		const large = new Uint8Array(LIMITS.valueBytesMax);
		for (let i = 0; i < 40; i++) put(state, 'a', large);
		expect(state.changes).to.have.length(LIMITS.changesBytesMax / LIMITS.valueBytesMax);
		expect(state.changes.at(-1)?.rev).to.equal(40);
	});

	it('comes back from a snapshot, however it was cut', async () => {
		const state = emptyState();
		put(state, 'ü\n"', Uint8Array.of(0, 255, 10));
		put(state, 'b');
		remove(state, 'b');
		const bytes = writeSnapshot(state);
		const read = await readSnapshot(
			(async function* () {
				for (const byte of bytes) yield Uint8Array.of(byte);
			})(),
		);
		expect(read.rev).to.equal(3);
		expect([...read.entries.values()].map(({ key, rev, value }) => [key, rev, [...value]])).to.deep.equal([
			['ü\n"', 1, [0, 255, 10]],
		]);
		expect(changesSince(read, 3)).to.equal(undefined);
		expect(put(read, 'b')).to.deep.equal({ type: 'done', rev: 4 });
		expect(changesSince(read, 4)).to.have.length(1);
	});
});
