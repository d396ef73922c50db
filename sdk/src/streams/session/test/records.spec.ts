import { expect } from 'chai';
import { describe, it } from 'mocha';
import { isMeshError } from '../../../errors.ts';
import {
	decodeVarint,
	encodeVarint,
	OVERHEAD_BYTES,
	PLAINTEXT_BYTES_MAX,
	RECORD,
	ReceiveLane,
	RecordSplitter,
	type SealedRecord,
	SendLane,
	StreamNumbers,
	SUITES,
} from '../core/index.ts';
import { nodeCrypto } from '../crypto.ts';

const SECRET = new Uint8Array(32).fill(7);
const lane = { opener: 'initiator', number: 3, writer: 'initiator' } as const;

function ends(changes: Partial<Parameters<typeof make>[0]> = {}) {
	return { send: make({ ...lane }), receive: makeReceiver({ ...lane, ...changes }) };
}
function make(of: { opener: 'initiator' | 'responder'; number: number; writer: 'initiator' | 'responder' }) {
	return new SendLane(nodeCrypto, SUITES['aes-256-gcm'], of);
}
function makeReceiver(of: Parameters<typeof make>[0]) {
	return new ReceiveLane(nodeCrypto, SUITES['aes-256-gcm'], of, new Map([[0, SECRET]]));
}
const seal = (send: SendLane, text: string): Uint8Array => send.seal(0, SECRET, RECORD.data, Buffer.from(text));
const split = (...chunks: Uint8Array[]): SealedRecord[] => {
	const splitter = new RecordSplitter();
	return chunks.flatMap((chunk) => [...splitter.split(chunk)]);
};
const open = (receive: ReceiveLane, bytes: Uint8Array): string =>
	split(bytes)
		.map((record) => Buffer.from(receive.open(record).plaintext).toString())
		.join();

function refused(action: () => unknown): void {
	let thrown: unknown;
	try {
		action();
	} catch (error) {
		thrown = error;
	}
	expect(isMeshError(thrown, 'unauthorized'), `${thrown}`).to.equal(true);
	expect((thrown as Error).message).to.equal('BMS/1: a record does not verify; the session is ended');
}

describe('records', () => {
	it('come out as they went in, however the bytes are cut', () => {
		const { send, receive } = ends();
		const texts = ['a', '', 'x'.repeat(300), 'y'.repeat(PLAINTEXT_BYTES_MAX)];
		const bytes = new Uint8Array(Buffer.concat(texts.map((text) => seal(send, text))));
		const splitter = new RecordSplitter();
		const got: string[] = [];
		for (let at = 0; at < bytes.byteLength; at += 7) {
			for (const record of splitter.split(bytes.subarray(at, at + 7))) {
				got.push(Buffer.from(receive.open(record).plaintext).toString());
			}
		}
		expect(got).to.deep.equal(texts);
		expect(splitter.isAtBoundary).to.equal(true);
	});

	it('are 64 KiB at most, header and tag included', () => {
		const { send } = ends();
		expect(seal(send, 'y'.repeat(PLAINTEXT_BYTES_MAX)).byteLength).to.equal(64 * 1024);
	});

	it('are refused when any bit differs', () => {
		const sealed = seal(ends().send, 'hello');
		for (let bit = 0; bit < sealed.byteLength * 8; bit++) {
			const changed = sealed.slice();
			changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
			// A longer length waits for bytes that do not come: the end of the stream is then not at a boundary.
			const splitter = new RecordSplitter();
			const { receive } = ends();
			let opened = 0;
			try {
				for (const record of splitter.split(changed)) {
					receive.open(record);
					opened++;
				}
			} catch (error) {
				expect(isMeshError(error, 'unauthorized')).to.equal(true);
			}
			expect(opened, `bit ${bit}`).to.equal(0);
		}
	});

	it('are refused reordered, dropped or duplicated', () => {
		for (const order of [
			[1, 0],
			[0, 2],
			[0, 0],
			[0, 1, 1],
		]) {
			const { send, receive } = ends();
			const sealed = ['a', 'b', 'c'].map((text) => seal(send, text));
			refused(() => {
				for (const i of order) open(receive, sealed[i] as Uint8Array);
			});
		}
	});

	it('of one stream, direction or opener are none of another', () => {
		for (const other of [{ number: 4 }, { writer: 'responder' }, { opener: 'responder' }] as const) {
			const { send, receive } = ends(other);
			refused(() => open(receive, seal(send, 'a')));
		}
	});

	it('of another type than they were sealed as are refused', () => {
		const { send, receive } = ends();
		const sealed = seal(send, '');
		sealed[1] = RECORD.end;
		refused(() => open(receive, sealed));
	});

	it('with an impossible length or type are refused from the header alone', () => {
		for (const header of [
			[0, 0, 0xff, 0xff],
			[0, 0, 0xff, 0xfd],
			[0, 0, 0, 15],
			[0, 0, 0, 0],
			[0, 3, 0, 20],
			[0, 0xff, 0, 20],
		]) {
			refused(() => split(Uint8Array.from(header)));
			refused(() => split(Uint8Array.from(header.slice(0, 2)), Uint8Array.from(header.slice(2))));
		}
		expect(split(Uint8Array.from([0, 0, 0xff, 0xfc]))).to.deep.equal([]);
	});

	it('cut short leave the splitter away from a boundary at every length', () => {
		const sealed = seal(ends().send, 'hello');
		for (let length = 1; length < sealed.byteLength; length++) {
			const splitter = new RecordSplitter();
			expect([...splitter.split(sealed.subarray(0, length))]).to.have.length(0);
			expect(splitter.isAtBoundary).to.equal(false);
		}
	});

	it('take 20 bytes more than their data', () => {
		expect(seal(ends().send, 'abc').byteLength).to.equal(3 + OVERHEAD_BYTES);
	});
});

