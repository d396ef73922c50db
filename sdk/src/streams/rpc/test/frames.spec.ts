import { expect } from 'chai';
import { describe, it } from 'mocha';
import { isMeshError } from '../../../errors.ts';
import { BODY_BYTES_MAX, encodeMessage, FRAME, type Message, MessageDecoder, MORE, writeFrame } from '../frames.ts';
import { checkBody, decodeBody, encodeBody } from '../msgpack.ts';

/** A small repeatable generator (mulberry32). */
function random(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
	};
}

function collect(decoder: MessageDecoder, chunks: readonly Uint8Array[]): Message[] {
	const messages: Message[] = [];
	for (const chunk of chunks) {
		decoder.push(chunk, (message) => {
			messages.push({ ...message, body: message.body.slice() });
			return undefined;
		});
	}
	return messages;
}

function cut(bytes: Uint8Array, next: () => number): Uint8Array[] {
	const chunks: Uint8Array[] = [];
	for (let at = 0; at < bytes.byteLength; ) {
		const size = 1 + Math.floor(next() * (next() < 0.5 ? 8 : 100_000));
		chunks.push(bytes.slice(at, at + size));
		at += size;
	}
	return chunks;
}

const sample = (): Uint8Array =>
	Buffer.concat([
		...encodeMessage(FRAME.call, 1, encodeBody(['echo@1', 'say', 10_000, null, 'hello'])),
		...encodeMessage(FRAME.notify, 0, new Uint8Array(200_000).fill(7)),
		...encodeMessage(FRAME.ping, 9, new Uint8Array(0)),
		...encodeMessage(FRAME.result, 3, new Uint8Array(BODY_BYTES_MAX).fill(1)),
	]);

describe('frames', () => {
	it('survive any cut of the byte stream', () => {
		const next = random(1);
		for (let round = 0; round < 50; round++) {
			const messages = collect(new MessageDecoder(), cut(sample(), next));
			expect(messages.map(({ type, id, body }) => [type, id, body.byteLength])).to.deep.equal([
				[FRAME.call, 1, encodeBody(['echo@1', 'say', 10_000, null, 'hello']).byteLength],
				[FRAME.notify, 0, 200_000],
				[FRAME.ping, 9, 0],
				[FRAME.result, 3, BODY_BYTES_MAX],
			]);
		}
	});

	it('are at most 64 KiB each', () => {
		const frames = encodeMessage(FRAME.notify, 0, new Uint8Array(200_000));
		expect(frames.map((frame) => frame.byteLength)).to.satisfy((sizes: number[]) => sizes.every((n) => n <= 65_536));
		expect(frames).to.have.length(4);
	});

	it('of other messages may stand between the pieces of a long one', () => {
		const long = encodeMessage(FRAME.result, 5, new Uint8Array(100_000));
		const ping = encodeMessage(FRAME.ping, 1, new Uint8Array(0));
		const mixed = Buffer.concat([long[0] as Uint8Array, ping[0] as Uint8Array, long[1] as Uint8Array]);
		expect(collect(new MessageDecoder(), [mixed]).map(({ type }) => type)).to.deep.equal([FRAME.ping, FRAME.result]);
	});

	const frame = (type: number, flags: number, id: number, body: Uint8Array): Uint8Array => {
		const bytes = new Uint8Array(10 + body.byteLength);
		writeFrame(bytes, 0, type as (typeof FRAME)['call'], flags, id, body);
		return bytes;
	};
	const full = new Uint8Array(BODY_BYTES_MAX);
	const malformed: Record<string, Uint8Array[]> = {
		'a length of zero': [new Uint8Array(4)],
		'a length over 64 KiB': [new Uint8Array([0, 1, 0, 0])],
		'a length of 4 GiB': [new Uint8Array([255, 255, 255, 255])],
		'an unknown type': [frame(77, 0, 1, full)],
		'type zero': [frame(0, 0, 1, full)],
		'unknown flags': [frame(FRAME.call, 2, 1, full)],
		'small pieces': [frame(FRAME.call, MORE, 1, new Uint8Array(5))],
		'two messages in pieces at once': [frame(FRAME.call, MORE, 1, full), frame(FRAME.call, MORE, 3, full)],
		'a message of more than 4 MiB': Array.from({ length: 70 }, () => frame(FRAME.call, MORE, 1, full)),
		'an empty last piece': [frame(FRAME.call, MORE, 1, full), frame(FRAME.call, 0, 1, new Uint8Array(0))],
	};
	for (const [what, chunks] of Object.entries(malformed)) {
		it(`refuse ${what}`, () => {
			expect(() => collect(new MessageDecoder(), chunks)).to.throw(/malformed frame/);
		});
	}

	it('meet mutated bytes with a refusal or a message, never anything else (10,000 mutations)', () => {
		const next = random(42);
		const original = sample();
		const small = Buffer.concat(
			[1, 3, 5].flatMap((id) => encodeMessage(FRAME.call, id, encodeBody(['s@1', 'm', 1, { a: 'b' }, [1, 'x', null]]))),
		);
		for (let round = 0; round < 10_000; round++) {
			const bytes = Uint8Array.from(round % 50 === 0 ? original : small);
			for (let i = 0; i < 1 + next() * 6; i++) bytes[Math.floor(next() * bytes.byteLength)] = Math.floor(next() * 256);
			try {
				for (const { body } of collect(new MessageDecoder(), cut(bytes, next))) decodeBody(body);
			} catch (error) {
				if (!isMeshError(error, 'invalid_input')) throw error;
			}
		}
	}).timeout(20_000);
});

