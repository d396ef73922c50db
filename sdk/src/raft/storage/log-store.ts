import type { ConfState, Entry, HardState, SnapshotMeta } from '../core/types.ts';
import type { SnapshotStore } from './snapshot-store.ts';

/** What a node finds when it starts. */
export interface RecoveredLog {
	/** Undefined when none was ever written: a brand-new member. */
	readonly hardState: HardState | undefined;
	readonly confState: ConfState | undefined;
	/** The snapshot that the log starts after; index 0 when there is none. */
	readonly snapshot: SnapshotMeta;
	/** Every entry after the snapshot, contiguous. */
	readonly entries: readonly Entry[];
	/** Bytes of a torn last write that were cut off; 0 normally. */
	readonly tornBytes: number;
}

/** One durable step. Everything in it becomes durable together; nothing is acknowledged before. */
export interface LogBatch {
	readonly hardState?: HardState;
	/**
	 * Replaces what it covers, before `entries`. Entries after it stay only if the log agrees with its last term;
	 * if not, the whole log and the membership are the snapshot's.
	 */
	readonly snapshot?: SnapshotMeta;
	/** The first entry's index may be at or below the last one stored: the suffix is replaced. */
	readonly entries?: readonly Entry[];
	/** Membership as of the last applied change; lets a restart begin without replaying the log. */
	readonly confState?: ConfState;
}

/**
 * The durable log of one member of one group. Implementations: `file/` and `memory/`, one contract suite.
 *
 * Errors: `corrupt` with file and position (recovery found a bad record that is not a torn tail), `disk_full`
 * (nothing of the batch was acknowledged; the store keeps serving what it has and accepts again when there is room),
 * `internal` after a failed sync: the store is dead and must never be retried (fsyncgate).
 */
export interface LogStore extends AsyncDisposable {
	/** Once, before anything else. */
	recover(): Promise<RecoveredLog>;
	/**
	 * Appends a batch; resolves when it is durable. Batches become durable in call order; several outstanding calls
	 * share one `fdatasync` (group commit). A batch that does not fit (a gap, an index below the snapshot) is a
	 * programmer's error: `RangeError`, and nothing changes. A batch refused with `disk_full` takes those queued with
	 * it along, because they count on it: append them again in their order.
	 */
	append(batch: LogBatch): Promise<void>;
	/** The content of snapshots; the log itself only knows what they stand for. In use between `recover` and the end. */
	readonly snapshots: SnapshotStore;
	/** Entries up to and including `snapshot.index` are covered by a snapshot and may be dropped. */
	compact(snapshot: SnapshotMeta): Promise<void>;
	/** Facts for metrics. Bytes are those written; a sync may serve many batches. */
	readonly stats: { readonly syncs: number; readonly bytes: number; readonly lastSyncMs: number };
}
