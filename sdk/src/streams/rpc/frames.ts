/**
 * Frames on a byte stream: `u32 length | u8 type | u8 flags | u32 id | body`, big endian, at most 64 KiB in all.
 * A larger message goes out as several frames of one type and id, all but the last flagged `MORE`. At most one
 * message per direction is in pieces at a time (whole frames may stand between its pieces, so a long message holds
 * nobody up), which bounds what a receiver keeps to one message.
 *
 * Pure: bytes in, messages out. Anything unexpected throws; the session closes on that, because after one wrong
 * length nothing that follows can be trusted.
 */
import { MeshError } from '../../errors.ts';
import { copyOf } from '../../wire/bytes.ts';
import { LIMITS } from '../../wire/limits.ts';

export const FRAME = {
	hello: 1,
	admit: 2,
	refuse: 3,
	call: 4,
	item: 5,
	end: 6,
	result: 7,
	error: 8,
	cancel: 9,
	credit: 10,
	notify: 11,
	ping: 12,
	pong: 13,
	retire: 14,
	goodbye: 15,
} as const;

export type FrameType = (typeof FRAME)[keyof typeof FRAME];

/** One complete message: a frame, or the joined pieces of several. */
export interface Message {
	readonly type: FrameType;
	readonly id: number;
	readonly body: Uint8Array;
}

export const HEADER_BYTES = 10;
/** Largest body of one frame. */
export const BODY_BYTES_MAX = LIMITS.frameBytesMax - HEADER_BYTES;
export const MORE = 1;

const TYPE_MAX = FRAME.goodbye;
/** Bytes after the length field that every frame has. */
const REST_BYTES_MIN = HEADER_BYTES - 4;

/** Writes a header and the body at an offset; returns the offset after them. */
export function writeFrame(
	target: Uint8Array,
	at: number,
	type: FrameType,
	flags: number,
	id: number,
	body: Uint8Array,
): number {
	const length = REST_BYTES_MIN + body.byteLength;
	target[at] = length >>> 24;
	target[at + 1] = length >>> 16;
	target[at + 2] = length >>> 8;
	target[at + 3] = length;
	target[at + 4] = type;
	target[at + 5] = flags;
	target[at + 6] = id >>> 24;
	target[at + 7] = id >>> 16;
	target[at + 8] = id >>> 8;
	target[at + 9] = id;
	target.set(body, at + HEADER_BYTES);
	return at + HEADER_BYTES + body.byteLength;
}

/** A message as frames, each an own array. For tests and small protocols; sessions batch with {@link writeFrame}. */
export function encodeMessage(type: FrameType, id: number, body: Uint8Array): Uint8Array[] {
	const frames: Uint8Array[] = [];
	let at = 0;
	do {
		const piece = body.subarray(at, at + BODY_BYTES_MAX);
		at += piece.byteLength;
		const frame = new Uint8Array(HEADER_BYTES + piece.byteLength);
		writeFrame(frame, 0, type, at < body.byteLength ? MORE : 0, id, piece);
		frames.push(frame);
	} while (at < body.byteLength);
	return frames;
}

const NOTHING = new Uint8Array(0);

/** Cuts a byte stream into messages. One per stream direction; useless after it threw. */
export class MessageDecoder {
	/** Most bytes one message may have. Small until the peer is admitted. */
	messageBytesMax: number;
	/** Bytes of the frame that has begun: first the length field, then the frame after it. */
	#partial: Uint8Array = new Uint8Array(4);
	#filled = 0;
	#inLength = true;
	/** The message in pieces, if one is. */
	#pieces: Uint8Array[] = [];
	#piecesBytes = 0;
	#piecesType = 0;
	#piecesId = 0;

	constructor(messageBytesMax: number = LIMITS.messageBytesMax) {
		this.messageBytesMax = messageBytesMax;
	}

