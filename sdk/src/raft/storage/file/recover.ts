/**
 * Reads a log directory back. What a crash can leave is repaired: a torn last write is cut off, an unfinished spare
 * is removed. What a crash cannot leave is refused with `corrupt`, file and byte: going on without an entry that
 * was acknowledged would be worse than staying down.
 */
import { Buffer } from 'node:buffer';
import { join } from 'node:path';
import { MeshError } from '../../../errors.ts';
import { MalformedBytes } from '../../codec/bytes.ts';
import { LogState } from '../log-state.ts';
import type { LogBatch } from '../log-store.ts';
import type { FileSystem } from './file-system.ts';
import { type ParsedRecord, parseRecord, RECORD_ALIGNMENT } from './record.ts';
import {
	parseSegmentHeader,
	SEGMENT_HEADER_BYTES,
	type SegmentHeader,
	SPARE_NAME,
	segmentName,
	segmentSeed,
	segmentSequence,
	writeFully,
} from './segment.ts';

/** A file of the log: may be deleted once everything it ever held is covered by a snapshot. */
export interface KnownSegment {
	readonly header: SegmentHeader;
	readonly bytes: number;
	/** Highest index of any entry ever written to it; 0 for none. */
	maxIndex: number;
}

export interface RecoveredFiles {
	readonly state: LogState;
	/** Ascending, contiguous; empty for a new directory. */
	readonly segments: KnownSegment[];
	/** Where the next record goes in the last segment, and what it chains to. */
	readonly end: number;
	readonly lastCrc: number;
	readonly tornBytes: number;
}

interface Placed {
	readonly batch: LogBatch;
	readonly path: string;
	readonly position: number;
}

export async function recoverFiles(fs: FileSystem, directory: string): Promise<RecoveredFiles> {
	const names = await fs.list(directory);
	if (names.includes(SPARE_NAME)) await fs.remove(join(directory, SPARE_NAME));
	const sequences = names.map(segmentSequence).filter((sequence) => sequence !== undefined);
	sequences.sort((a, b) => a - b);

	const placed: Placed[] = [];
	const segments: KnownSegment[] = [];
	let end = 0;
	let lastCrc = 0;
	let tornBytes = 0;
	let following = sequences[0] === undefined ? undefined : await readFile(fs, directory, sequences[0]);
	for (const [i, sequence] of sequences.entries()) {
		const { path, bytes, header } = following as SegmentFile;
		const before = segments.at(-1);
		if (before !== undefined && header.logId !== before.header.logId)
			throw corrupt(path, 0, 'it belongs to another log');
		const next = sequences[i + 1];
		if (next !== undefined && next !== sequence + 1) {
			throw corrupt(path, bytes.length, `the file ${segmentName(sequence + 1)} after it is missing`);
		}
		following = next === undefined ? undefined : await readFile(fs, directory, next);
		const known: KnownSegment = { header, bytes: bytes.length, maxIndex: 0 };
		const read = readSegment(
			bytes,
			path,
			known,
			following?.header,
			before === undefined ? header.previousCrc : lastCrc,
		);
		for (const one of read.placed) placed.push(one);
		segments.push(known);
		({ end, lastCrc } = read);
		if (following === undefined) tornBytes = await cutTornTail(fs, path, bytes, end);
	}
	return { state: rebuild(placed), segments, end, lastCrc, tornBytes };
}

interface SegmentFile {
	readonly path: string;
	readonly bytes: Uint8Array;
	readonly header: SegmentHeader;
}

async function readFile(fs: FileSystem, directory: string, sequence: number): Promise<SegmentFile> {
	const path = join(directory, segmentName(sequence));
	const bytes = await fs.read(path);
	const header = parseSegmentHeader(bytes);
	if (header === undefined || header.sequence !== sequence) throw corrupt(path, 0, 'its header is damaged');
	return { path, bytes, header };
}

const BLOCK_BYTES = 64 * 1024;
const ZERO_BLOCK = Buffer.alloc(BLOCK_BYTES);

/** Length without the zeros at the end. */
function usedBytes(bytes: Uint8Array): number {
	let end = bytes.length;
	while (end > 0) {
		const start = Math.max(end - BLOCK_BYTES, 0);
		if (ZERO_BLOCK.compare(bytes, start, end, 0, end - start) !== 0) break;
		end = start;
	}
	while (end > 0 && bytes[end - 1] === 0) end--;
	return end;
}

