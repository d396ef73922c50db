/** What the two first frames of a session say, and how long they may take. */
import { MeshError } from '../../errors.ts';
import { copyOf } from '../../wire/bytes.ts';
import { LIMITS } from '../../wire/limits.ts';

export const HANDSHAKE_MS = 5_000;
/** Raised when frames or the meaning of calls change so that old and new cannot talk. */
const SESSION_VERSION = 1;
/** Tells two processes of one peer apart, e.g. before and after a restart. */
export const INSTANCE_BYTES = 8;
/** Largest hello frame body; nothing larger is read before a peer is admitted. */
export const HELLO_BYTES_MAX = LIMITS.frameBytesMax + 1 + INSTANCE_BYTES;

export interface Hello {
	readonly instance: string;
	readonly hello: Uint8Array;
}

export function encodeHello(instance: Uint8Array, hello: Uint8Array): Uint8Array {
	const body = new Uint8Array(1 + INSTANCE_BYTES + hello.byteLength);
	body[0] = SESSION_VERSION;
	body.set(instance, 1);
	body.set(hello, 1 + INSTANCE_BYTES);
	return body;
}

export function decodeHello(body: Uint8Array): Hello {
	const version = body[0];
	if (version !== SESSION_VERSION) {
		throw new MeshError(
			'conflict',
			`the remote speaks session version ${version ?? 'none'}, this side ${SESSION_VERSION}: update the older one`,
		);
	}
	if (body.byteLength < 1 + INSTANCE_BYTES)
		throw new MeshError('invalid_input', 'malformed frame: the hello is cut short');
	return {
		instance: instanceName(body.subarray(1, 1 + INSTANCE_BYTES)),
		hello: copyOf(body.subarray(1 + INSTANCE_BYTES)),
	};
}

export function instanceName(instance: Uint8Array): string {
	let name = '';
	for (const byte of instance) name += byte.toString(16).padStart(2, '0');
	return name;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });
const CHANNEL_BYTES_MAX = 255;

/** `u8 length | channel | payload`. */
export function encodeNotify(channel: string, payload: Uint8Array): Uint8Array {
	const name = encoder.encode(channel);
	if (name.byteLength > CHANNEL_BYTES_MAX)
		throw new MeshError('invalid_input', `channel name '${channel}' is too long`);
	const body = new Uint8Array(1 + name.byteLength + payload.byteLength);
	body[0] = name.byteLength;
	body.set(name, 1);
	body.set(payload, 1 + name.byteLength);
	return body;
}

export function decodeNotify(body: Uint8Array): { channel: string; payload: Uint8Array } {
	const length = body[0];
	if (length === undefined || 1 + length > body.byteLength) {
		throw new MeshError('invalid_input', 'malformed frame: the notification is cut short');
	}
	try {
		return { channel: decoder.decode(body.subarray(1, 1 + length)), payload: copyOf(body.subarray(1 + length)) };
	} catch (cause) {
		throw new MeshError('invalid_input', 'malformed frame: the channel name is not UTF-8', { cause });
	}
}

export function encodeText(text: string): Uint8Array {
	return encoder.encode(text.slice(0, 256));
}

export function decodeText(body: Uint8Array): string {
	return new TextDecoder().decode(body.subarray(0, 1024));
}
