/** What an attacker would see and do who has broken TLS and noise: the bytes between those and the sessions. */
import type { NativeConnection, NativeStream } from '../native.ts';
import type { Taps } from '../wire.ts';

export interface Captured {
	readonly id: string;
	readonly direction: 'in' | 'out';
	readonly opener: 'us' | 'them';
	readonly bytes: Uint8Array;
}

/** Keeps everything, and changes nothing. */
export class Capture {
	readonly #captured: Captured[] = [];
	#connections = 0;

	readonly taps: Taps = {
		quic: (native) => {
			const connection = ++this.#connections;
			return tapQuic(native, {
				read: (stream, opener, bytes) => this.#keep(`quic ${connection} ${stream}`, 'in', opener, bytes),
				write: (stream, opener, bytes) => this.#keep(`quic ${connection} ${stream}`, 'out', opener, bytes),
			});
		},
		tcp: (stream) => {
			const id = `tcp ${++this.#connections}`;
			const opener = stream.direction === 'outbound' ? 'us' : 'them';
			stream.addEventListener('message', ({ data }) => void this.#keep(id, 'in', opener, data.subarray()));
			const send = stream.send.bind(stream);
			stream.send = (data) => {
				this.#keep(id, 'out', opener, data.subarray());
				return send(data);
			};
			return stream;
		},
	};

	/** Each direction of each stream, in the order of its bytes. */
	flows(): ReadonlyMap<string, Captured> {
		const flows = new Map<string, Captured>();
		for (const part of this.#captured) {
			const name = `${part.id} opened by ${part.opener} ${part.direction}`;
			const before = flows.get(name);
			flows.set(name, before === undefined ? part : { ...part, bytes: Buffer.concat([before.bytes, part.bytes]) });
		}
		return flows;
	}

	#keep(id: string, direction: 'in' | 'out', opener: 'us' | 'them', bytes: Uint8Array): Uint8Array {
		this.#captured.push({ id, direction, opener, bytes: bytes.slice() });
		return bytes;
	}
}

export interface QuicChanges {
	readonly read?: (stream: string, opener: 'us' | 'them', bytes: Uint8Array) => Uint8Array;
	readonly write?: (stream: string, opener: 'us' | 'them', bytes: Uint8Array) => Uint8Array;
	/** Called with each stream that we open, e.g. to end it. */
	readonly opened?: (stream: NativeStream) => void;
}

export function tapQuic(native: NativeConnection, changes: QuicChanges): NativeConnection {
	const keep = (_stream: string, _opener: string, bytes: Uint8Array): Uint8Array => bytes;
	const { read = keep, write = keep, opened } = changes;
	const wrap = (stream: NativeStream, opener: 'us' | 'them'): NativeStream => ({
		id: () => stream.id(),
		read: async () => {
			const chunk = await stream.read();
			return chunk === null ? null : read(stream.id(), opener, chunk);
		},
		write: (bytes) => stream.write(write(stream.id(), opener, bytes)),
		finishWrite: () => stream.finishWrite(),
		resetWrite: () => stream.resetWrite(),
		stopRead: () => stream.stopRead(),
	});
	return {
		inboundStream: async () => wrap(await native.inboundStream(), 'them'),
		outboundStream: async () => {
			const stream = await native.outboundStream();
			opened?.(stream);
			return wrap(stream, 'us');
		},
	};
}