/** All records of one segment. With a successor it must end exactly where the successor says it ended. */
function readSegment(
	bytes: Uint8Array,
	path: string,
	known: KnownSegment,
	successor: SegmentHeader | undefined,
	previousCrc: number,
): { placed: Placed[]; end: number; lastCrc: number } {
	const seed = segmentSeed(known.header);
	const limit = successor?.previousEnd ?? bytes.length;
	const records: { readonly record: ParsedRecord; readonly position: number }[] = [];
	let lastCrc = previousCrc;
	let at = SEGMENT_HEADER_BYTES;
	while (at < limit) {
		const record = parseRecord(bytes, at, seed);
		if (record === undefined || record.previousCrc !== lastCrc) break;
		records.push({ record, position: at });
		lastCrc = record.crc;
		at = record.end;
	}
	if (successor !== undefined && (at !== limit || lastCrc !== successor.previousCrc)) {
		throw corrupt(path, at, `the record there is damaged, and ${segmentName(successor.sequence)} follows`);
	}
	if (successor === undefined) refuseIfDurable(bytes, path, at, seed);
	// Entries are views of what they are read from, and an idle log must not hold a whole segment in memory.
	const content: Uint8Array = Uint8Array.prototype.slice.call(bytes, 0, at);
	const placed = records.map(({ record, position }) => ({
		batch: decode(record, content, path, position),
		path,
		position,
	}));
	for (const { batch } of placed) known.maxIndex = Math.max(known.maxIndex, batch.entries?.at(-1)?.index ?? 0);
	return { placed, end: at, lastCrc };
}

function decode(record: ParsedRecord, content: Uint8Array, path: string, position: number): LogBatch {
	try {
		return record.read(content);
	} catch (cause) {
		if (!(cause instanceof MalformedBytes)) throw cause;
		throw corrupt(path, position, `the record there cannot be read: ${cause.message}`, cause);
	}
}

/**
 * Nothing valid stands at `position`. If a later record was written when `position` was already durable, then what
 * stood there was acknowledged and has rotted since. Otherwise it is a write that the crash interrupted.
 */
function refuseIfDurable(bytes: Uint8Array, path: string, position: number, seed: number): void {
	for (let at = position; at < bytes.length; at += RECORD_ALIGNMENT) {
		const record = parseRecord(bytes, at, seed);
		if (record === undefined || record.durable <= position) continue;
		throw corrupt(path, position, `the record there is damaged, and good ones follow at byte ${at}`);
	}
}

/** Zeros over a torn write, so that nothing of it is ever taken for a record. Returns its length. */
async function cutTornTail(fs: FileSystem, path: string, bytes: Uint8Array, end: number): Promise<number> {
	const torn = usedBytes(bytes) - end;
	if (torn <= 0) return 0;
	const file = await fs.open(path, 'write');
	try {
		await writeFully(file, new Uint8Array(torn), end);
		await file.sync();
	} finally {
		await file.close();
	}
	return torn;
}

/**
 * Applies the records in order. Segments that a snapshot covers may be gone, so entries below the newest snapshot
 * need not be there; from its own index on they must be, because they decide what follows it.
 */
function rebuild(placed: readonly Placed[]): LogState {
	const state = new LogState();
	const newest = placed.findLast(({ batch }) => batch.snapshot !== undefined)?.batch.snapshot?.index ?? 0;
	const floor = Math.max(newest - 1, 0);
	let isBelow = floor > 0;
	if (isBelow) state.restartAfter(floor);
	for (const { batch, path, position } of placed) {
		try {
			if (isBelow && (batch.snapshot?.index ?? 0) >= newest) isBelow = false;
			state.append(isBelow ? above(state, batch, floor) : batch);
		} catch (cause) {
			if (!(cause instanceof RangeError)) throw cause;
			throw corrupt(path, position, `the record there does not follow the one before: ${cause.message}`, cause);
		}
	}
	return state;
}

/** What of a batch concerns indices above `floor`. One that reaches below it replaces everything above. */
function above(state: LogState, batch: LogBatch, floor: number): LogBatch {
	const { snapshot: _covered, entries = [], ...marks } = batch;
	const first = entries[0];
	if (first === undefined || first.index > floor) return { ...marks, entries };
	state.restartAfter(floor);
	return { ...marks, entries: entries.slice(floor + 1 - first.index) };
}

export function corrupt(path: string, position: number, why: string, cause?: unknown): MeshError {
	return new MeshError(
		'corrupt',
		`raft log ${path} is corrupt at byte ${position}: ${why}. Entries may be lost, so this member must not vote ` +
			'again: move the directory away and let the replica join as a new member, which copies the log from its peers.',
		{ details: { file: path, position }, ...(cause !== undefined && { cause }) },
	);
}