	/**
	 * Calls `on` for each message that this chunk completes. Bodies may be views of the chunk. `on` may return false
	 * to stop: the rest of the chunk is then returned, to be pushed later (the hello is judged before more is read).
	 */
	push(chunk: Uint8Array, on: (message: Message) => boolean | undefined): Uint8Array {
		let at = 0;
		while (at < chunk.byteLength) {
			if (this.#inLength && this.#filled === 0 && chunk.byteLength - at >= 4) {
				const length = lengthAt(chunk, at);
				if (chunk.byteLength - at - 4 >= length) {
					const message = this.#frame(chunk.subarray(at + 4, at + 4 + length));
					at += 4 + length;
					if (message !== undefined && on(message) === false) return chunk.subarray(at);
					continue;
				}
				this.#startFrame(length);
				at += 4;
			}
			const take = Math.min(this.#partial.byteLength - this.#filled, chunk.byteLength - at);
			this.#partial.set(chunk.subarray(at, at + take), this.#filled);
			this.#filled += take;
			at += take;
			if (this.#filled < this.#partial.byteLength) break;
			if (this.#inLength) {
				this.#startFrame(lengthAt(this.#partial, 0));
				continue;
			}
			const frame = this.#partial;
			this.#partial = new Uint8Array(4);
			this.#filled = 0;
			this.#inLength = true;
			const message = this.#frame(frame);
			if (message !== undefined && on(message) === false) return chunk.subarray(at);
		}
		return NOTHING;
	}

	#startFrame(length: number): void {
		this.#partial = new Uint8Array(length);
		this.#filled = 0;
		this.#inLength = false;
	}

	#frame(rest: Uint8Array): Message | undefined {
		const type = rest[0] as number;
		const flags = rest[1] as number;
		const id = lengthWord(rest, 2);
		const body = rest.subarray(REST_BYTES_MIN);
		if (type === 0 || type > TYPE_MAX) malformed(`type ${type} is unknown`);
		if (flags > MORE) malformed(`flags ${flags} are unknown`);
		const more = flags === MORE;
		const continues = this.#pieces.length > 0 && this.#piecesType === type && this.#piecesId === id;
		if (!continues) {
			if (!more) {
				if (body.byteLength > this.messageBytesMax) malformed(`message is larger than ${this.messageBytesMax} bytes`);
				return { type: type as FrameType, id, body };
			}
			if (this.#pieces.length > 0) malformed('a second message in pieces began before the first ended');
			this.#piecesType = type;
			this.#piecesId = id;
		}
		// Small pieces would cost memory that no byte limit counts.
		if (more && body.byteLength !== BODY_BYTES_MAX) malformed('a piece that is not full but not the last');
		if (body.byteLength === 0) malformed('an empty piece');
		this.#piecesBytes += body.byteLength;
		if (this.#piecesBytes > this.messageBytesMax) malformed(`message is larger than ${this.messageBytesMax} bytes`);
		// A copy: a view would keep the whole chunk it came in alive until the last piece is here.
		this.#pieces.push(more ? copyOf(body) : body);
		if (more) return undefined;
		const joined = new Uint8Array(this.#piecesBytes);
		let at = 0;
		for (const piece of this.#pieces) {
			joined.set(piece, at);
			at += piece.byteLength;
		}
		this.#pieces = [];
		this.#piecesBytes = 0;
		return { type: type as FrameType, id, body: joined };
	}
}

function lengthAt(bytes: Uint8Array, at: number): number {
	const length = lengthWord(bytes, at);
	if (length < REST_BYTES_MIN || length > LIMITS.frameBytesMax - 4) malformed(`length ${length} is out of bounds`);
	return length;
}

function lengthWord(bytes: Uint8Array, at: number): number {
	return (
		(((bytes[at] as number) << 24) |
			((bytes[at + 1] as number) << 16) |
			((bytes[at + 2] as number) << 8) |
			(bytes[at + 3] as number)) >>>
		0
	);
}

function malformed(why: string): never {
	throw new MeshError('invalid_input', `malformed frame: ${why}`);
}
