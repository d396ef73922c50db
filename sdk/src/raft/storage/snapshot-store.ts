/**
 * Where a member keeps its snapshots: whole ones by the index they stand for, and unfinished ones that nobody finds
 * again. Stores hold bytes and know nothing of what is in them; that is `snapshot-format.ts`. Implementations:
 * `file/` and `memory/`, one contract suite.
 */
export interface SnapshotReader {
	readonly bytes: number;
	/** Exactly `length` bytes. Goes on to work after the snapshot was removed. */
	read(position: number, length: number): Promise<Uint8Array>;
	close(): Promise<void>;
}

/** A snapshot in the making. */
export interface SnapshotWriter {
	write(bytes: Uint8Array): Promise<void>;
	/** Makes it whole and durable under its index. An older one of the same index is replaced. */
	commit(index: number): Promise<void>;
	/** Drops it. Never fails; does nothing after `commit`. */
	abandon(): Promise<void>;
}

/** Errors: `disk_full` when there is no room; nothing is left behind then once the writer is abandoned. */
export interface SnapshotStore {
	create(): Promise<SnapshotWriter>;
	/** Undefined when there is none of this index. */
	open(index: number): Promise<SnapshotReader | undefined>;
	/** After a start: drops everything else, what was left unfinished too. */
	keepOnly(index: number): Promise<void>;
	removeBefore(index: number): Promise<void>;
	/** For messages: where a snapshot lies. */
	nameOf(index: number): string;
}
