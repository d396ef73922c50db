/**
 * One record of the file log: one batch, all or nothing.
 *
 *     magic u32 · length u32 · crc u32 · previous crc u32 · durable u32 · sections u32 · count u32 · term u53 ·
 *     first index u53 · payload (length bytes) · zeros up to a multiple of 8
 *
 * The CRC32C covers everything after itself and is seeded with the segment's own sum, so a record of another segment
 * or another log never validates. `previous crc` chains it to its predecessor. `durable` is how far the segment was
 * known to be on disk when the record was written: it tells a torn last write from a bad record in the middle.
 */
import { ByteReader, type ByteWriter, MalformedBytes } from '../../codec/bytes.ts';
import { crc32c } from '../../codec/crc32c.ts';
import {
	entriesSize,
	readConfState,
	readEntries,
	readHardState,
	readSnapshotMeta,
	writeConfState,
	writeEntries,
	writeHardState,
	writeSnapshotMeta,
} from '../../codec/entries.ts';
import type { LogBatch } from '../log-store.ts';

export const RECORD_HEADER_BYTES = 44;
export const RECORD_ALIGNMENT = 8;
const MAGIC = 0x5257_4c42;
const CRC_AT = 8;
const CRC_FROM = 12;

const HAS_HARD_STATE = 1;
const HAS_CONF_STATE = 2;
const HAS_SNAPSHOT = 4;
const ALL_SECTIONS = HAS_HARD_STATE | HAS_CONF_STATE | HAS_SNAPSHOT;

export interface ParsedRecord {
	readonly crc: number;
	readonly previousCrc: number;
	readonly durable: number;
	/** Where the next record begins. */
	readonly end: number;
	/**
	 * Decodes the payload from `segment`, which may be a copy that ends at {@link end}. Entries are views of it. Throws
	 * `MalformedBytes` for a layout this version does not know.
	 */
	read(segment: Uint8Array): LogBatch;
}

/** An upper bound of the bytes that {@link writeRecord} will write. */
export function recordSize(batch: LogBatch): number {
	const members = (conf: LogBatch['confState']): number =>
		conf === undefined
			? 0
			: 17 + 8 * (conf.voters.length + conf.votersOutgoing.length + conf.learners.length + conf.learnersNext.length);
	const marks = 24 + members(batch.confState) + 16 + members(batch.snapshot?.confState);
	return RECORD_HEADER_BYTES + RECORD_ALIGNMENT + marks + entriesSize(batch.entries ?? []);
}

/** Appends one record; returns its CRC, which the next one chains to. */
export function writeRecord(
	writer: ByteWriter,
	batch: LogBatch,
	place: { readonly seed: number; readonly previousCrc: number; readonly durable: number },
): number {
	const start = writer.length;
	const entries = batch.entries ?? [];
	writer.u32(MAGIC);
	writer.u32(0);
	writer.u32(0);
	writer.u32(place.previousCrc);
	writer.u32(place.durable);
	writer.u32(
		(batch.hardState ? HAS_HARD_STATE : 0) |
			(batch.confState ? HAS_CONF_STATE : 0) |
			(batch.snapshot ? HAS_SNAPSHOT : 0),
	);
	writer.u32(entries.length);
	writer.u53(entries[0]?.term ?? 0);
	writer.u53(entries[0]?.index ?? 0);
	if (batch.hardState !== undefined) writeHardState(writer, batch.hardState);
	if (batch.confState !== undefined) writeConfState(writer, batch.confState);
	if (batch.snapshot !== undefined) writeSnapshotMeta(writer, batch.snapshot);
	writeEntries(writer, entries);
	writer.patchU32(start + 4, writer.length - start - RECORD_HEADER_BYTES);
	const crc = crc32c(writer.view(start), place.seed, CRC_FROM);
	writer.patchU32(start + CRC_AT, crc);
	const over = writer.length % RECORD_ALIGNMENT;
	if (over !== 0) writer.zeros(RECORD_ALIGNMENT - over);
	return crc;
}

/** Undefined when no whole, valid record of this segment stands there. Does not look at the chain. */
export function parseRecord(segment: Uint8Array, at: number, seed: number): ParsedRecord | undefined {
	if (segment.length - at < RECORD_HEADER_BYTES) return undefined;
	const header = new ByteReader(segment, at);
	if (header.u32() !== MAGIC) return undefined;
	const length = header.u32();
	const crc = header.u32();
	const previousCrc = header.u32();
	const durable = header.u32();
	const payloadEnd = at + RECORD_HEADER_BYTES + length;
	if (payloadEnd > segment.length) return undefined;
	if (crc32c(segment, seed, at + CRC_FROM, payloadEnd) !== crc) return undefined;
	const end = Math.ceil(payloadEnd / RECORD_ALIGNMENT) * RECORD_ALIGNMENT;
	const read = (from: Uint8Array): LogBatch => readPayload(new ByteReader(from, header.position, payloadEnd));
	return { crc, previousCrc, durable, end, read };
}

/** Everything after `durable`, in the order in which it was written. */
function readPayload(reader: ByteReader): LogBatch {
	const sections = reader.u32();
	if ((sections & ~ALL_SECTIONS) !== 0) throw new MalformedBytes(`unknown sections ${sections}`);
	const count = reader.u32();
	const term = reader.u53();
	const first = reader.u53();
	const hardState = sections & HAS_HARD_STATE ? readHardState(reader) : undefined;
	const confState = sections & HAS_CONF_STATE ? readConfState(reader) : undefined;
	const snapshot = sections & HAS_SNAPSHOT ? readSnapshotMeta(reader) : undefined;
	const entries = readEntries(reader, count, term, first);
	reader.finish();
	return {
		...(hardState && { hardState }),
		...(confState && { confState }),
		...(snapshot && { snapshot }),
		...(count > 0 && { entries }),
	};
}
