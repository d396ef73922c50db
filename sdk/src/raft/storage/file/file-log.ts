/**
 * The durable log of one member as files in one directory.
 *
 * Batches queue while a write is under way; the next write takes all of them, ends in one `fdatasync`, and only then
 * are they acknowledged (group commit). Positions and chain move on only after the sync, so a write that found no
 * room leaves nothing behind that the next one does not overwrite.
 */
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { MeshError } from '../../../errors.ts';
import { ByteWriter } from '../../codec/bytes.ts';
import type { ConfState, HardState, SnapshotMeta } from '../../core/types.ts';
import { LogIndex } from '../log-index.ts';
import type { LogBatch, LogStore, RecoveredLog } from '../log-store.ts';
import type { SnapshotStore } from '../snapshot-store.ts';
import { FileSnapshots } from './file-snapshots.ts';
import { type FileSystem, nodeFileSystem, type OpenFile } from './file-system.ts';
import { recordSize, writeRecord } from './record.ts';
import { type KnownSegment, recoverFiles } from './recover.ts';
import {
	adoptSpare,
	prepareSpare,
	SEGMENT_HEADER_BYTES,
	SPARE_NAME,
	segmentName,
	segmentSeed,
	syncFinally,
	writeFully,
} from './segment.ts';

export interface FileLogOptions {
	/** Made if it does not exist. One log, one directory. */
	readonly directory: string;
	/** Length of one file. Larger: fewer switches, more disk held. @default 16 MiB */
	readonly segmentBytes?: number;
	/** How much one write gathers at most, unless one batch alone is larger. @default 4 MiB */
	readonly groupBytesMax?: number;
	/** @default the real one */
	readonly fs?: FileSystem;
}

export function openFileLog(options: FileLogOptions): LogStore {
	return new FileLog(options);
}

interface Waiting {
	readonly batch: LogBatch;
	readonly size: number;
	readonly resolve: () => void;
	readonly reject: (error: Error) => void;
}

/** What the next segment repeats at its start, so that the ones before it can go. */
interface Marks {
	readonly hardState?: HardState;
	readonly confState?: ConfState;
}

interface Current {
	readonly file: OpenFile;
	readonly known: KnownSegment;
	readonly seed: number;
	/** Up to here everything is durable; the next group begins here. */
	end: number;
	lastCrc: number;
}

const FULL: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT']);
const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code;

class FileLog implements LogStore {
	readonly snapshots: SnapshotStore;
	private readonly directory: string;
	private readonly segmentBytes: number;
	private readonly groupBytesMax: number;
	private readonly fs: FileSystem;
	private readonly writer = new ByteWriter(64 * 1024);
	private lock: Disposable | undefined;
	private state: 'new' | 'open' | 'dead' | 'closed' = 'new';
	private death: MeshError | undefined;
	/** What is durable, and what will be when everything queued is. */
	private index = new LogIndex();
	private queuedIndex = new LogIndex();
	private marks: Marks = {};
	private segments: KnownSegment[] = [];
	private current: Current | undefined;
	private queue: Waiting[] = [];
	private writing: Promise<void> | undefined;
	private spare: Promise<void> | undefined;
	/** There was no room for a spare file: not tried again before it is needed, or a full disk would do nothing else. */
	private isSpareRefused = false;
	private syncs = 0;
	private bytes = 0;
	private lastSyncMs = 0;

	constructor(options: FileLogOptions) {
		this.directory = options.directory;
		this.segmentBytes = options.segmentBytes ?? 16 * 1024 * 1024;
		this.groupBytesMax = options.groupBytesMax ?? 4 * 1024 * 1024;
		this.fs = options.fs ?? nodeFileSystem;
		this.snapshots = new FileSnapshots(this.fs, this.directory);
	}

	get stats(): LogStore['stats'] {
		return { syncs: this.syncs, bytes: this.bytes, lastSyncMs: this.lastSyncMs };
	}

