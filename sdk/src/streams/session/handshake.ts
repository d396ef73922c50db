/**
 * Runs a handshake over bytes: frames (`u16 length | message`), the time limit, the identity's answers. A side that gives
 * up says why and waits a moment for the other to hear it.
 */
import { MeshError } from '../../errors.ts';
import { copyOf } from '../../wire/bytes.ts';
import type { PeerId } from '../../wire/ids.ts';
import type { Clock } from './clock.ts';
import {
	EMPTY,
	type Established,
	encodeAlert,
	type Handshake,
	type HandshakeEffect,
	type HandshakeEvent,
	type RefusalReason,
	type SessionIdentity,
} from './core/index.ts';

/** What a handshake, and then the records of one stream, run over. */
export interface Pipe {
	/** Undefined at the end; throws when it broke. */
	read(): Promise<Uint8Array | undefined>;
	write(bytes: Uint8Array): Promise<void> | void;
}

export interface HandshakeRun<P> {
	readonly machine: Handshake<P>;
	readonly identity: SessionIdentity<P>;
	readonly remote: PeerId | undefined;
	readonly clock: Clock;
	readonly timeoutMs: number;
	readonly signal?: AbortSignal | undefined;
}

export interface HandshakeResult<P> {
	readonly session: Established<P>;
	/** The certificate that the other side proved. */
	readonly certificate: Uint8Array;
	/** Bytes that came after the handshake: the first records. */
	readonly rest: Uint8Array;
}

/** How every message begins: "BMS". */
const MAGIC = [0x42, 0x4d, 0x53] as const;
const LINGER_MS = 500;
const LINGER_READS = 64;

export async function runHandshake<P>(pipe: Pipe, run: HandshakeRun<P>): Promise<HandshakeResult<P>> {
	const { machine, identity, remote, clock, signal } = run;
	const frames = new FrameReader(pipe);
	const over = interruption(run);
	let certificate: Uint8Array = EMPTY;
	try {
		let event: HandshakeEvent<P> = { type: 'start' };
		for (;;) {
			let next: HandshakeEvent<P> | undefined;
			for (const effect of machine.step(event, clock.nowMs()) as readonly HandshakeEffect<P>[]) {
				switch (effect.type) {
					case 'send':
						await Promise.race([pipe.write(framed(effect.bytes)), over.promise]);
						break;
					case 'verify':
						certificate = copyOf(effect.certificate);
						next = await Promise.race([answerOf(identity, certificate, remote), over.promise]);
						break;
					case 'established':
						return { session: effect.session, certificate, rest: frames.rest() };
					case 'fail':
						if (effect.alert !== undefined) await linger(pipe, encodeAlert(effect.alert), clock, signal);
						throw effect.error;
				}
			}
			event = next ?? {
				type: 'message',
				bytes: await Promise.race([frames.next(machine.bytesMax, remote), over.promise]),
			};
		}
	} finally {
		over.clear();
	}
}

async function answerOf<P>(
	identity: SessionIdentity<P>,
	certificate: Uint8Array,
	remote: PeerId | undefined,
): Promise<HandshakeEvent<P>> {
	try {
		return { type: 'verified', peer: await identity.verify(certificate, remote) };
	} catch (error) {
		return { type: 'refused', error };
	}
}

/** Tells the other side why, and gives it time to hang up: closing at once could overtake the alert. */
async function linger(pipe: Pipe, alert: Uint8Array, clock: Clock, signal: AbortSignal | undefined): Promise<void> {
	if (signal?.aborted === true) return;
	const timeout = Promise.withResolvers<undefined>();
	const stop = clock.after(LINGER_MS, () => timeout.resolve(undefined));
	const hangUp = (async () => {
		await pipe.write(framed(alert));
		for (let reads = 0; reads < LINGER_READS && (await pipe.read()) !== undefined; reads++);
	})();
	await Promise.race([hangUp.catch(() => undefined), timeout.promise]);
	stop();
}

function framed(message: Uint8Array): Uint8Array {
	const frame = new Uint8Array(message.byteLength + 2);
	frame[0] = message.byteLength >>> 8;
	frame[1] = message.byteLength;
	frame.set(message, 2);
	return frame;
}

/** A promise that rejects when time is up or the caller has changed its mind. */
function interruption<P>({ clock, timeoutMs, signal, remote }: HandshakeRun<P>) {
	const { promise, reject } = Promise.withResolvers<never>();
	promise.catch(() => undefined);
	const who = remote ?? 'the other side';
	const stop = clock.after(timeoutMs, () =>
		reject(new MeshError('unavailable', `BMS/1: ${who} did not finish the handshake in ${timeoutMs} ms`)),
	);
	const onAbort = (): void =>
		reject(new MeshError('cancelled', `BMS/1: the handshake with ${who} was cancelled`, { applied: 'no' }));
	if (signal?.aborted === true) onAbort();
	signal?.addEventListener('abort', onAbort, { once: true });
	return {
		promise,
		clear: () => {
			stop();
			signal?.removeEventListener('abort', onAbort);
		},
	};
}

class FrameReader {
	readonly #pipe: Pipe;
	#buffer: Uint8Array = EMPTY;

	constructor(pipe: Pipe) {
		this.#pipe = pipe;
	}

	async next(bytesMax: number, remote: PeerId | undefined): Promise<Uint8Array> {
		for (;;) {
			const frame = this.#take(bytesMax);
			if (frame !== undefined) return frame;
			const chunk = await this.#read(remote);
			this.#buffer = this.#buffer.byteLength === 0 ? chunk : new Uint8Array(Buffer.concat([this.#buffer, chunk]));
		}
	}

	/** Of none of the frames' memory: who reads on keeps it for as long as the session lives. */
	rest(): Uint8Array {
		return copyOf(this.#buffer);
	}

	#take(bytesMax: number): Uint8Array | undefined {
		const [high, low] = this.#buffer;
		if (high === undefined || low === undefined) return undefined;
		const length = high * 256 + low;
		if (length > bytesMax) {
			throw new MeshError('unauthorized', `BMS/1: a handshake message of ${length} bytes is refused`);
		}
		// Somebody who speaks something else is not waited for.
		if (!MAGIC.every((byte, i) => (this.#buffer[i + 2] ?? byte) === byte)) {
			throw new MeshError('unauthorized', 'BMS/1: the other side speaks no session protocol; it is not of a mesh', {
				details: { refusal: 'protocol' satisfies RefusalReason },
			});
		}
		if (this.#buffer.byteLength < length + 2) return undefined;
		const frame = this.#buffer.subarray(2, length + 2);
		this.#buffer = this.#buffer.subarray(length + 2);
		return frame;
	}

	async #read(remote: PeerId | undefined): Promise<Uint8Array> {
		const who = remote ?? 'the other side';
		let chunk: Uint8Array | undefined;
		try {
			chunk = await this.#pipe.read();
		} catch (cause) {
			const why = cause instanceof Error ? cause.message : String(cause);
			throw new MeshError('unavailable', `BMS/1: ${who} was lost during the handshake: ${why}`, { cause });
		}
		if (chunk === undefined) throw new MeshError('unavailable', `BMS/1: ${who} ended the handshake`);
		return chunk;
	}
}
