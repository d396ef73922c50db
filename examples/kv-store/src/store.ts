/**
 * What the HTTP API and the typed contract stand on: a replicated map in which every change has a revision, a number
 * that grows with each change to any key. `mesh-store.ts` implements it on the SDK.
 */
export interface Entry {
	readonly key: string;
	readonly value: Uint8Array;
	/** The revision of the change that wrote this value. */
	readonly rev: number;
}

/** A change; without a value the key was deleted. */
export interface Change {
	readonly key: string;
	readonly value?: Uint8Array;
	readonly rev: number;
}

export interface Page {
	readonly items: readonly Entry[];
	/** Every change up to this revision is in the page: watch from `rev + 1` to miss nothing. */
	readonly rev: number;
	/** The key to go on after, when there is more. */
	readonly next?: string;
}

export interface ReadOptions {
	/** Answer from this replica's memory, possibly old, even without a quorum. Default false: linearizable. */
	readonly stale?: boolean;
}

export interface WriteOptions {
	/** Only if the key is at this revision now; 0: only if there is no such key. Else `conflict` with `{rev}`. */
	readonly ifRev?: number;
}

export type Role = 'leader' | 'follower' | 'candidate' | 'learner';

export interface Member {
	/** The member's number in its Raft group. */
	readonly id: number;
	/** What people call it, such as kv-store-0. */
	readonly name: string;
	readonly voter: boolean;
	/** The replica behind it, when it is known here. */
	readonly replica?: string;
}

export interface Status {
	/** This replica. */
	readonly self: { readonly id: number; readonly replica: string; readonly name: string };
	readonly role: Role;
	readonly term: number;
	/** The leader's member id, when this replica knows one. */
	readonly leader?: number;
	readonly commitIndex: number;
	readonly hasQuorum: boolean;
	/** True while this replica's disk has no room for its log: it takes no writes and falls behind. */
	readonly diskFull?: boolean;
	readonly members: readonly Member[];
}

/** Failures are the mesh's errors: `no_quorum`, `unknown_outcome`, `conflict`, … */
export interface KeyStore {
	get(key: string, options?: ReadOptions): Promise<Entry | undefined>;
	/** The revision of the change. */
	put(key: string, value: Uint8Array, options?: WriteOptions): Promise<number>;
	/** The revision of the change; undefined when there is no such key. */
	delete(key: string, options?: WriteOptions): Promise<number | undefined>;
	/** A page of entries in the order of their keys. */
	list(prefix: string, options: ReadOptions & { readonly after?: string; readonly limit: number }): Promise<Page>;
}

/** What one replica of kv-store holds: the keys, their changes, and its part in the group. */
export interface Store extends KeyStore {
	/**
	 * Changes in order, from revision `from` on, or only new ones; resolves once it listens. Rejects with `not_found`
	 * and the oldest revision kept as `details.oldest` when changes since `from` are no longer kept.
	 */
	watch(
		prefix: string,
		options: { readonly from?: number; readonly signal: AbortSignal },
	): Promise<AsyncIterable<Change>>;
	status(): Status;
}
