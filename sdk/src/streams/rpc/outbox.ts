/**
 * The sending half of a session. Messages queued in one turn of the event loop leave as one write. Long messages
 * leave one frame per write between the short ones, so that a 4 MiB answer delays no heartbeat; messages of one
 * call keep their order.
 */
import { MeshError } from '../../errors.ts';
import { LIMITS } from '../../wire/limits.ts';
import type { ByteStream } from '../transport.ts';
import { BODY_BYTES_MAX, FRAME, type FrameType, HEADER_BYTES, MORE, writeFrame } from './frames.ts';

/** Follows one message: whether its first byte was handed to the stream, or that it is no longer wanted. */
export interface Ticket {
	written: boolean;
	dropped: boolean;
}

interface Outgoing {
	readonly type: FrameType;
	readonly id: number;
	readonly body: Uint8Array;
	readonly ticket: Ticket | undefined;
	/** Bytes of the body already sent, of a long message. */
	at: number;
}

/** Above this, one-way messages are refused and streams wait. */
export const SEND_QUEUE_BYTES_HIGH = 1024 * 1024;
/** Above this, new calls are refused. */
export const SEND_QUEUE_BYTES_FULL = 16 * 1024 * 1024;
/** Above this the remote is not reading and the session ends. */
export const SEND_QUEUE_BYTES_MAX = 64 * 1024 * 1024;

const WRITE_BYTES = LIMITS.frameBytesMax;

export class Outbox {
	readonly #stream: ByteStream;
	readonly #onBroken: (error: Error) => void;
	#short: Outgoing[] = [];
	/** Long messages, and short ones that must not overtake a long one of the same call. */
	#long: Outgoing[] = [];
	readonly #longIds = new Map<number, number>();
	#bytes = 0;
	#scheduled = false;
	#flushing = false;
	#closed = false;
	#waiting: (() => void)[] = [];
	#idle: (() => void)[] = [];

	constructor(stream: ByteStream, onBroken: (error: Error) => void) {
		this.#stream = stream;
		this.#onBroken = onBroken;
	}

	/** Bytes queued here, beyond what the stream itself holds. */
	get bytes(): number {
		return this.#bytes;
	}

	send(type: FrameType, id: number, body: Uint8Array, ticket?: Ticket): void {
		if (this.#closed) return;
		const outgoing: Outgoing = { type, id, body, ticket, at: 0 };
		this.#bytes += body.byteLength + HEADER_BYTES;
		if (this.#bytes > SEND_QUEUE_BYTES_MAX) {
			this.#onBroken(new MeshError('exhausted', 'the remote does not read: the send queue is full'));
			return;
		}
		// Pings have their own ids and no order to keep.
		const ordered = type !== FRAME.ping && type !== FRAME.pong;
		if (body.byteLength > BODY_BYTES_MAX || (ordered && this.#longIds.has(id))) {
			this.#long.push(outgoing);
			this.#longIds.set(id, (this.#longIds.get(id) ?? 0) + 1);
		} else this.#short.push(outgoing);
		if (!this.#scheduled && !this.#flushing) {
			this.#scheduled = true;
			setImmediate(this.#flush);
		}
	}

	/** Resolves when the queue is short again, or the session ended. */
	writable(): Promise<void> {
		if (this.#closed || this.#bytes < SEND_QUEUE_BYTES_HIGH) return Promise.resolve();
		return new Promise((resolve) => this.#waiting.push(resolve));
	}

	/** Resolves when everything queued was handed to the stream, or the session ended. */
	flushed(): Promise<void> {
		if (this.#closed || this.#bytes === 0) return Promise.resolve();
		return new Promise((resolve) => this.#idle.push(resolve));
	}

	close(): void {
		this.#closed = true;
		this.#short = [];
		this.#long = [];
		this.#longIds.clear();
		this.#bytes = 0;
		this.#wake();
	}

	readonly #flush = async (): Promise<void> => {
		this.#scheduled = false;
		this.#flushing = true;
		try {
			while (this.#short.length > 0 || this.#long.length > 0) {
				const batch = this.#batch();
				const more = batch === undefined || this.#stream.write(batch);
				this.#wake();
				if (!more) await this.#stream.drained();
			}
		} catch (error) {
			if (!this.#closed) this.#onBroken(error instanceof Error ? error : new Error(String(error)));
		} finally {
			this.#flushing = false;
		}
	};

	/** The next write: one frame of a long message, and short messages up to the write size. */
	#batch(): Uint8Array | undefined {
		let long: Outgoing | undefined;
		while (this.#long.length > 0) {
			long = this.#long[0] as Outgoing;
			// A message half of which is out must be finished, or the receiver could not tell what follows.
			if (!long.ticket?.dropped || long.at > 0) break;
			this.#endLong(long);
			this.#bytes -= long.body.byteLength + HEADER_BYTES;
			long = undefined;
		}
		const piece = long?.body.subarray(long.at, long.at + BODY_BYTES_MAX);
		let size = piece === undefined ? 0 : piece.byteLength + HEADER_BYTES;
		let count = 0;
		for (const { body, ticket } of this.#short) {
			const bytes = ticket?.dropped ? 0 : body.byteLength + HEADER_BYTES;
			if (count > 0 && size + bytes > WRITE_BYTES * 2) break;
			size += bytes;
			count++;
		}
		const taken = count === this.#short.length ? this.#short : this.#short.slice(0, count);
		this.#short = count === this.#short.length ? [] : this.#short.slice(count);
		if (size === 0) {
			for (const { body } of taken) this.#bytes -= body.byteLength + HEADER_BYTES;
			return undefined;
		}
		const batch = new Uint8Array(size);
		let at = 0;
		for (const { type, id, body, ticket } of taken) {
			this.#bytes -= body.byteLength + HEADER_BYTES;
			if (ticket?.dropped) continue;
			if (ticket) ticket.written = true;
			at = writeFrame(batch, at, type, 0, id, body);
		}
		if (long !== undefined && piece !== undefined) {
			if (long.ticket) long.ticket.written = true;
			long.at += piece.byteLength;
			const done = long.at >= long.body.byteLength;
			writeFrame(batch, at, long.type, done ? 0 : MORE, long.id, piece);
			this.#bytes -= piece.byteLength + (done ? HEADER_BYTES : 0);
			if (done) this.#endLong(long);
		}
		return batch;
	}

	#endLong(message: Outgoing): void {
		this.#long.shift();
		const left = (this.#longIds.get(message.id) ?? 1) - 1;
		if (left === 0) this.#longIds.delete(message.id);
		else this.#longIds.set(message.id, left);
	}

	#wake(): void {
		if (this.#waiting.length > 0 && (this.#closed || this.#bytes < SEND_QUEUE_BYTES_HIGH)) {
			const waiting = this.#waiting;
			this.#waiting = [];
			for (const resolve of waiting) resolve();
		}
		if (this.#idle.length > 0 && (this.#closed || this.#bytes === 0)) {
			const idle = this.#idle;
			this.#idle = [];
			for (const resolve of idle) resolve();
		}
	}
}
