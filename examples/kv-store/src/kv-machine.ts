/**
 * The state machine that the replicas agree on: a map of keys, a revision that counts changes, and the latest changes
 * for watchers. Every replica applies the same commands in the same order, so `apply` uses nothing but its arguments.
 */
import * as v from 'valibot';
import { bytesSchema } from './contract.ts';
import { LIMITS } from './limits.ts';
import type { Change, Entry, Page } from './store.ts';

/** Only if the key is at this revision now; 0: only if there is no such key. */
const ifRevSchema = v.exactOptional(v.number());

export const commandSchema = v.variant('op', [
	v.strictObject({ op: v.literal('put'), key: v.string(), value: bytesSchema, ifRev: ifRevSchema }),
	v.strictObject({ op: v.literal('delete'), key: v.string(), ifRev: ifRevSchema }),
]);
export type KvCommand = v.InferOutput<typeof commandSchema>;

export type CommandResult =
	/** `rev` 0: there was no key to delete, so nothing changed. */
	| { readonly type: 'done'; readonly rev: number }
	/** The key is at `rev` now; 0: there is none. */
	| { readonly type: 'conflict'; readonly rev: number };

export interface KvState {
	readonly entries: Map<string, Entry>;
	/** The latest changes, oldest first, without gaps. Invariant: the last one is `rev`. */
	changes: Change[];
	changesBytes: number;
	rev: number;
	/** Keys in order; undefined after a key came or went. Derived, so it is no part of what replicas agree on. */
	sortedKeys: readonly string[] | undefined;
}

export function emptyState(): KvState {
	return { entries: new Map(), changes: [], changesBytes: 0, rev: 0, sortedKeys: undefined };
}

export function applyCommand(state: KvState, command: KvCommand): CommandResult {
	const { key, ifRev } = command;
	const current = state.entries.get(key)?.rev ?? 0;
	if (ifRev !== undefined && ifRev !== current) return { type: 'conflict', rev: current };
	if (command.op === 'delete' && current === 0) return { type: 'done', rev: 0 };
	const rev = ++state.rev;
	if (command.op === 'put') {
		if (current === 0) state.sortedKeys = undefined;
		const entry = { key, value: command.value, rev };
		state.entries.set(key, entry);
		remember(state, entry);
	} else {
		state.sortedKeys = undefined;
		state.entries.delete(key);
		remember(state, { key, rev });
	}
	return { type: 'done', rev };
}

function remember(state: KvState, change: Change): void {
	state.changes.push(change);
	state.changesBytes += change.value?.byteLength ?? 0;
	while (state.changes.length > LIMITS.changesMax || state.changesBytes > LIMITS.changesBytesMax) {
		state.changesBytes -= state.changes.shift()?.value?.byteLength ?? 0;
	}
}

/** Undefined when some of them are no longer kept. */
export function changesSince(state: Readonly<KvState>, from: number): readonly Change[] | undefined {
	if (from > state.rev) return [];
	// Revisions count changes, so the position follows from the number.
	const start = Math.max(1, from) - (state.rev - state.changes.length + 1);
	return start < 0 ? undefined : state.changes.slice(start);
}

/** One page of the keys under a prefix, limited in number and in bytes. */
export function pageOf(
	state: KvState,
	prefix: string,
	{ after = '', limit }: { readonly after?: string; readonly limit: number },
): Page {
	state.sortedKeys ??= [...state.entries.keys()].sort();
	const keys = state.sortedKeys;
	const items: Entry[] = [];
	let bytes = 0;
	let at = after >= prefix ? firstAt(keys, (key) => key > after) : firstAt(keys, (key) => key >= prefix);
	for (; at < keys.length && keys[at]?.startsWith(prefix) === true; at++) {
		const entry = state.entries.get(keys[at] ?? '');
		if (entry === undefined) break;
		const isFull = items.length === limit || (items.length > 0 && bytes + entry.value.byteLength > LIMITS.listBytesMax);
		if (isFull) return { items, rev: state.rev, next: items.at(-1)?.key ?? '' };
		items.push(entry);
		bytes += entry.value.byteLength;
	}
	return { items, rev: state.rev };
}

/** The first position whose key passes, in an array where all after one that passes pass too. */
function firstAt(keys: readonly string[], passes: (key: string) => boolean): number {
	let low = 0;
	let high = keys.length;
	while (low < high) {
		const middle = (low + high) >>> 1;
		if (passes(keys[middle] ?? '')) high = middle;
		else low = middle + 1;
	}
	return low;
}

/**
 * The keys, one JSON line each, after a line with the revision; in one piece, because the state goes on changing.
 * Changes are not kept: older watches start anew.
 */
export function writeSnapshot(state: Readonly<KvState>): Uint8Array {
	const lines = [`${JSON.stringify({ rev: state.rev })}\n`];
	for (const { key, value, rev } of state.entries.values()) {
		lines.push(`${JSON.stringify([key, rev, Buffer.from(value).toString('base64')])}\n`);
	}
	return Buffer.from(lines.join(''));
}

export async function readSnapshot(chunks: AsyncIterable<Uint8Array>): Promise<KvState> {
	const state = emptyState();
	for await (const line of linesOf(chunks)) {
		const read: unknown = JSON.parse(line);
		if (Array.isArray(read)) {
			const [key, rev, value] = read as [string, number, string];
			state.entries.set(key, { key, rev, value: Buffer.from(value, 'base64') });
		} else state.rev = (read as { rev: number }).rev;
	}
	return state;
}

async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
	const decoder = new TextDecoder();
	let text = '';
	for await (const chunk of chunks) {
		const lines = (text + decoder.decode(chunk, { stream: true })).split('\n');
		text = lines.pop() ?? '';
		yield* lines;
	}
}
