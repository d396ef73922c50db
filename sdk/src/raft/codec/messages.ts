/**
 * Raft messages as bytes. One frame carries all messages of one batch for one member. Entries have the layout they
 * have on disk. Decoding trusts nothing: every length is checked against the bytes that are there, and what is left
 * over is an error.
 */
import type { Message } from '../core/index.ts';
import { type ByteReader, type ByteWriter, MalformedBytes } from './bytes.ts';
import { readEntries, readSnapshotMeta, writeEntries, writeSnapshotMeta } from './entries.ts';

/** The position is the byte on the wire: only ever append to this list. */
const TYPES: readonly Message['type'][] = [
	'append',
	'append-response',
	'vote',
	'pre-vote',
	'vote-response',
	'pre-vote-response',
	'heartbeat',
	'heartbeat-response',
	'snapshot',
	'timeout-now',
	'read-index',
	'read-index-response',
	'transfer-leader',
];
const MESSAGE_BYTES_MIN = 25;

export function writeMessages(writer: ByteWriter, messages: readonly Message[]): void {
	writer.u32(messages.length);
	for (const message of messages) writeMessage(writer, message);
}

/** Throws `MalformedBytes`. */
export function readMessages(reader: ByteReader): Message[] {
	const count = reader.u32();
	if (count * MESSAGE_BYTES_MIN > reader.left) throw new MalformedBytes(`${count} messages in ${reader.left} bytes`);
	return Array.from({ length: count }, () => readMessage(reader));
}

function writeMessage(writer: ByteWriter, message: Message): void {
	const type = TYPES.indexOf(message.type);
	// Proposals are forwarded above Raft, where their fate can be told to whoever waits.
	if (type < 0) throw new TypeError(`message ${message.type} never leaves a node`);
	writer.u8(type);
	writer.u53(message.from);
	writer.u53(message.to);
	writer.u53(message.term);
	switch (message.type) {
		case 'append':
			writer.u53(message.prevIndex);
			writer.u53(message.prevTerm);
			writer.u53(message.commit);
			writer.u32(message.entries.length);
			writer.u53(message.entries[0]?.term ?? 0);
			writeEntries(writer, message.entries);
			return;
		case 'append-response':
			writer.u53(message.index);
			writer.u8(message.reject ? 1 : 0);
			writer.u53(message.hintIndex);
			writer.u53(message.hintTerm);
			return;
		case 'vote':
		case 'pre-vote':
			writer.u53(message.lastIndex);
			writer.u53(message.lastTerm);
			writer.u8(message.transfer ? 1 : 0);
			return;
		case 'vote-response':
		case 'pre-vote-response':
			writer.u8(message.reject ? 1 : 0);
			writer.u53(message.commit);
			writer.u53(message.commitTerm);
			return;
		case 'heartbeat':
			writer.u53(message.commit);
			writer.u53(message.readSequence);
			return;
		case 'heartbeat-response':
			writer.u53(message.readSequence);
			return;
		case 'snapshot':
			writeSnapshotMeta(writer, message.snapshot);
			return;
		case 'read-index':
			writer.u53(message.nonce);
			writer.u53(message.sequence);
			return;
		case 'read-index-response':
			writer.u53(message.nonce);
			writer.u53(message.sequence);
			writer.u53(message.index);
			return;
		case 'transfer-leader':
			writer.u53(message.transferee);
			return;
		default:
	}
}

function readMessage(reader: ByteReader): Message {
	const code = reader.u8();
	const type = TYPES[code];
	const envelope = { from: reader.u53(), to: reader.u53(), term: reader.u53() };
	switch (type) {
		case 'append': {
			const prevIndex = reader.u53();
			const prevTerm = reader.u53();
			const commit = reader.u53();
			const count = reader.u32();
			const firstTerm = reader.u53();
			const entries = readEntries(reader, count, firstTerm, prevIndex + 1);
			return { type, ...envelope, prevIndex, prevTerm, entries, commit };
		}
		case 'append-response': {
			const index = reader.u53();
			const reject = reader.bool();
			return { type, ...envelope, index, reject, hintIndex: reader.u53(), hintTerm: reader.u53() };
		}
		case 'vote':
		case 'pre-vote': {
			const lastIndex = reader.u53();
			return { type, ...envelope, lastIndex, lastTerm: reader.u53(), transfer: reader.bool() };
		}
		case 'vote-response':
		case 'pre-vote-response': {
			const reject = reader.bool();
			return { type, ...envelope, reject, commit: reader.u53(), commitTerm: reader.u53() };
		}
		case 'heartbeat': {
			const commit = reader.u53();
			return { type, ...envelope, commit, readSequence: reader.u53() };
		}
		case 'heartbeat-response':
			return { type, ...envelope, readSequence: reader.u53() };
		case 'snapshot':
			return { type, ...envelope, snapshot: readSnapshotMeta(reader) };
		case 'timeout-now':
			return { type, ...envelope };
		case 'read-index': {
			const nonce = reader.u53();
			return { type, ...envelope, nonce, sequence: reader.u53() };
		}
		case 'read-index-response': {
			const nonce = reader.u53();
			const sequence = reader.u53();
			return { type, ...envelope, nonce, sequence, index: reader.u53() };
		}
		case 'transfer-leader':
			return { type, ...envelope, transferee: reader.u53() };
		default:
			throw new MalformedBytes(`message type ${code} at byte ${reader.position - 25}`);
	}
}
