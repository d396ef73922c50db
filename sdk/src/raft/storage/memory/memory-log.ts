/**
 * The durable log of a test or of a replica that asked for no disk. It keeps what a file log keeps, for as long as
 * the medium lives: open the same {@link MemoryMedium} again and the member restarts.
 */

import { MeshError } from '../../../errors.ts';
import type { SnapshotMeta } from '../../core/types.ts';
import { LogState } from '../log-state.ts';
import type { LogBatch, LogStore, RecoveredLog } from '../log-store.ts';
import type { SnapshotStore } from '../snapshot-store.ts';
import { MemorySnapshots } from './memory-snapshots.ts';

/** What outlives a member's process. The switches make it fail as a disk does. */
export class MemoryMedium {
	readonly state = new LogState();
	readonly snapshots: SnapshotStore = new MemorySnapshots(() => this.full);
	/** While true, batches are refused with `disk_full`. */
	full = false;
	/** The next sync fails; the store that saw it is dead. */
	failNextSync = false;
	/** Open in some store: a second one is refused, as with files. */
	held = false;
}

export function openMemoryLog(medium: MemoryMedium = new MemoryMedium()): LogStore {
	return new MemoryLog(medium);
}

class MemoryLog implements LogStore {
	private readonly medium: MemoryMedium;
	private open = false;
	private dead: MeshError | undefined;
	private syncs = 0;

	constructor(medium: MemoryMedium) {
		this.medium = medium;
	}

	get snapshots(): SnapshotStore {
		return this.medium.snapshots;
	}

	get stats(): LogStore['stats'] {
		return { syncs: this.syncs, bytes: 0, lastSyncMs: 0 };
	}

	async recover(): Promise<RecoveredLog> {
		if (this.medium.held) {
			throw new MeshError('conflict', 'memory log is open in another member; close that one first');
		}
		this.medium.held = true;
		this.open = true;
		return this.medium.state.recovered(0);
	}

	compact(snapshot: SnapshotMeta): Promise<void> {
		return this.append({ snapshot });
	}

	async append(batch: LogBatch): Promise<void> {
		if (!this.open) throw new MeshError('internal', 'log is not open; recover() comes first', { applied: 'no' });
		if (this.dead !== undefined) throw this.dead;
		if (this.medium.full) throw new MeshError('disk_full', 'memory log is full; free space and it goes on');
		if (this.medium.failNextSync) {
			this.medium.failNextSync = false;
			this.dead = new MeshError('internal', 'sync of the memory log failed; this member must be replaced');
			throw this.dead;
		}
		this.syncs++;
		this.medium.state.append(batch);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		if (this.open) this.medium.held = false;
		this.open = false;
	}
}
