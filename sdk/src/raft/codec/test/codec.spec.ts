import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { Message } from '../../core/index.ts';
import { MalformedBytes } from '../bytes.ts';
import { crc32c } from '../crc32c.ts';
import { decodeFrame, encodeFrame, type Frame } from '../frames.ts';

const envelope = { from: 3, to: 1024 * 7 + 2, term: 2 ** 40 };
const conf = { voters: [1, 2], votersOutgoing: [3], learners: [], learnersNext: [4], autoLeave: true };
const entries = [
	{ term: 1, index: 8, type: 'normal' as const, data: new Uint8Array(0) },
	{ term: 1, index: 9, type: 'conf-change' as const, data: new Uint8Array([1, 2, 3]) },
	{ term: 5, index: 10, type: 'normal' as const, data: new Uint8Array(300).fill(9) },
];

const MESSAGES: readonly Message[] = [
	{ type: 'append', ...envelope, prevIndex: 7, prevTerm: 1, entries, commit: 6 },
	{ type: 'append', ...envelope, prevIndex: 7, prevTerm: 1, entries: [], commit: 2 ** 53 - 1 },
	{ type: 'append-response', ...envelope, index: 4, reject: true, hintIndex: 3, hintTerm: 2 },
	{ type: 'vote', ...envelope, lastIndex: 9, lastTerm: 4, transfer: true },
	{ type: 'pre-vote', ...envelope, lastIndex: 9, lastTerm: 4, transfer: false },
	{ type: 'vote-response', ...envelope, reject: false, commit: 0, commitTerm: 0 },
	{ type: 'pre-vote-response', ...envelope, reject: true, commit: 12, commitTerm: 3 },
	{ type: 'heartbeat', ...envelope, commit: 5, readSequence: 77 },
	{ type: 'heartbeat-response', ...envelope, readSequence: 77 },
	{ type: 'snapshot', ...envelope, snapshot: { index: 5, term: 2, confState: conf } },
	{ type: 'timeout-now', ...envelope },
	{ type: 'read-index', ...envelope, nonce: 2 ** 52, sequence: 6 },
	{ type: 'read-index-response', ...envelope, nonce: 2 ** 52, sequence: 6, index: 8 },
	{ type: 'transfer-leader', ...envelope, transferee: 2 },
];

const FRAMES: readonly Frame[] = [
	{ kind: 'raft', messages: MESSAGES },
	{
		kind: 'forward',
		proposals: [
			{ id: 1, payload: new Uint8Array([5]) },
			{ id: 2 ** 50, payload: new Uint8Array(0) },
		],
	},
	{
		kind: 'forward-answer',
		answers: [
			{ id: 1, outcome: 'accepted', term: 3, index: 9 },
			{ id: 2, outcome: 'refused', reason: 'not-leader' },
			{ id: 3, outcome: 'refused', reason: 'disk-full' },
		],
	},
	{
		kind: 'snapshot-chunk',
		name: { index: 2 ** 40, bytes: 2 ** 33, sum: 0xfedc_ba98 },
		term: 7,
		offset: 2 ** 32,
		data: new Uint8Array([1, 2, 3]),
	},
	{ kind: 'snapshot-ack', name: { index: 1, bytes: 2, sum: 3 }, offset: 2, isRefused: false },
	{ kind: 'snapshot-ack', name: { index: 1, bytes: 2, sum: 3 }, offset: 0, isRefused: true },
];

describe('messages as bytes', () => {
	it('come back as they were', () => {
		for (const frame of FRAMES) {
			const decoded = decodeFrame(Uint8Array.from(encodeFrame(frame)));
			expect(decoded).to.deep.equal(frame);
		}
	});

	it('are refused, not misread, when cut anywhere or followed by more', () => {
		for (const frame of FRAMES) {
			const bytes = Uint8Array.from(encodeFrame(frame));
			for (let cut = 0; cut < bytes.length; cut++)
				expect(() => decodeFrame(bytes.subarray(0, cut))).to.throw(MalformedBytes);
			expect(() => decodeFrame(Uint8Array.from([...bytes, 0]))).to.throw(MalformedBytes);
		}
	});

	it('never do worse than be refused, whatever bytes come', () => {
		let seed = 42;
		const random = (): number => {
			seed = (seed * 48271) % 0x7fff_ffff;
			return seed;
		};
		for (let round = 0; round < 20_000; round++) {
			const frame = FRAMES[random() % FRAMES.length] as Frame;
			const bytes = Uint8Array.from(encodeFrame(frame));
			for (let flips = 1 + (random() % 4); flips > 0; flips--) bytes[random() % bytes.length] = random() % 256;
			try {
				decodeFrame(bytes);
			} catch (error) {
				expect(error).to.be.instanceOf(MalformedBytes);
			}
		}
	});
});

describe('crc32c', () => {
	it('has the values of RFC 3720 B.4', () => {
		expect(crc32c(new Uint8Array(32))).to.equal(0x8a91_36aa);
		expect(crc32c(new Uint8Array(32).fill(0xff))).to.equal(0x62a8_ab43);
		expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).to.equal(0x46dd_794e);
		expect(crc32c(Buffer.from('123456789'))).to.equal(0xe306_9283);
	});

	it('continues from the sum of what came before', () => {
		const bytes = Uint8Array.from({ length: 100 }, (_, i) => i * 7);
		for (let at = 0; at <= 100; at++) expect(crc32c(bytes, crc32c(bytes, 0, 0, at), at)).to.equal(crc32c(bytes));
	});
});
