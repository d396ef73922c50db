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

/** Read at a time. */
export const READ_BYTES = 64 * 1024;

export function isNativeConnection(value: unknown): value is NativeConnection {
	return typeof value === 'object' && value !== null && 'inboundStream' in value && 'outboundStream' in value;
}
