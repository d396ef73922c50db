/** What the native QUIC addon offers of connections and streams, and what we put between it and libp2p. */

export interface NativeStream {
	id(): string;
	/** At most this many bytes; null at the end. Rejects after a reset or the loss of the connection. */
	read(bytesMax: number): Promise<Uint8Array | null>;
	write(data: Uint8Array): Promise<void>;
	finishWrite(): Promise<void>;
	resetWrite(): Promise<void>;
	stopRead(): Promise<void>;
}

export interface NativeConnection {
	/** Why it is over, where that is known: the addon knows no reasons, what we put on it does. */
	readonly error?: Error | undefined;
	inboundStream(): Promise<NativeStream>;
	outboundStream(): Promise<NativeStream>;
}

const READ_BYTES_MIN = 4 * 1024;
const READ_BYTES_MAX = 64 * 1024;
const READ_BYTES_STEP = 4;

/**
 * Reads a stream by as much as it brings: 4 to 64 KiB. The addon sets aside what a read may bring for as long as the read
 * waits, and the collector is woken by what was set aside: idle streams must ask for little, bulk for much.
 */
export function readerOf(stream: NativeStream): () => Promise<Uint8Array | null> {
	let bytesMax = READ_BYTES_MIN;
	return async () => {
		const chunk = await stream.read(bytesMax);
		const length = chunk?.byteLength ?? 0;
		if (length === bytesMax) bytesMax = Math.min(bytesMax * READ_BYTES_STEP, READ_BYTES_MAX);
		else if (length < bytesMax / READ_BYTES_STEP ** 2) bytesMax = Math.max(bytesMax / READ_BYTES_STEP, READ_BYTES_MIN);
		return chunk;
	};
}

export function isNativeConnection(value: unknown): value is NativeConnection {
	return typeof value === 'object' && value !== null && 'inboundStream' in value && 'outboundStream' in value;
}