	async recover(): Promise<RecoveredLog> {
		if (this.state !== 'new') throw new MeshError('internal', `raft log ${this.directory} was opened before`);
		await this.fs.makeDirectory(this.directory);
		this.lock = this.fs.lock(this.directory);
		try {
			const found = await recoverFiles(this.fs, this.directory);
			const recovered = found.state.recovered(found.tornBytes);
			this.index = found.state.index;
			this.queuedIndex = this.index.clone();
			this.segments = found.segments;
			this.marks = marksOf(recovered);
			const known = found.segments.at(-1);
			if (known !== undefined) {
				const file = await this.fs.open(join(this.directory, segmentName(known.header.sequence)), 'write');
				this.current = { file, known, seed: segmentSeed(known.header), end: found.end, lastCrc: found.lastCrc };
			}
			this.state = 'open';
			return recovered;
		} catch (error) {
			this.unlock();
			throw error;
		}
	}

	append(batch: LogBatch): Promise<void> {
		if (this.state !== 'open') return Promise.reject(this.refusal());
		return new Promise((resolve, reject) => {
			this.queuedIndex.append(batch);
			this.queue.push({ batch, size: recordSize(batch), resolve, reject });
			this.writing ??= this.writeQueue();
		});
	}

	compact(snapshot: SnapshotMeta): Promise<void> {
		return this.append({ snapshot });
	}

	async [Symbol.asyncDispose](): Promise<void> {
		if (this.state === 'open') this.state = 'closed';
		await this.writing;
		await this.spare?.catch(() => undefined);
		const file = this.current?.file;
		this.current = undefined;
		await file?.close().catch(() => undefined);
		this.unlock();
	}

	private refusal(): MeshError {
		if (this.death !== undefined) return this.death;
		const what = this.state === 'new' ? 'is not open yet: recover() comes first' : 'is closed';
		return new MeshError('internal', `raft log ${this.directory} ${what}`, { applied: 'no' });
	}

	private unlock(): void {
		this.lock?.[Symbol.dispose]();
		this.lock = undefined;
	}

	/** Runs while there is something to write. Never rejects: every outcome goes to the batches' own promises. */
	private async writeQueue(): Promise<void> {
		// Let the callers of this turn of the event loop queue up: they share the first sync instead of waiting for it.
		await Promise.resolve();
		while (this.queue.length > 0) {
			let group: Waiting[] = [];
			try {
				const current = await this.roomFor((this.queue[0] as Waiting).size);
				group = this.takeGroup(current);
				await this.writeGroup(current, group);
				if (group.some(({ batch }) => batch.snapshot !== undefined)) await this.dropCovered();
				for (const { resolve } of group) resolve();
			} catch (error) {
				this.refuse(group, error);
			}
		}
		this.writing = undefined;
	}

	/** Every batch that was queued counts on those before it, so all of them are refused. */
	private refuse(group: readonly Waiting[], cause: unknown): void {
		const refused = [...group, ...this.queue];
		this.queue = [];
		this.queuedIndex = this.index.clone();
		if (!FULL.has(codeOf(cause))) {
			this.state = 'dead';
			this.death = new MeshError(
				'internal',
				`raft log ${this.directory} failed (${String(codeOf(cause) ?? cause)}) and must not be written again: what the ` +
					'disk holds is unknown. Restart the replica; if it fails again, replace its disk',
				{ cause },
			);
		}
		const error =
			this.death ??
			new MeshError('disk_full', `no room for raft log ${this.directory}: free space on its disk and it goes on`, {
				cause,
			});
		for (const { reject } of refused) reject(error);
	}

	private takeGroup(current: Current): Waiting[] {
		const room = current.known.bytes - current.end - (isFresh(current) ? this.repeatedSize() : 0);
		let count = 0;
		let size = 0;
		for (const waiting of this.queue) {
			const next = size + waiting.size;
			if (count > 0 && next > Math.min(room, this.groupBytesMax)) break;
			size = next;
			count++;
		}
		return this.queue.splice(0, count);
	}