describe('phases of a lane', () => {
	const next = new Uint8Array(32).fill(8);
	const third = new Uint8Array(32).fill(9);

	it('change at a record, and never back', () => {
		const { send, receive } = ends();
		const [first, late] = [seal(send, 'a'), seal(send, 'late')];
		const second = send.seal(1, next, RECORD.data, Buffer.from('b'));
		open(receive, first);
		refused(() => open(receive, second));
		const other = ends().receive;
		open(other, first);
		other.install(1, next);
		expect(open(other, second)).to.equal('b');
		refused(() => open(other, late));
		expect(() => send.seal(0, SECRET, RECORD.data, Buffer.from('x'))).to.throw(/go back/);
	});

	it('go on by one; a new stream may begin in any that can be read', () => {
		const { send, receive } = ends();
		open(receive, seal(send, 'a'));
		receive.install(1, next);
		receive.install(2, third);
		const skipping = send.seal(2, third, RECORD.data, Buffer.from('c'));
		refused(() => open(receive, skipping));
		const secrets = new Map([
			[0, SECRET],
			[1, next],
			[2, third],
		]);
		const fresh = new ReceiveLane(nodeCrypto, SUITES['aes-256-gcm'], lane, secrets);
		const late = make(lane);
		expect(open(fresh, late.seal(1, next, RECORD.data, Buffer.from('x')))).to.equal('x');
		expect(open(fresh, late.seal(2, third, RECORD.data, Buffer.from('y')))).to.equal('y');
	});
});

describe('stream numbers', () => {
	it('are taken once, in about their order', () => {
		const numbers = new StreamNumbers();
		for (const number of [1, 3, 2, 4_000, 5]) numbers.take(number);
		for (const number of [0, 1, 3, 4_000]) refused(() => numbers.take(number));
		numbers.take(100_000);
		refused(() => numbers.take(6));
		refused(() => numbers.take(100_000 - 4_096));
		numbers.take(100_000 - 4_095);
	});

	it('stay bounded in memory, and none comes back', () => {
		const numbers = new StreamNumbers();
		for (let number = 1; number <= 50_000; number++) numbers.take(number);
		for (let number = 1; number <= 50_000; number += 97) refused(() => numbers.take(number));
	});

	it('are written in their shortest form only', () => {
		for (const value of [0, 1, 127, 128, 300, 2 ** 31, Number.MAX_SAFE_INTEGER]) {
			const bytes = encodeVarint(value);
			expect(decodeVarint(bytes)).to.deep.equal({ value, length: bytes.byteLength });
			expect(decodeVarint(bytes.subarray(0, -1))).to.equal(undefined);
		}
		refused(() => decodeVarint(Uint8Array.from([0x80, 0x00])));
		refused(() => decodeVarint(new Uint8Array(9).fill(0xff)));
	});
});
