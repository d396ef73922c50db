/**
 * One file of the log. It is created whole and full of zeros, because a write into blocks that exist needs no change
 * of metadata, which is most of what an `fdatasync` costs otherwise. Its header chains it to the file before it.
 */
import { join } from 'node:path';
import { ByteReader, ByteWriter } from '../../codec/bytes.ts';
import { crc32c } from '../../codec/crc32c.ts';
import type { FileSystem, OpenFile } from './file-system.ts';

/** A page: the header never shares one with records, so a torn record cannot reach it. */
export const SEGMENT_HEADER_BYTES = 4096;
const MAGIC = 0x4c57_4d42;
const FORMAT = 1;
const HEADER_FIELDS_BYTES = 28;
const ZEROS = new Uint8Array(1024 * 1024);
const NAME = /^([0-9]{10})\.wal$/;

export interface SegmentHeader {
	/** 1, 2, 3, … without a gap; never reused. Also the generation that seeds every record's CRC. */
	readonly sequence: number;
	/** Drawn once per log, so that a file of another log is noticed. */
	readonly logId: number;
	/** CRC of the last record before this segment, and the byte at which its predecessor ends. */
	readonly previousCrc: number;
	readonly previousEnd: number;
}

export const segmentName = (sequence: number): string => `${String(sequence).padStart(10, '0')}.wal`;

/** Undefined for a file that is none of ours. */
export function segmentSequence(name: string): number | undefined {
	const digits = NAME.exec(name)?.[1];
	return digits === undefined ? undefined : Number(digits);
}

/** Where a segment is prepared. Not a segment before it is renamed. */
export const SPARE_NAME = 'spare.tmp';

/** What every record's CRC in this segment starts from. */
export function segmentSeed(header: SegmentHeader): number {
	const writer = new ByteWriter(8);
	writer.u32(header.logId);
	writer.u32(header.sequence);
	return crc32c(writer.view());
}

export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
	const writer = new ByteWriter(HEADER_FIELDS_BYTES);
	writer.u32(MAGIC);
	writer.u32(FORMAT);
	writer.u32(header.sequence);
	writer.u32(header.logId);
	writer.u32(header.previousCrc);
	writer.u32(header.previousEnd);
	writer.u32(crc32c(writer.view()));
	return writer.take();
}

/** Undefined when the header is damaged or of another format. */
export function parseSegmentHeader(bytes: Uint8Array): SegmentHeader | undefined {
	if (bytes.length < SEGMENT_HEADER_BYTES) return undefined;
	const reader = new ByteReader(bytes, 0, HEADER_FIELDS_BYTES);
	if (reader.u32() !== MAGIC || reader.u32() !== FORMAT) return undefined;
	const header = { sequence: reader.u32(), logId: reader.u32(), previousCrc: reader.u32(), previousEnd: reader.u32() };
	return reader.u32() === crc32c(bytes, 0, 0, HEADER_FIELDS_BYTES - 4) ? header : undefined;
}

/** Fills the spare file with zeros and makes it durable. Removes it again when there is no room. */
export async function prepareSpare(fs: FileSystem, directory: string, bytes: number): Promise<void> {
	const path = join(directory, SPARE_NAME);
	const file = await fs.open(path, 'create');
	try {
		for (let at = 0; at < bytes; at += ZEROS.length) {
			await writeFully(file, ZEROS.subarray(0, Math.min(ZEROS.length, bytes - at)), at);
		}
		await file.sync();
		await file.close();
	} catch (error) {
		await file.close().catch(() => undefined);
		await fs.remove(path).catch(() => undefined);
		throw error;
	}
}

/** Turns the spare into the log's next segment. Durable when it resolves. */
export async function adoptSpare(fs: FileSystem, directory: string, header: SegmentHeader): Promise<OpenFile> {
	const spare = join(directory, SPARE_NAME);
	const file = await fs.open(spare, 'write');
	try {
		await writeFully(file, encodeSegmentHeader(header), 0);
		await syncFinally(() => file.sync());
		await fs.rename(spare, join(directory, segmentName(header.sequence)));
	} catch (error) {
		await file.close().catch(() => undefined);
		await fs.remove(spare).catch(() => undefined);
		throw error;
	}
	await syncFinally(() => fs.syncDirectory(directory));
	return file;
}

/**
 * A sync of the log itself. Whatever its error says, it is final: the kernel may have dropped the dirty pages, and a
 * second sync would report success about nothing. So a full disk, too, loses its `code` here.
 */
export async function syncFinally(sync: () => Promise<void>): Promise<void> {
	try {
		await sync();
	} catch (cause) {
		throw new Error('a sync failed', { cause });
	}
}

/** The kernel may take fewer bytes than it was given. */
export async function writeFully(file: OpenFile, bytes: Uint8Array, position: number): Promise<void> {
	for (let done = 0; done < bytes.length; ) {
		const written = await file.write(done === 0 ? bytes : bytes.subarray(done), position + done);
		if (written === 0)
			throw Object.assign(new Error(`write of ${bytes.length} bytes stopped at ${done}`), { code: 'EIO' });
		done += written;
	}
}