	private async writeGroup(current: Current, group: readonly Waiting[]): Promise<void> {
		let { lastCrc } = current;
		let { marks } = this;
		let maxIndex = current.known.maxIndex;
		const { writer } = this;
		writer.reset();
		const put = (batch: LogBatch): void => {
			lastCrc = writeRecord(writer, batch, { seed: current.seed, previousCrc: lastCrc, durable: current.end });
		};
		if (isFresh(current)) put(this.repeated());
		for (const { batch } of group) {
			put(batch);
			marks = { ...marks, ...marksOf(batch) };
			maxIndex = Math.max(maxIndex, batch.entries?.at(-1)?.index ?? 0);
		}
		const bytes = writer.view();
		await writeFully(current.file, bytes, current.end);
		const startMs = performance.now();
		await syncFinally(() => current.file.sync());
		this.lastSyncMs = performance.now() - startMs;
		this.syncs++;
		current.end += bytes.length;
		current.lastCrc = lastCrc;
		current.known.maxIndex = maxIndex;
		this.bytes += bytes.length;
		this.marks = marks;
		for (const { batch } of group) this.index.append(batch);
	}

	/** The first record of a segment repeats what earlier ones say, so that those can be deleted. */
	private repeated(): LogBatch {
		const { snapshot } = this.index;
		return { ...this.marks, ...(snapshot.index > 0 && { snapshot }) };
	}

	private repeatedSize(): number {
		return recordSize(this.repeated());
	}

	/** The segment to write to; a new one when `size` does not fit any more. */
	private async roomFor(size: number): Promise<Current> {
		const { current } = this;
		if (current !== undefined && current.end + size <= current.known.bytes) {
			const isHalfFull = current.end * 2 > current.known.bytes;
			if (isHalfFull && !this.isSpareRefused) this.spare ??= this.prepare(this.segmentBytes);
			return current;
		}
		const bytes = Math.max(this.segmentBytes, SEGMENT_HEADER_BYTES + this.repeatedSize() + size);
		if (bytes > this.segmentBytes) await this.discardSpare();
		await (this.spare ?? this.prepare(bytes));
		this.spare = undefined;
		this.isSpareRefused = false;
		const header = {
			sequence: (current?.known.header.sequence ?? 0) + 1,
			logId: current?.known.header.logId ?? randomInt(1, 2 ** 32),
			previousCrc: current?.lastCrc ?? 0,
			previousEnd: current?.end ?? 0,
		};
		const file = await adoptSpare(this.fs, this.directory, header);
		await current?.file.close();
		const known: KnownSegment = { header, bytes, maxIndex: 0 };
		this.segments.push(known);
		const next: Current = {
			file,
			known,
			seed: segmentSeed(header),
			end: SEGMENT_HEADER_BYTES,
			lastCrc: header.previousCrc,
		};
		this.current = next;
		return next;
	}

	/** In the background, so that a full segment does not stop the group. A failure comes up when it is needed. */
	private prepare(bytes: number): Promise<void> {
		const prepared = prepareSpare(this.fs, this.directory, bytes);
		prepared.catch(() => {
			this.spare = undefined;
			this.isSpareRefused = true;
		});
		return prepared;
	}

	private async discardSpare(): Promise<void> {
		if (this.spare === undefined) return;
		await this.spare.then(() => this.fs.remove(join(this.directory, SPARE_NAME)));
		this.spare = undefined;
	}

	/** Oldest first and each removal durable: a crash in between leaves a log without a gap. */
	private async dropCovered(): Promise<void> {
		const covered = this.index.snapshot.index;
		while (this.segments.length > 1) {
			const oldest = this.segments[0] as KnownSegment;
			if (oldest.maxIndex > covered) return;
			await this.fs.remove(join(this.directory, segmentName(oldest.header.sequence)));
			await this.fs.syncDirectory(this.directory);
			this.segments.shift();
		}
	}
}

/** Nothing written yet, in a segment that has something to repeat. */
const isFresh = ({ end, known }: Current): boolean => end === SEGMENT_HEADER_BYTES && known.header.sequence > 1;

function marksOf(batch: {
	readonly hardState?: HardState | undefined;
	readonly confState?: ConfState | undefined;
}): Marks {
	return {
		...(batch.hardState && { hardState: batch.hardState }),
		...(batch.confState && { confState: batch.confState }),
	};
}
