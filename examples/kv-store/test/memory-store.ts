/**
 * The store's interface over a plain map, for tests of what stands on it: HTTP and the typed contract. It forgets
 * changes older than `keep`, and fails on request as a real group does.
 */
import { type MeshCode, MeshError } from '@beemesh/sdk';
import type { Change, Entry, Page, ReadOptions, Status, Store, WriteOptions } from '../src/store.ts';

export class MemoryStore implements Store {
	/** Set: linearizable operations fail with this code. */
	failure: MeshCode | undefined;
	readonly #keep: number;
	readonly #entries = new Map<string, Entry>();
	#changes: Change[] = [];
	#rev = 0;
	readonly #listeners = new Set<() => void>();

	constructor(keep = 1000) {
		this.#keep = keep;
	}

	async get(key: string, { stale = false }: ReadOptions = {}): Promise<Entry | undefined> {
		if (!stale) this.#mayFail();
		return this.#entries.get(key);
	}

	async put(key: string, value: Uint8Array, options: WriteOptions = {}): Promise<number> {
		this.#mayFail();
		this.#check(key, options);
		const rev = this.#record({ key, value, rev: this.#rev + 1 });
		this.#entries.set(key, { key, value, rev });
		return rev;
	}

	async delete(key: string, options: WriteOptions = {}): Promise<number | undefined> {
		this.#mayFail();
		this.#check(key, options);
		if (!this.#entries.delete(key)) return undefined;
		return this.#record({ key, rev: this.#rev + 1 });
	}

	async list(prefix: string, options: ReadOptions & { after?: string; limit: number }): Promise<Page> {
		if (options.stale !== true) this.#mayFail();
		const keys = [...this.#entries.keys()]
			.filter((key) => key.startsWith(prefix) && key > (options.after ?? ''))
			.sort();
		const items = keys.slice(0, options.limit).map((key) => this.#entries.get(key) as Entry);
		const last = items.at(-1);
		return { items, rev: this.#rev, ...(keys.length > items.length && last !== undefined ? { next: last.key } : {}) };
	}

	async watch(prefix: string, options: { from?: number; signal: AbortSignal }): Promise<AsyncIterable<Change>> {
		const from = options.from ?? this.#rev + 1;
		const oldest = this.#changes[0]?.rev ?? this.#rev + 1;
		if (from < oldest && oldest > 1) {
			throw new MeshError('not_found', 'changes that old are not kept', { details: { oldest } });
		}
		return this.#follow(prefix, from, options.signal);
	}

	async *#follow(prefix: string, from: number, signal: AbortSignal): AsyncIterable<Change> {
		let next = from;
		while (!signal.aborted) {
			const ready = this.#changes.filter((change) => change.rev >= next);
			next = Math.max(next, this.#rev + 1);
			yield* ready.filter((change) => change.key.startsWith(prefix));
			if (this.#rev >= next) continue;
			await new Promise<void>((resolve) => {
				this.#listeners.add(resolve);
				signal.addEventListener('abort', () => resolve(), { once: true });
			});
		}
	}

	status(): Status {
		const hasQuorum = this.failure !== 'no_quorum';
		return {
			self: { id: 1, replica: 'memory', name: 'kv-store-0' },
			role: hasQuorum ? 'leader' : 'candidate',
			term: 1,
			...(hasQuorum ? { leader: 1 } : {}),
			commitIndex: this.#rev,
			hasQuorum,
			...(this.failure === 'disk_full' ? { diskFull: true } : {}),
			members: [{ id: 1, name: 'kv-store-0', voter: true, replica: 'memory' }],
		};
	}

	#record(change: Change): number {
		this.#rev = change.rev;
		this.#changes = [...this.#changes, change].slice(-this.#keep);
		for (const wake of this.#listeners) wake();
		this.#listeners.clear();
		return change.rev;
	}

	#check(key: string, { ifRev }: WriteOptions): void {
		const rev = this.#entries.get(key)?.rev ?? 0;
		if (ifRev === undefined || ifRev === rev) return;
		throw new MeshError('conflict', `'${key}' is at revision ${rev}, not ${ifRev}`, { details: { rev } });
	}

	#mayFail(): void {
		if (this.failure !== undefined) throw new MeshError(this.failure, `the test asked for ${this.failure}`);
	}
}
