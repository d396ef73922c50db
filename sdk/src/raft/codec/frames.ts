/**
 * What members of one group say to each other over their link: Raft's own messages, proposals passed on to the leader
 * with the leader's answer, and snapshots in pieces. One byte of kind, then the content.
 */
import type { Message, ProposalRefusal } from '../core/index.ts';
import { ByteReader, ByteWriter, MalformedBytes } from './bytes.ts';
import { readMessages, writeMessages } from './messages.ts';

/** How the leader took one forwarded proposal. `accepted` says where it stands, not that it is committed. */
export type ForwardOutcome =
	| { readonly outcome: 'accepted'; readonly term: number; readonly index: number }
	| { readonly outcome: 'refused'; readonly reason: ForwardRefusal };

/** The leader's own reasons, and those of the group around it. */
export type ForwardRefusal = ProposalRefusal | 'disk-full' | 'busy';

export interface Forwarded {
	/** Of the asking process; comes back in the answer. */
	readonly id: number;
	readonly payload: Uint8Array;
}

export type Frame =
	| { readonly kind: 'raft'; readonly messages: readonly Message[] }
	| { readonly kind: 'forward'; readonly proposals: readonly Forwarded[] }
	| { readonly kind: 'forward-answer'; readonly answers: readonly ({ readonly id: number } & ForwardOutcome)[] }
	| ({ readonly kind: 'snapshot-chunk' } & SnapshotChunk)
	| ({ readonly kind: 'snapshot-ack' } & SnapshotAck);

/** Which snapshot is meant: equal names mean equal bytes. */
export interface SnapshotName {
	readonly index: number;
	readonly bytes: number;
	readonly sum: number;
}

/** Part of a snapshot on its way from the leader of `term`. */
export interface SnapshotChunk {
	readonly name: SnapshotName;
	readonly term: number;
	readonly offset: number;
	readonly data: Uint8Array;
}

export interface SnapshotAck {
	readonly name: SnapshotName;
	/** What is wanted next; all bytes once the snapshot is whole and durable. */
	readonly offset: number;
	/** No room for it. */
	readonly isRefused: boolean;
}

const KINDS = { raft: 1, forward: 2, 'forward-answer': 3, 'snapshot-chunk': 4, 'snapshot-ack': 5 } as const;
/** The position is the byte on the wire: only ever append to this list. */
const REASONS: readonly ForwardRefusal[] = [
	'not-leader',
	'transferring',
	'quota',
	'removed',
	'conf-change-pending',
	'in-joint-state',
	'not-in-joint-state',
	'invalid-conf-change',
	'disk-full',
	'busy',
];

export function encodeFrame(frame: Frame): Uint8Array {
	const writer = new ByteWriter(256);
	writer.u8(KINDS[frame.kind]);
	switch (frame.kind) {
		case 'raft':
			writeMessages(writer, frame.messages);
			break;
		case 'forward':
			writer.u32(frame.proposals.length);
			for (const { id, payload } of frame.proposals) {
				writer.u53(id);
				writer.bytes(payload);
			}
			break;
		case 'forward-answer':
			writer.u32(frame.answers.length);
			for (const answer of frame.answers) {
				writer.u53(answer.id);
				writer.u8(answer.outcome === 'accepted' ? 0 : 1 + REASONS.indexOf(answer.reason));
				writer.u53(answer.outcome === 'accepted' ? answer.term : 0);
				writer.u53(answer.outcome === 'accepted' ? answer.index : 0);
			}
			break;
		case 'snapshot-chunk':
			writeName(writer, frame.name);
			writer.u53(frame.term);
			writer.u53(frame.offset);
			writer.bytes(frame.data);
			break;
		case 'snapshot-ack':
			writeName(writer, frame.name);
			writer.u53(frame.offset);
			writer.u8(frame.isRefused ? 1 : 0);
	}
	return writer.view();
}

/** Throws `MalformedBytes`. Payloads and entries are views of `bytes`. */
export function decodeFrame(bytes: Uint8Array): Frame {
	const reader = new ByteReader(bytes);
	const kind = reader.u8();
	const frame = readContent(reader, kind);
	reader.finish();
	return frame;
}

function readContent(reader: ByteReader, kind: number): Frame {
	switch (kind) {
		case KINDS.raft:
			return { kind: 'raft', messages: readMessages(reader) };
		case KINDS.forward: {
			const count = counted(reader, 12);
			const proposals = Array.from({ length: count }, () => ({ id: reader.u53(), payload: reader.bytes() }));
			return { kind: 'forward', proposals };
		}
		case KINDS['forward-answer']: {
			const count = counted(reader, 25);
			return { kind: 'forward-answer', answers: Array.from({ length: count }, () => readAnswer(reader)) };
		}
		case KINDS['snapshot-chunk']:
			return {
				kind: 'snapshot-chunk',
				name: readName(reader),
				term: reader.u53(),
				offset: reader.u53(),
				data: reader.bytes(),
			};
		case KINDS['snapshot-ack']:
			return { kind: 'snapshot-ack', name: readName(reader), offset: reader.u53(), isRefused: reader.bool() };
		default:
			throw new MalformedBytes(`frame of kind ${kind}`);
	}
}

function writeName(writer: ByteWriter, { index, bytes, sum }: SnapshotName): void {
	writer.u53(index);
	writer.u53(bytes);
	writer.u32(sum);
}

function readName(reader: ByteReader): SnapshotName {
	return { index: reader.u53(), bytes: reader.u53(), sum: reader.u32() };
}

function readAnswer(reader: ByteReader): { id: number } & ForwardOutcome {
	const id = reader.u53();
	const code = reader.u8();
	const term = reader.u53();
	const index = reader.u53();
	if (code === 0) return { id, outcome: 'accepted', term, index };
	const reason = REASONS[code - 1];
	if (reason === undefined) throw new MalformedBytes(`refusal ${code}`);
	return { id, outcome: 'refused', reason };
}

function counted(reader: ByteReader, bytesEach: number): number {
	const count = reader.u32();
	if (count * bytesEach > reader.left) throw new MalformedBytes(`${count} items in ${reader.left} bytes`);
	return count;
}
