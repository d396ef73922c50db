/** What members of a Raft group send each other, and what a member reads back from its disk. */
import { isMeshError } from '../../../../sdk/src/errors.ts';
import { ByteWriter, MalformedBytes } from '../../../../sdk/src/raft/codec/bytes.ts';
import { crc32c } from '../../../../sdk/src/raft/codec/crc32c.ts';
import { decodeFrame, encodeFrame, type Frame } from '../../../../sdk/src/raft/codec/frames.ts';
import { packValue } from '../../../../sdk/src/raft/codec/values.ts';
import { decodeConfChange, encodeConfChange } from '../../../../sdk/src/raft/core/conf-change.ts';
import type { Message } from '../../../../sdk/src/raft/core/index.ts';
import { decodeContexts, encodeContexts } from '../../../../sdk/src/raft/members.ts';
import { decodeCommand, encodeCommand } from '../../../../sdk/src/raft/sessions.ts';
import { readReplica, writeReplica } from '../../../../sdk/src/raft/snapshot-content.ts';
import { parseRecord, writeRecord } from '../../../../sdk/src/raft/storage/file/record.ts';
import {
	encodeSegmentHeader,
	parseSegmentHeader,
	SEGMENT_HEADER_BYTES,
} from '../../../../sdk/src/raft/storage/file/segment.ts';
import { MemorySnapshots } from '../../../../sdk/src/raft/storage/memory/memory-snapshots.ts';
import { encodeSnapshot, readSnapshot } from '../../../../sdk/src/raft/storage/snapshot-format.ts';
import { concat } from '../../../../sdk/src/wire/bytes.ts';
import type { Authentic, Corpus } from '../corpus.ts';
import { MADE_OF_NOTHING, type Target } from '../target.ts';

/** `MalformedBytes` is caught where the bytes came in; `corrupt` reaches whoever runs the member. */
const refuses = (error: unknown): boolean => error instanceof MalformedBytes || isMeshError(error, 'corrupt');
const data = (length: number): Uint8Array => new Uint8Array(length).fill(length);
const entries = [
	{ term: 3, index: 8, type: 'normal', data: data(30) },
	{ term: 4, index: 9, type: 'conf-change', data: data(5) },
] as const;
const confState = { voters: [1025, 1026], votersOutgoing: [1027], learners: [1028], learnersNext: [], autoLeave: true };
const meta = { index: 7, term: 3, confState };

export async function raftTargets({ authentic }: Corpus): Promise<Target[]> {
	return [...frames(), ...commands(), ...disk(), ...(await snapshots(authentic))];
}

function frames(): Target[] {
	const to = { from: 1025, to: 1026, term: 4 };
	const messages: Message[] = [
		{ ...to, type: 'append', prevIndex: 7, prevTerm: 3, entries, commit: 7 },
		{ ...to, type: 'append-response', index: 9, reject: true, hintIndex: 5, hintTerm: 2 },
		{ ...to, type: 'pre-vote', lastIndex: 9, lastTerm: 4, transfer: false },
		{ ...to, type: 'vote-response', reject: true, commit: 7, commitTerm: 3 },
		{ ...to, type: 'heartbeat', commit: 7, readSequence: 2 },
		{ ...to, type: 'snapshot', snapshot: meta },
		{ ...to, type: 'read-index', nonce: 99, sequence: 1 },
		{ ...to, type: 'transfer-leader', transferee: 1025 },
	];
	const name = { index: 7, bytes: 4096, sum: 12345 };
	const all: Frame[] = [
		{ kind: 'raft', messages },
		...messages.map((message): Frame => ({ kind: 'raft', messages: [message] })),
		{ kind: 'forward', proposals: [{ id: 1, payload: data(20) }] },
		{
			kind: 'forward-answer',
			answers: [
				{ id: 1, outcome: 'accepted', term: 4, index: 9 },
				{ id: 2, outcome: 'refused', reason: 'quota' },
			],
		},
		{ kind: 'snapshot-chunk', name, term: 4, offset: 0, data: data(200) },
		{ kind: 'snapshot-ack', name, offset: 200, isRefused: false },
	];
	return [
		{
			...{
				name: 'raft frame',
				weight: 60,
				form: 'bytes',
				samples: all.map((frame) => encodeFrame(frame).slice()),
				refuses,
			},
			accept: () => ({ again: (bytes) => encodeFrame(decodeFrame(bytes)).slice() }),
		},
	];
}

