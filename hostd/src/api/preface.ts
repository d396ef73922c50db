/**
 * The first words on a host's local socket, before anything is secret: which host is meant, and of which mesh this one
 * is. `"BMO" | u8 version | u16 length | DAG-CBOR`. Believed by nobody: the session that follows proves what counts.
 */
import { MESH_CODES, MeshError } from '@beemesh/sdk/errors';
import type { ByteStream } from '@beemesh/sdk/streams';
import { decodeRecord, encodeRecord, envelopeSchema, type MachineId, machineIdSchema } from '@beemesh/sdk/wire';
import * as v from 'valibot';

const VERSION = 1;
const HEAD_BYTES = 6;
const MAGIC = [0x42, 0x4d, 0x4f] as const;
const ASK_BYTES_MAX = 256;
const ANSWER_BYTES_MAX = 16 * 1024;
/** Visible characters: what a host says ends up on a terminal. */
const textSchema = v.pipe(v.string(), v.maxLength(1_000), v.regex(/^[^\p{Cc}\p{Cf}]*$/u));

const askSchema = v.strictObject({
	/** Absent: the host that listens here. */
	target: v.optional(machineIdSchema),
});
export type Ask = v.InferOutput<typeof askSchema>;

const answerSchema = v.variant('ok', [
	v.strictObject({
		ok: v.literal(true),
		/** The host at the other end from now on. */
		machineId: machineIdSchema,
		/** Of the mesh of the host that listens here. */
		genesis: envelopeSchema,
	}),
	v.strictObject({ ok: v.literal(false), code: v.picklist(MESH_CODES), message: textSchema }),
]);
export type Answer = v.InferOutput<typeof answerSchema>;

/** On the host's side. `stream`: what follows the preface. Throws `invalid_input`, `conflict` or `unavailable`. */
export async function readAsk(stream: ByteStream): Promise<{ readonly ask: Ask; readonly stream: ByteStream }> {
	const { body, rest } = await read(stream, ASK_BYTES_MAX);
	const parsed = v.safeParse(askSchema, decodeRecord(body, ASK_BYTES_MAX));
	if (!parsed.success) throw new MeshError('invalid_input', 'this preface names no host as this version knows them');
	return { ask: parsed.output, stream: rest };
}

export function writeAnswer(stream: ByteStream, answer: Answer): void {
	stream.write(framed(answer));
}

/** Why a host was not reached, as its answer to the preface. */
export function refusal({ code, message }: MeshError): Answer {
	return { ok: false, code, message: message.replaceAll(/[\p{Cc}\p{Cf}]+/gu, ' ').slice(0, 1_000) };
}

/** On the owner's side. Throws what the host answers, `invalid_input` or `unavailable`. */
export async function askFor(
	stream: ByteStream,
	target: MachineId | undefined,
): Promise<{ readonly machineId: MachineId; readonly genesis: Uint8Array; readonly stream: ByteStream }> {
	stream.write(framed(target === undefined ? {} : { target }));
	const { body, rest } = await read(stream, ANSWER_BYTES_MAX);
	const parsed = v.safeParse(answerSchema, decodeRecord(body, ANSWER_BYTES_MAX));
	if (!parsed.success)
		throw new MeshError('invalid_input', 'what answers is no host of this version: it ends the preface in another way');
	const answer = parsed.output;
	if (!answer.ok) throw new MeshError(answer.code, answer.message);
	return { machineId: answer.machineId, genesis: answer.genesis, stream: rest };
}

function framed(message: Ask | Answer): Uint8Array {
	const body = encodeRecord(message);
	const frame = new Uint8Array(HEAD_BYTES + body.byteLength);
	frame.set([...MAGIC, VERSION, body.byteLength >>> 8, body.byteLength & 0xff]);
	frame.set(body, HEAD_BYTES);
	return frame;
}

/** One message, and the stream without it. */
async function read(
	stream: ByteStream,
	bytesMax: number,
): Promise<{ readonly body: Uint8Array; readonly rest: ByteStream }> {
	const source = stream.source[Symbol.asyncIterator]();
	let buffer: Uint8Array = new Uint8Array(0);
	for (;;) {
		// Somebody who speaks something else is not waited for.
		if (!MAGIC.every((byte, i) => (buffer[i] ?? byte) === byte))
			throw new MeshError('invalid_input', 'the other side does not speak as hosts and owners do');
		const version = buffer[3];
		if (version !== undefined && version !== VERSION) {
			throw new MeshError(
				'conflict',
				`the other side speaks version ${version} of the preface, this one ${VERSION}: update the older one`,
			);
		}
		const [high, low] = [buffer[4], buffer[5]];
		if (high !== undefined && low !== undefined) {
			const end = HEAD_BYTES + high * 256 + low;
			if (end - HEAD_BYTES > bytesMax)
				throw new MeshError('invalid_input', `a preface of ${end - HEAD_BYTES} bytes is refused`);
			if (buffer.byteLength >= end)
				return { body: buffer.slice(HEAD_BYTES, end), rest: withRest(stream, source, buffer.slice(end)) };
		}
		const { done, value } = await source.next();
		if (done === true) throw new MeshError('unavailable', 'the other side hung up during the first words');
		buffer = new Uint8Array(Buffer.concat([buffer, value]));
	}
}

/** The stream from here on: what was read too far, then the rest. */
function withRest(stream: ByteStream, source: AsyncIterator<Uint8Array>, rest: Uint8Array): ByteStream {
	async function* remaining(): AsyncGenerator<Uint8Array> {
		if (rest.byteLength > 0) yield rest;
		for (;;) {
			const { done, value } = await source.next();
			if (done === true) return;
			yield value;
		}
	}
	return {
		write: (chunk) => stream.write(chunk),
		drained: () => stream.drained(),
		source: { [Symbol.asyncIterator]: remaining },
		close: () => stream.close(),
		abort: (error) => stream.abort(error),
		onClose: (listener) => stream.onClose(listener),
	};
}
