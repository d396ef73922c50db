/**
 * Entries, hard state, membership and snapshot marks as bytes: the same layout in the log and on the wire.
 *
 * A run of entries is `count × (kind u8, length u32, [term u53], data)`. Term and index of the first stand outside,
 * in the header of the record or message; an entry repeats its term only where it differs from the one before.
 */
import type { ConfState, Entry, EntryType, HardState, SnapshotMeta } from '../core/types.ts';
import { type ByteReader, type ByteWriter, MalformedBytes } from './bytes.ts';

/** The position is the byte on disk: only ever append to this list. */
const KINDS: readonly EntryType[] = ['normal', 'conf-change'];
const OWN_TERM = 0x80;
const ENTRY_BYTES_MIN = 5;

/** An upper bound of what {@link writeEntries} will write. */
export function entriesSize(entries: readonly Entry[]): number {
	let size = 0;
	for (const entry of entries) size += ENTRY_BYTES_MIN + 8 + entry.data.length;
	return size;
}

export function writeEntries(writer: ByteWriter, entries: readonly Entry[]): void {
	let term = entries[0]?.term;
	for (const entry of entries) {
		const kind = KINDS.indexOf(entry.type);
		writer.u8(entry.term === term ? kind : kind | OWN_TERM);
		writer.u32(entry.data.length);
		if (entry.term !== term) writer.u53(entry.term);
		writer.raw(entry.data);
		term = entry.term;
	}
}

/** The entries' data are views of the reader's bytes. */
export function readEntries(reader: ByteReader, count: number, firstTerm: number, firstIndex: number): Entry[] {
	if (count * ENTRY_BYTES_MIN > reader.left) throw new MalformedBytes(`${count} entries in ${reader.left} bytes`);
	const entries: Entry[] = [];
	let term = firstTerm;
	for (let i = 0; i < count; i++) {
		const head = reader.u8();
		const type = KINDS[head & ~OWN_TERM];
		if (type === undefined) throw new MalformedBytes(`entry kind ${head} at byte ${reader.position - 1}`);
		const length = reader.u32();
		if (head & OWN_TERM) {
			const own = reader.u53();
			if (own < term) throw new MalformedBytes(`term ${own} follows term ${term}`);
			term = own;
		}
		entries.push({ term, index: firstIndex + i, type, data: reader.raw(length) });
	}
	return entries;
}

export function writeHardState(writer: ByteWriter, state: HardState): void {
	writer.u53(state.term);
	writer.u53(state.vote);
	writer.u53(state.commit);
}

export function readHardState(reader: ByteReader): HardState {
	return { term: reader.u53(), vote: reader.u53(), commit: reader.u53() };
}

export function writeConfState(writer: ByteWriter, conf: ConfState): void {
	writer.list(conf.voters);
	writer.list(conf.votersOutgoing);
	writer.list(conf.learners);
	writer.list(conf.learnersNext);
	writer.u8(conf.autoLeave ? 1 : 0);
}

export function readConfState(reader: ByteReader): ConfState {
	return {
		voters: reader.list(),
		votersOutgoing: reader.list(),
		learners: reader.list(),
		learnersNext: reader.list(),
		autoLeave: reader.bool(),
	};
}

export function writeSnapshotMeta(writer: ByteWriter, meta: SnapshotMeta): void {
	writer.u53(meta.index);
	writer.u53(meta.term);
	writeConfState(writer, meta.confState);
}

export function readSnapshotMeta(reader: ByteReader): SnapshotMeta {
	return { index: reader.u53(), term: reader.u53(), confState: readConfState(reader) };
}