describe('msgpack bodies', () => {
	it('carry what they promise', () => {
		const value = {
			nothing: null,
			missing: undefined,
			yes: true,
			numbers: [0, -1, 1.5, 2 ** 40, -(2 ** 31), 65_536, Number.POSITIVE_INFINITY],
			big: 2n ** 63n,
			text: ['', 'é', 'x'.repeat(70_000)],
			bytes: new Uint8Array([1, 2, 3]),
			at: new Date(1_700_000_000_123),
			deep: { list: Array.from({ length: 20 }, (_, i) => ({ i })) },
		};
		expect(decodeBody(encodeBody(value))).to.deep.equal(value);
		const bytes = (decodeBody(encodeBody(new Uint8Array(3))) as Uint8Array).constructor;
		expect(bytes).to.equal(Uint8Array);
	});

	it('refuse lengths that the bytes do not bear out, before anything is allocated', () => {
		for (const hex of [
			'dd02000000',
			'df02000000',
			'c6ffffffff',
			'dbffffffff',
			'dcffff01',
			'deffff01',
			'92',
			'c1',
			'',
		]) {
			expect(() => checkBody(Buffer.from(hex, 'hex')), hex).to.throw(/msgpack/);
		}
		// Nested array headers that each claim a million elements.
		expect(() => decodeBody(Buffer.from('dd000f4240'.repeat(100), 'hex'))).to.throw(/msgpack/);
	});

	it('refuse deep nesting, foreign extensions, and bytes after the value', () => {
		expect(() => decodeBody(new Uint8Array(100_000).fill(0x91))).to.throw(/nested|cut short/);
		for (const hex of ['d47201', 'd57200ff', 'c703720102ff', 'c0c0', 'd40001', 'd60000000000']) {
			expect(() => decodeBody(Buffer.from(hex, 'hex')), hex).to.throw(/msgpack/);
		}
	});

	it('do not let a key reach a prototype', () => {
		const bytes = Buffer.from('81a95f5f70726f746f5f5f81a178c3', 'hex');
		const value = decodeBody(bytes) as Record<string, unknown>;
		expect(Object.getPrototypeOf(value)).to.equal(Object.prototype);
		expect(value['x']).to.equal(undefined);
	});
});
