/**
 * What a mesh node stands on, besides a transport: gossip and a DHT. The libp2p drivers implement them for real hosts;
 * tests with dozens of hosts in one process bring them in memory.
 */
import type { MachineId } from '@beemesh/sdk/wire';

/** `accept`: deliver and pass on. `ignore`: neither, nobody is to blame. `reject`: neither, and hold it against the sender. */
export type Verdict = 'accept' | 'ignore' | 'reject';

export type GossipHandler = (data: Uint8Array, from: MachineId) => Verdict;

export interface Gossip {
	/** Sends to the topic; the peers to whom it went directly. Nobody listening is not an error. */
	publish(topic: string, data: Uint8Array): Promise<ReadonlySet<MachineId>>;
	/** The handler sees a message once, before it is passed on, and decides whether it is. */
	subscribe(topic: string, handler: GossipHandler): Disposable;
}

export interface Dht {
	/** Announces this host as a provider of a key (32 bytes). */
	provide(key: Uint8Array, signal?: AbortSignal): Promise<void>;
	/** Withdraws the announcement; others forget it with its TTL. */
	unprovide(key: Uint8Array): Promise<void>;
	/** Hints, in any order, without this host. */
	findProviders(key: Uint8Array, signal?: AbortSignal): Promise<readonly MachineId[]>;
	/** Keys start with `/lease/`. */
	put(key: string, value: Uint8Array, signal?: AbortSignal): Promise<void>;
	get(key: string, signal?: AbortSignal): Promise<Uint8Array | undefined>;
}