function commands(): Target[] {
	const payload = data(40);
	const logged = [
		encodeCommand({ kind: 'open-session', nonce: 7 }),
		encodeCommand({ kind: 'command', session: 5, sequence: 2, ackedBelow: 1, callerId: 'a', payload }),
	];
	const contexts = encodeContexts([{ id: 1025, context: data(9) }]);
	const change = encodeConfChange({
		transition: 'auto',
		changes: [{ type: 'add-learner', id: 1029 }],
		context: contexts,
	});
	const of = (name: string, samples: readonly Uint8Array[], decode: (bytes: Uint8Array) => unknown): Target => ({
		...{ name, weight: 15, form: 'bytes', samples, refuses },
		accept(bytes) {
			decode(bytes);
			return MADE_OF_NOTHING;
		},
	});
	return [
		of('raft command', logged, decodeCommand),
		of('raft membership change', [change], (bytes) => decodeContexts(decodeConfChange(bytes).context)),
	];
}

function disk(): Target[] {
	const place = { seed: 77, previousCrc: 5, durable: 0 };
	const writer = new ByteWriter();
	writeRecord(writer, { hardState: { term: 4, vote: 1025, commit: 7 }, confState, snapshot: meta, entries }, place);
	const header = encodeSegmentHeader({ sequence: 1, logId: 7, previousCrc: 0, previousEnd: 0 });
	const padded = concat(header, new Uint8Array(SEGMENT_HEADER_BYTES - header.byteLength));
	return [
		{
			...{ name: 'raft log record', weight: 10, form: 'bytes', samples: [writer.take()], refuses },
			accept(bytes) {
				parseRecord(bytes, 0, place.seed)?.read(bytes);
				return MADE_OF_NOTHING;
			},
		},
		{
			...{ name: 'raft segment header', weight: 3, form: 'bytes', samples: [padded], refuses },
			accept(bytes) {
				parseSegmentHeader(bytes);
				return MADE_OF_NOTHING;
			},
		},
	];
}

async function snapshots({ note }: Authentic): Promise<Target[]> {
	const sessions = { timeMs: 5, sessions: [], calls: [] };
	const machine = packValue({ keys: ['a', 'b'], bytes: data(300) });
	const replica = await joined(writeReplica({ contexts: [[1025, data(9)]], sessions }, machine));
	const whole = note(await joined(encodeSnapshot(meta, one(replica))));
	const open = async (bytes: Uint8Array): Promise<void> => {
		const store = new MemorySnapshots(() => false);
		const writer = await store.create();
		await writer.write(bytes);
		await writer.commit(meta.index);
		const reader = await store.open(meta.index);
		if (reader === undefined) throw new Error('the store has lost it');
		await joined((await readSnapshot(reader, store, meta.index)).content);
	};
	return [
		{
			...{ name: 'raft snapshot', weight: 10, form: 'bytes', samples: [whole], refuses },
			async accept(bytes) {
				await open(bytes);
				return { proved: [bytes] };
			},
		},
		{
			...{ name: 'raft snapshot with its sum', weight: 10, form: 'bytes', samples: [whole.slice(0, -4)], refuses },
			async accept(bytes) {
				const sum = new ByteWriter(4);
				sum.u32(crc32c(bytes));
				await open(concat(bytes, sum.take()));
				return MADE_OF_NOTHING;
			},
		},
		{
			// Members believe each other, so any error will do; time and memory will not.
			...{ name: 'raft snapshot content', weight: 5, form: 'bytes', samples: [replica], refuses: () => true },
			async accept(bytes) {
				await joined((await readReplica(one(bytes))).content);
				return MADE_OF_NOTHING;
			},
		},
	];
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
	yield bytes;
}

async function joined(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
	const parts: Uint8Array[] = [];
	for await (const part of source) parts.push(part.slice());
	return concat(...parts);
}
