/**
 * Snapshots of one member: when it takes one of its own, how one of the leader's is installed, and that the log and
 * the files beside it always tell the same story. The order is the contract: a snapshot is durable before the log
 * names it, the log names it before older ones go, and the core hears of it last.
 */
import { isMeshError } from '../errors.ts';
import type { Logger } from '../telemetry/index.ts';
import type { Entry, SnapshotMeta } from './core/index.ts';
import type { LogStore } from './storage/log-store.ts';
import { corruptSnapshot, encodeSnapshot, readSnapshot } from './storage/snapshot-format.ts';

/** How much of the log stays in memory for followers that are a little behind, as a part of what a snapshot covers. */
const MARGIN_PARTS = 8;
const ENTRY_OVERHEAD_BYTES = 16;

export interface SnapshotsRoutes {
	/** What the state stands for now; undefined when this is no moment to say so. */
	describe(): SnapshotMeta | undefined;
	/** The state as of this call. */
	capture(): AsyncIterable<Uint8Array>;
	restore(meta: SnapshotMeta, content: AsyncIterable<Uint8Array>): Promise<void>;
	compacted(snapshot: SnapshotMeta, compactIndex: number): void;
}

export class Snapshots {
	private readonly log: LogStore;
	private readonly routes: SnapshotsRoutes;
	private readonly logger: Logger;
	private readonly afterBytes: number;
	/** The newest that the log names. */
	private current = 0;
	private currentBytes = 0;
	/** Applied since the state of the last snapshot. */
	private appliedBytes = 0;
	/** Indices at which another part of `afterBytes` had been applied. */
	private marks: number[] = [];
	private markedBytes = 0;
	private taking: Promise<void> | undefined;
	private isClosed = false;

	constructor(log: LogStore, routes: SnapshotsRoutes, logger: Logger, afterBytes: number) {
		this.log = log;
		this.routes = routes;
		this.logger = logger;
		this.afterBytes = afterBytes;
	}

	/** At the start, before anything is applied. Errors: `corrupt` with the place. */
	async recover(snapshot: SnapshotMeta): Promise<void> {
		await this.log.snapshots.keepOnly(snapshot.index);
		if (snapshot.index > 0) await this.load(snapshot);
	}

	/** A snapshot of the leader's, named by the log now. Errors: `corrupt`; whatever the machine throws. */
	async install(snapshot: SnapshotMeta): Promise<void> {
		await this.load(snapshot);
		await this.removeOlder();
	}

	/** Entries were applied; perhaps it is time for another snapshot. */
	applied(entries: readonly Entry[]): void {
		for (const { index, data } of entries) {
			this.appliedBytes += data.length + ENTRY_OVERHEAD_BYTES;
			if (this.appliedBytes - this.markedBytes < this.afterBytes / MARGIN_PARTS) continue;
			this.markedBytes = this.appliedBytes;
			this.marks.push(index);
		}
		if (!this.isDue || this.taking !== undefined) return;
		// When the core, too, knows that they are applied: then its members are those of this state.
		queueMicrotask(() => {
			if (this.isDue && !this.isClosed) this.taking ??= this.take();
		});
	}

	async close(): Promise<void> {
		this.isClosed = true;
		await this.taking;
	}

	private get isDue(): boolean {
		return this.appliedBytes >= Math.max(this.afterBytes, this.currentBytes);
	}

	private async load(snapshot: SnapshotMeta): Promise<void> {
		const { snapshots } = this.log;
		const { index, term } = snapshot;
		const reader = await snapshots.open(index);
		if (reader === undefined) throw corruptSnapshot(snapshots.nameOf(index), 0, 'it is missing');
		try {
			const { meta, content } = await readSnapshot(reader, snapshots, index);
			if (meta.term !== term) {
				throw corruptSnapshot(snapshots.nameOf(index), 0, `it is of term ${meta.term}, and the log says ${term}`);
			}
			await this.routes.restore(snapshot, content).catch(async (error: unknown) => {
				// Damaged bytes confuse whoever reads them: say so instead of what they looked like.
				const again = await readSnapshot(reader, snapshots, index);
				for await (const _ of again.content);
				throw error;
			});
			this.begin(index, reader.bytes);
		} finally {
			await reader.close();
		}
	}

	private begin(index: number, bytes: number): void {
		this.current = index;
		this.currentBytes = bytes;
		this.appliedBytes = 0;
		this.markedBytes = 0;
		this.marks = [];
	}

	/** Never fails: without a snapshot the log is merely longer. */
	private async take(): Promise<void> {
		const meta = this.routes.describe();
		if (meta === undefined) {
			this.taking = undefined;
			return;
		}
		const { snapshots } = this.log;
		const compactIndex = this.marks.at(-2) ?? this.current;
		const appliedBytes = this.appliedBytes;
		const startMs = performance.now();
		try {
			const bytes = await this.write(meta);
			if (bytes === undefined) return;
			await this.log.compact(meta);
			// One of the leader's was installed meanwhile; the log kept that one.
			if (this.current >= meta.index) return;
			this.current = meta.index;
			this.currentBytes = bytes;
			this.appliedBytes -= appliedBytes;
			this.markedBytes = Math.max(0, this.markedBytes - appliedBytes);
			this.marks = this.marks.filter((index) => index > meta.index);
			if (!this.isClosed) this.routes.compacted(meta, compactIndex);
			await snapshots.removeBefore(meta.index);
			const tookMs = Math.round(performance.now() - startMs);
			this.logger.info('raft snapshot taken', { index: meta.index, bytes, tookMs });
		} catch (error) {
			// Not for every entry anew.
			this.currentBytes = this.appliedBytes + this.afterBytes / MARGIN_PARTS;
			const code = isMeshError(error) ? error.code : 'internal';
			const message = error instanceof Error ? error.message : String(error);
			this.logger.warn('raft snapshot not taken: the log grows on', { index: meta.index, code, error: message });
		} finally {
			this.taking = undefined;
		}
	}

	/** Its length; undefined when it was overtaken by one of the leader's, or by the end. */
	private async write(meta: SnapshotMeta): Promise<number | undefined> {
		// Both look at the state now, before anything is awaited.
		const encoded = encodeSnapshot(meta, this.routes.capture());
		const writer = await this.log.snapshots.create();
		let bytes = 0;
		try {
			for await (const chunk of encoded) {
				if (this.isClosed || this.current >= meta.index) return undefined;
				await writer.write(chunk);
				bytes += chunk.length;
			}
			await writer.commit(meta.index);
			return this.current >= meta.index || this.isClosed ? undefined : bytes;
		} finally {
			await writer.abandon();
		}
	}

	private async removeOlder(): Promise<void> {
		await this.log.snapshots.removeBefore(this.current);
	}
}
