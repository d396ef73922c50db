import { isMeshError, MeshError } from '@beemesh/sdk/errors';
import { createKeyPair, createMesh, createPeerKey } from '@beemesh/sdk/identity';
import { encodeRecord, type MachineId } from '@beemesh/sdk/wire';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { askFor, readAsk, refusal, writeAnswer } from '../preface.ts';
import { streamPair } from './streams.ts';

const machineId = createPeerKey().peerId as MachineId;
const { envelope: genesis } = createMesh('test', createKeyPair(), 1);

const frame = (body: Uint8Array, head: readonly number[] = [0x42, 0x4d, 0x4f, 1], length = body.byteLength) =>
	new Uint8Array([...head, length >>> 8, length & 0xff, ...body]);

async function codeOf(promise: Promise<unknown>): Promise<string> {
	const error = await promise.then(
		() => undefined,
		(thrown: unknown) => thrown,
	);
	return isMeshError(error) ? error.code : `none: ${String(error)}`;
}

describe('the first words on a host’s socket', () => {
	it('name the host that is wanted, and what follows is not lost', async () => {
		for (const target of [undefined, machineId]) {
			const [owner, host] = await streamPair();
			const asking = askFor(owner, target);
			const { ask, stream } = await readAsk(host);
			expect(ask).to.deep.equal(target === undefined ? {} : { target });
			writeAnswer(stream, { ok: true, machineId, genesis });
			stream.write(new Uint8Array([1, 2, 3]));
			const answer = await asking;
			expect(answer.machineId).to.equal(machineId);
			expect(answer.genesis).to.deep.equal(genesis);
			const [first] = await Array.fromAsync(take(answer.stream.source, 1));
			expect(first).to.deep.equal(new Uint8Array([1, 2, 3]));
		}
	});

	it('are understood in pieces of any size', async () => {
		const [owner, host] = await streamPair();
		const reading = readAsk(host);
		for (const byte of frame(encodeRecord({ target: machineId }))) owner.write(new Uint8Array([byte]));
		expect((await reading).ask).to.deep.equal({ target: machineId });
	});

	it('carry a refusal as its code and words, made fit for a terminal', async () => {
		const [owner, host] = await streamPair();
		const asking = askFor(owner, machineId);
		await readAsk(host);
		writeAnswer(host, refusal(new MeshError('unavailable', 'no\u001b[31m way\u202e')));
		const error = await asking.catch((thrown: unknown) => thrown);
		expect(error).to.be.instanceOf(MeshError).and.include({ code: 'unavailable', message: 'no [31m way ' });
	});

	const HOST_SIDE: readonly (readonly [string, Uint8Array, string])[] = [
		['nothing', new Uint8Array(0), 'unavailable'],
		['another protocol', new TextEncoder().encode('GET / HTTP/1.1\r\n\r\n'), 'invalid_input'],
		['another version', frame(encodeRecord({}), [0x42, 0x4d, 0x4f, 2]), 'conflict'],
		['more than it may', frame(new Uint8Array(300)), 'invalid_input'],
		['a length that is never met', frame(encodeRecord({}), undefined, 200), 'unavailable'],
		['no record', frame(new Uint8Array([0xff, 0xff])), 'invalid_input'],
		['an unknown field', frame(encodeRecord({ target: machineId, more: 1 })), 'invalid_input'],
		['no machine', frame(encodeRecord({ target: 'bee-1' })), 'invalid_input'],
		['bytes after the record', frame(new Uint8Array([...encodeRecord({}), 0])), 'invalid_input'],
	];
	for (const [what, bytes, code] of HOST_SIDE)
		it(`refuse ${what}`, async () => {
			const [owner, host] = await streamPair();
			owner.write(bytes);
			void owner.close();
			expect(await codeOf(readAsk(host))).to.equal(code);
		});

	const OWNER_SIDE: readonly (readonly [string, Uint8Array, string])[] = [
		['an oversized answer', frame(new Uint8Array(17 * 1024)), 'invalid_input'],
		['an answer without a genesis', frame(encodeRecord({ ok: true, machineId })), 'invalid_input'],
		['a code that is none', frame(encodeRecord({ ok: false, code: 'fine', message: '' })), 'invalid_input'],
		[
			'words that would move a cursor',
			frame(encodeRecord({ ok: false, code: 'internal', message: '\u001b[2J' })),
			'invalid_input',
		],
		['no answer', new Uint8Array(0), 'unavailable'],
	];
	for (const [what, bytes, code] of OWNER_SIDE)
		it(`refuse ${what} from a host`, async () => {
			const [owner, host] = await streamPair();
			host.write(bytes);
			void host.close();
			expect(await codeOf(askFor(owner, undefined))).to.equal(code);
		});
});

async function* take<T>(source: AsyncIterable<T>, count: number): AsyncGenerator<T> {
	let left = count;
	if (left === 0) return;
	for await (const item of source) {
		yield item;
		if (--left === 0) return;
	}
}
