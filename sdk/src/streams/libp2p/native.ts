/** What the native QUIC addon offers of connections and streams, and what we put between it and libp2p. */

export interface NativeStream {
	id(): string;
	/** Null at the end. Rejects after a reset or the loss of the connection. */
	read(): Promise<Uint8Array | null>;
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

/** As the addon has them. */
interface AddonStream extends Omit<NativeStream, 'read'> {
	/** At most this many bytes. */
	read(bytesMax: number): Promise<Uint8Array | null>;
}

interface AddonConnection {
	inboundStream(): Promise<AddonStream>;
	outboundStream(): Promise<AddonStream>;
}

const READ_BYTES_MIN = 4 * 1024;
const READ_BYTES_MAX = 64 * 1024;
const READ_BYTES_STEP = 4;

/** The addon's connection, its streams read in fitting pieces; undefined for what is none. */
export function nativeConnection(value: unknown): NativeConnection | undefined {
	if (!isAddonConnection(value)) return undefined;
	return {
		inboundStream: async () => new AdaptiveStream(await value.inboundStream()),
		outboundStream: async () => new AdaptiveStream(await value.outboundStream()),
	};
}

function isAddonConnection(value: unknown): value is AddonConnection {
	return typeof value === 'object' && value !== null && 'inboundStream' in value && 'outboundStream' in value;
}

/**
 * Reads by as much as the stream brings: 4 to 64 KiB. The addon sets aside what a read may bring for as long as the read
 * waits, and the collector is woken by what was set aside: idle streams must ask for little, bulk for much.
 */
class AdaptiveStream implements NativeStream {
	readonly #addon: AddonStream;
	#bytesMax = READ_BYTES_MIN;

	constructor(addon: AddonStream) {
		this.#addon = addon;
	}

	id(): string {
		return this.#addon.id();
	}

	async read(): Promise<Uint8Array | null> {
		const bytesMax = this.#bytesMax;
		const chunk = await this.#addon.read(bytesMax);
		const length = chunk?.byteLength ?? 0;
		if (length === bytesMax) this.#bytesMax = Math.min(bytesMax * READ_BYTES_STEP, READ_BYTES_MAX);
		else if (length < bytesMax / READ_BYTES_STEP ** 2)
			this.#bytesMax = Math.max(bytesMax / READ_BYTES_STEP, READ_BYTES_MIN);
		return chunk;
	}

	write(data: Uint8Array): Promise<void> {
		return this.#addon.write(data);
	}

	finishWrite(): Promise<void> {
		return this.#addon.finishWrite();
	}

	resetWrite(): Promise<void> {
		return this.#addon.resetWrite();
	}

	stopRead(): Promise<void> {
		return this.#addon.stopRead();
	}
}
