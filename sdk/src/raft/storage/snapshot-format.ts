/**
 * A snapshot as bytes, on disk and on the wire the same:
 *
 *     magic u32 · format u32 · length u32 · index, term and members · content … · magic u32 · CRC32C u32
 *
 * The sum covers everything before it. It also names the snapshot while it is sent, so that a transfer that broke off
 * goes on only with the same bytes.
 */
import { MeshError } from '../../errors.ts';
import { ByteReader, ByteWriter, MalformedBytes } from '../codec/bytes.ts';
import { crc32c } from '../codec/crc32c.ts';
import { readSnapshotMeta, writeSnapshotMeta } from '../codec/entries.ts';
import type { SnapshotMeta } from '../core/types.ts';
import type { SnapshotReader, SnapshotStore } from './snapshot-store.ts';

const MAGIC = 0x4e53_4d42;
const END_MAGIC = 0x444e_4542;
const FORMAT = 1;
const HEADER_BYTES = 12;
const TRAILER_BYTES = 8;
const READ_BYTES = 256 * 1024;

/** Running sum over chunks. */
export class Checksum {
	private sum = 0;

	add(bytes: Uint8Array): void {
		this.sum = crc32c(bytes, this.sum);
	}

	get value(): number {
		return this.sum;
	}
}

/** Header, content and trailer. */
export async function* encodeSnapshot(
	meta: SnapshotMeta,
	content: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
	const sum = new Checksum();
	const described = new ByteWriter(256);
	writeSnapshotMeta(described, meta);
	const header = new ByteWriter(256);
	header.u32(MAGIC);
	header.u32(FORMAT);
	header.bytes(described.view());
	sum.add(header.view());
	yield header.take();
	for await (const bytes of content) {
		sum.add(bytes);
		yield bytes;
	}
	const trailer = new ByteWriter(TRAILER_BYTES);
	trailer.u32(END_MAGIC);
	sum.add(trailer.view());
	trailer.u32(sum.value);
	yield trailer.take();
}

/** The sum it was written with. Whether it fits is for {@link readSnapshot}. */
export async function storedSum(reader: SnapshotReader): Promise<number> {
	if (reader.bytes < HEADER_BYTES + TRAILER_BYTES) return 0;
	return new ByteReader(await reader.read(reader.bytes - 4, 4)).u32();
}

/** A snapshot of a store: what it stands for, and its content, which fails at its end if a byte of it is wrong. */
export interface OpenSnapshot {
	readonly meta: SnapshotMeta;
	readonly content: AsyncIterable<Uint8Array>;
}

/** Errors: `corrupt` with the place. The reader is the caller's to close. */
export async function readSnapshot(reader: SnapshotReader, store: SnapshotStore, index: number): Promise<OpenSnapshot> {
	const corrupt = (position: number, why: string, cause?: unknown): MeshError =>
		corruptSnapshot(store.nameOf(index), position, why, cause);
	const contentEnd = reader.bytes - TRAILER_BYTES;
	if (contentEnd < HEADER_BYTES) throw corrupt(0, `it has only ${reader.bytes} bytes`);
	const sum = new Checksum();
	const head = await reader.read(0, HEADER_BYTES);
	const fields = new ByteReader(head);
	if (fields.u32() !== MAGIC || fields.u32() !== FORMAT) throw corrupt(0, 'its header is damaged or of another format');
	const length = fields.u32();
	if (HEADER_BYTES + length > contentEnd) throw corrupt(8, 'its header is damaged');
	const described = await reader.read(HEADER_BYTES, length);
	sum.add(head);
	sum.add(described);
	const meta = readMeta(described, (cause) => corrupt(HEADER_BYTES, 'its description cannot be read', cause));
	if (meta.index !== index) throw corrupt(HEADER_BYTES, `it stands for index ${meta.index}`);
	async function* content(): AsyncGenerator<Uint8Array> {
		for (let at = HEADER_BYTES + length; at < contentEnd; at += READ_BYTES) {
			const bytes = await reader.read(at, Math.min(READ_BYTES, contentEnd - at));
			sum.add(bytes);
			yield bytes;
		}
		const trailer = await reader.read(contentEnd, TRAILER_BYTES);
		sum.add(trailer.subarray(0, 4));
		const end = new ByteReader(trailer);
		if (end.u32() !== END_MAGIC || end.u32() !== sum.value) throw corrupt(contentEnd, 'its sum does not fit');
	}
	return { meta, content: content() };
}

function readMeta(bytes: Uint8Array, corrupt: (cause: unknown) => MeshError): SnapshotMeta {
	try {
		const fields = new ByteReader(bytes);
		const meta = readSnapshotMeta(fields);
		fields.finish();
		return meta;
	} catch (cause) {
		if (cause instanceof MalformedBytes) throw corrupt(cause);
		throw cause;
	}
}

export function corruptSnapshot(name: string, position: number, why: string, cause?: unknown): MeshError {
	return new MeshError(
		'corrupt',
		`raft snapshot ${name} is corrupt at byte ${position}: ${why}. The log before it is gone, so this member must not ` +
			'vote again: move the directory away and let the replica join as a new member, which copies it from its peers.',
		{ details: { file: name, position }, ...(cause !== undefined && { cause }) },
	);
}
