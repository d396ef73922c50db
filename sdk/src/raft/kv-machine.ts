/**
 * Keys, values and revisions as a state machine. Pure. Each change takes the next revision of the whole store, and
 * the last changes are kept, so that a watch that falls behind misses nothing or is told so.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { MeshError } from '../errors.ts';
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

interface StoredState {
	readonly rev: number;
	readonly entries: readonly (readonly [key: string, value: Uint8Array, rev: number])[];
}

function encodeState({ rev, entries }: KvState): Uint8Array {
	const stored: StoredState = { rev, entries: [...entries].map(([key, entry]) => [key, entry.value, entry.rev]) };
	return packValue(stored);
}

/** Without history: a watch from before the snapshot is told to list and begin anew. */
async function restoreState(bytes: AsyncIterable<Uint8Array>, limits: HistoryLimits): Promise<KvState> {
	const chunks: Uint8Array[] = [];
	for await (const chunk of bytes) chunks.push(chunk);
	const { rev, entries } = unpackValue(Buffer.concat(chunks)) as StoredState;
	return {
		rev,
		entries: new Map(entries.map(([key, value, entryRev]) => [key, { value, rev: entryRev }])),
		history: new KvHistory(limits, rev),
	};
}
