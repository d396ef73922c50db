/**
 * Keys, values and revisions as a state machine. Pure. Each change takes the next revision of the whole store, and
 * the last changes are kept, so that a watch that falls behind misses nothing or is told so.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { MeshError } from '../errors.ts';
import { ByteReader, ByteWriter } from './codec/bytes.ts';
import { packValue, unpackValue } from './codec/values.ts';
import type { Machine } from './group.types.ts';

export type KvCommand =
	| { readonly op: 'put'; readonly key: string; readonly value: Uint8Array; readonly ifRev?: number }
	| { readonly op: 'delete'; readonly key: string; readonly ifRev?: number };

export interface KvEntry {
	readonly value: Uint8Array;
	readonly rev: number;
}

export interface KvChange {
	readonly key: string;
	/** Undefined: deleted. */
	readonly value: Uint8Array | undefined;
	readonly rev: number;
}

export interface KvState {
	/** The revision of the last change; 0 for none. */
	rev: number;
	readonly entries: Map<string, KvEntry>;
	readonly history: KvHistory;
}

/** `rev` of the change; undefined for a delete that found nothing. */
export type KvResult = { readonly rev: number | undefined };

export const KEY_BYTES_MAX = 1024;

export interface HistoryLimits {
	readonly countMax: number;
	readonly bytesMax: number;
}

/** The last changes, bounded in number and bytes. */
export class KvHistory {
	private readonly countMax: number;
	private readonly bytesMax: number;
	private changes: KvChange[] = [];
	/** Dropped from the front, and not yet cut off the array. */
	private start = 0;
	private bytes = 0;
	private droppedRev: number;

	/** Begins after `rev`. */
	constructor(limits: HistoryLimits, rev = 0) {
		this.droppedRev = rev;
		this.countMax = limits.countMax;
		this.bytesMax = limits.bytesMax;
	}

	add(change: KvChange): void {
		this.changes.push(change);
		this.bytes += sizeOf(change);
		while (this.length > this.countMax || (this.bytes > this.bytesMax && this.length > 1)) this.drop();
		if (this.start <= this.changes.length / 2) return;
		this.changes = this.changes.slice(this.start);
		this.start = 0;
	}

	/** The first revision that {@link from} can begin with. */
	get oldestRev(): number {
		return this.droppedRev + 1;
	}

	/** Changes from `rev` on, which must not be below {@link oldestRev}. Every revision has one change. */
	from(rev: number): readonly KvChange[] {
		return this.changes.slice(this.start + Math.max(0, rev - this.oldestRev));
	}

	private get length(): number {
		return this.changes.length - this.start;
	}

	private drop(): void {
		const dropped = this.changes[this.start++] as KvChange;
		this.bytes -= sizeOf(dropped);
		this.droppedRev = dropped.rev;
	}
}

function sizeOf(change: KvChange): number {
	return change.key.length + (change.value?.length ?? 0) + 32;
}

/** Only {@link openKv} makes these commands, from typed arguments; what is checked is what callers choose. */
const commandSchema: StandardSchemaV1<KvCommand> = {
	'~standard': {
		version: 1,
		vendor: 'beemesh',
		validate(value) {
			const { key } = value as KvCommand;
			if (key.length > 0 && key.length <= KEY_BYTES_MAX) return { value: value as KvCommand };
			return { issues: [{ path: ['key'], message: `must have 1 to ${KEY_BYTES_MAX} characters, has ${key.length}` }] };
		},
	},
};

export function kvMachine(
	limits: HistoryLimits = { countMax: 10_000, bytesMax: 16 * 1024 * 1024 },
): Machine<KvState, StandardSchemaV1<KvCommand>, KvResult> {
	return {
		command: commandSchema,
		init: () => ({ rev: 0, entries: new Map(), history: new KvHistory(limits) }),
		apply: (state, command) => {
			const { key, op, ifRev } = command;
			const current = state.entries.get(key);
			refuseMismatch(key, current?.rev ?? 0, ifRev);
			if (op === 'delete' && current === undefined) return { rev: undefined };
			const rev = ++state.rev;
			if (op === 'put') state.entries.set(key, { value: command.value, rev });
			else state.entries.delete(key);
			state.history.add({ key, value: op === 'put' ? command.value : undefined, rev });
			return { rev };
		},
		snapshot: (state) => encodeState(state),
		restore: (bytes) => restoreState(bytes, limits),
	};
}

/** `ifRev` 0 means: must not exist. */
function refuseMismatch(key: string, rev: number, ifRev: number | undefined): void {
	if (ifRev === undefined || ifRev === rev) return;
	const found = rev === 0 ? 'it does not exist' : `it is at revision ${rev}`;
	const wanted = ifRev === 0 ? 'must not exist' : `must be at revision ${ifRev}`;
	throw new MeshError('conflict', `key ${JSON.stringify(key)} ${wanted}, but ${found}`, { details: { key, rev } });
}

/** Values are never written to, so to remember which there are is enough; they are encoded while others are written. */
const encodeState = ({ rev, entries }: KvState): AsyncIterable<Uint8Array> => encodeItems(rev, [...entries]);

const BLOCK_BYTES = 64 * 1024;

/** Blocks of `length u32 · msgpack`: first the revision, then keys with their values, a few at a time. */
async function* encodeItems(rev: number, entries: readonly (readonly [string, KvEntry])[]): AsyncGenerator<Uint8Array> {
	yield block(rev);
	let items: StoredItem[] = [];
	let bytes = 0;
	for (const [key, entry] of entries) {
		items.push([key, entry.value, entry.rev]);
		bytes += key.length + entry.value.length;
		if (bytes < BLOCK_BYTES) continue;
		yield block(items);
		items = [];
		bytes = 0;
	}
	yield block(items);
}

type StoredItem = readonly [key: string, value: Uint8Array, rev: number];

function block(content: number | readonly StoredItem[]): Uint8Array {
	const writer = new ByteWriter(BLOCK_BYTES);
	writer.bytes(packValue(content));
	return writer.view();
}

/** Without history: a watch from before the snapshot is told to list and begin anew. */
async function restoreState(bytes: AsyncIterable<Uint8Array>, limits: HistoryLimits): Promise<KvState> {
	const entries = new Map<string, KvEntry>();
	let rev: number | undefined;
	for await (const content of blocks(bytes)) {
		if (rev === undefined) {
			rev = content as number;
			continue;
		}
		for (const [key, value, entryRev] of content as readonly StoredItem[]) entries.set(key, { value, rev: entryRev });
	}
	return { rev: rev ?? 0, entries, history: new KvHistory(limits, rev) };
}

async function* blocks(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<unknown> {
	let held: Uint8Array = new Uint8Array(0);
	for await (const chunk of bytes) {
		held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
		for (;;) {
			const reader = new ByteReader(held);
			if (reader.left < LENGTH_BYTES) break;
			const length = reader.u32();
			if (reader.left < length) break;
			yield unpackValue(reader.raw(length));
			held = held.subarray(LENGTH_BYTES + length);
		}
	}
}

const LENGTH_BYTES = 4;
