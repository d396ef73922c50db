/** A replicated map with revisions, compare-and-set and watches: {@link kvMachine} on a group, values by schema. */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { MeshError } from '../errors.ts';
import { packValue, unpackValue } from './codec/values.ts';
import type { Group, ReadOptions } from './group.types.ts';
import type { KvCommand, KvResult, KvState } from './kv-machine.ts';

export type KvGroup = Group<KvState, KvCommand, KvResult>;

export interface KvItem<V> {
	readonly key: string;
	readonly value: V;
	readonly rev: bigint;
}

export interface KvWatchEvent<V> {
	readonly key: string;
	/** Undefined: deleted. */
	readonly value: V | undefined;
	readonly rev: bigint;
}

export interface WriteOptions {
	/** Only if the key is at this revision; 0 for "must not exist". Otherwise `conflict`, with `details.rev`. */
	readonly ifRev?: bigint;
	/** Makes repeats of the same write, by anybody, apply once. */
	readonly id?: string;
	readonly signal?: AbortSignal;
}

/** Every change has a revision of its own, counted over the whole store. Errors: those of {@link Group}. */
export interface Kv<I, V> extends AsyncDisposable {
	get(key: string, options?: ReadOptions): Promise<{ readonly value: V; readonly rev: bigint } | undefined>;
	/** Returns the new revision. Errors: `conflict`, `invalid_input`. */
	put(key: string, value: I, options?: WriteOptions): Promise<bigint>;
	/** False when there was nothing to delete. Errors: `conflict`. */
	delete(key: string, options?: WriteOptions): Promise<boolean>;
	/** As of one moment, in order of keys. */
	list(prefix: string, options?: ReadOptions): AsyncIterable<KvItem<V>>;
	/**
	 * Every change to keys with this prefix, in order and without a gap, from revision `from` on; by default from now.
	 * Errors: `not_found` when `from` is so old that changes were forgotten (`details.oldest`): list, then watch.
	 */
	watch(
		prefix: string,
		options?: { readonly from?: bigint; readonly signal?: AbortSignal },
	): AsyncIterable<KvWatchEvent<V>>;
	/** The revision of the last change. */
	revision(options?: ReadOptions): Promise<bigint>;
	readonly group: KvGroup;
}

export function openKv<V extends StandardSchemaV1>(
	group: KvGroup,
	schema: V,
): Kv<StandardSchemaV1.InferInput<V>, StandardSchemaV1.InferOutput<V>> {
	return new GroupKv(group, schema);
}

class GroupKv<V extends StandardSchemaV1>
	implements Kv<StandardSchemaV1.InferInput<V>, StandardSchemaV1.InferOutput<V>>
{
	readonly group: KvGroup;
	private readonly schema: V;

	constructor(group: KvGroup, schema: V) {
		this.group = group;
		this.schema = schema;
	}

	async get(
		key: string,
		options?: ReadOptions,
	): Promise<{ readonly value: StandardSchemaV1.InferOutput<V>; readonly rev: bigint } | undefined> {
		const entry = await this.group.read((state) => state.entries.get(key), options);
		return entry && { value: this.decode(entry.value), rev: BigInt(entry.rev) };
	}

	async put(key: string, value: StandardSchemaV1.InferInput<V>, options: WriteOptions = {}): Promise<bigint> {
		const bytes = packValue(await this.validated(key, value));
		const { rev } = await this.write({ op: 'put', key, value: bytes }, options);
		if (rev === undefined)
			throw new MeshError('internal', `put of ${JSON.stringify(key)} came back without a revision`);
		return BigInt(rev);
	}

	async delete(key: string, options: WriteOptions = {}): Promise<boolean> {
		const { rev } = await this.write({ op: 'delete', key }, options);
		return rev !== undefined;
	}

	async *list(prefix: string, options?: ReadOptions): AsyncGenerator<KvItem<StandardSchemaV1.InferOutput<V>>> {
		const found = await this.group.read(
			({ entries }) => [...entries].filter(([key]) => key.startsWith(prefix)),
			options,
		);
		found.sort(([a], [b]) => (a < b ? -1 : 1));
		for (const [key, { value, rev }] of found) yield { key, value: this.decode(value), rev: BigInt(rev) };
	}

	async *watch(
		prefix: string,
		{ from, signal }: { readonly from?: bigint; readonly signal?: AbortSignal } = {},
	): AsyncGenerator<KvWatchEvent<StandardSchemaV1.InferOutput<V>>> {
		let next = from === undefined ? Number(await this.revision(signal && { signal })) + 1 : Number(from);
		for await (const { state } of this.group.changes(signal && { signal })) {
			// Taken before the first yield: while the watcher works the state moves on.
			refuseForgotten(next, state);
			const changes = state.history.from(next);
			next = Math.max(next, state.rev + 1);
			for (const { key, value, rev } of changes) {
				if (signal?.aborted) return;
				if (!key.startsWith(prefix)) continue;
				yield { key, value: value && this.decode(value), rev: BigInt(rev) };
			}
		}
	}

	async revision(options?: ReadOptions): Promise<bigint> {
		return BigInt(await this.group.read(({ rev }) => rev, options));
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.group[Symbol.asyncDispose]();
	}

	private write(command: KvCommand, { ifRev, id, signal }: WriteOptions): Promise<KvResult> {
		const checked = ifRev === undefined ? command : { ...command, ifRev: Number(ifRev) };
		return this.group.propose(checked, { ...(id !== undefined && { id }), ...(signal && { signal }) });
	}

	private decode(bytes: Uint8Array): StandardSchemaV1.InferOutput<V> {
		return unpackValue(bytes) as StandardSchemaV1.InferOutput<V>;
	}

	private async validated(key: string, value: unknown): Promise<unknown> {
		const result = await this.schema['~standard'].validate(value);
		if (!result.issues) return result.value;
		const message = `the value for ${JSON.stringify(key)} does not fit its schema: ${result.issues[0]?.message ?? ''}`;
		throw new MeshError('invalid_input', message);
	}
}

function refuseForgotten(next: number, { history }: Readonly<KvState>): void {
	const { oldestRev } = history;
	if (next >= oldestRev) return;
	const message = `changes before revision ${oldestRev} are no longer kept, and the watch wants ${next}: list the keys, then watch`;
	throw new MeshError('not_found', message, { details: { oldest: BigInt(oldestRev) } });
}
