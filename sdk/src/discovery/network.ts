/** How a replica gets onto the network: a transport of its own key, and its workload's DHT where there is one. */
import type { SessionIdentity } from '../streams/session/index.ts';
import type { Transport } from '../streams/transport.ts';
import type { ReplicaCert, WorkloadId } from '../wire/index.ts';
import type { Advertisement } from './advertisement.ts';

export interface NetworkOptions {
	/** 32 bytes, the replica's key. Secret. */
	readonly seed: Uint8Array;
	readonly listen: readonly string[];
	readonly announce: readonly string[];
	readonly wid: WorkloadId;
	/** Who we are in every connection, and whom we let in. */
	readonly session: SessionIdentity<ReplicaCert>;
	/** Keys of what members keep in the DHT, newest first; a second one while they change. Asked each time. */
	readonly recordKeys: () => readonly Uint8Array[];
	/** Checks what others put into the DHT. Throws on what proves nothing. */
	readonly read: (bytes: Uint8Array) => Advertisement;
}

/** The backstop of discovery: finds replicas when sessions cannot tell. */
export interface WorkloadDht {
	/** Puts our advertisement where others look; a tombstone too. */
	put(advertisement: Advertisement, signal: AbortSignal): Promise<void>;
	/** Advertisements of replicas, unverified. */
	find(signal: AbortSignal): AsyncIterable<Uint8Array>;
}

export interface NetworkEnd {
	readonly transport: Transport;
	readonly dht: WorkloadDht | undefined;
	/** Ends connections with those who are not believed any more. */
	recheck(): void;
}

export type OpenNetwork = (options: NetworkOptions) => Promise<NetworkEnd>;
