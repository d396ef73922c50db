/** A host's place in the mesh on real QUIC: transport, gossip and machine DHT of one libp2p node. */
import { createLibp2pNode } from '@beemesh/sdk/streams/libp2p';
import type { Logger, Metrics } from '@beemesh/sdk/telemetry';
import type { MachineId } from '@beemesh/sdk/wire';
import type { PresenceSource } from '../announcer.ts';
import { type Clock, systemClock } from '../clock.ts';
import type { Membership } from '../membership.ts';
import { createNode, type MeshNode, topicsOf } from '../node.ts';
import { createRefusalLog } from '../refusals.ts';
import { machineSessionIdentity } from '../session-identity.ts';
import { createDht, dhtService } from './dht.ts';
import { createGossip, gossipService } from './gossip.ts';
import { BAN_MS } from './gossip-scores.ts';

export interface MeshOptions {
	readonly membership: Membership;
	readonly name: string;
	readonly labels: Readonly<Record<string, string>>;
	/** Multiaddrs, e.g. `/ip4/127.0.0.1/udp/4700/quic-v1`. */
	readonly listen: readonly string[];
	/** Told to others instead, e.g. behind a NAT with a forwarded port. Default: what is listened on. */
	readonly announce?: readonly string[];
	/** Known hosts: multiaddrs ending in `/p2p/<machine id>`. This host's own is skipped. */
	readonly join: readonly string[];
	readonly presence: PresenceSource;
	readonly logger: Logger;
	readonly metrics: Metrics;
	readonly clock?: Clock;
	/** In [0, 1): spreads retries. Default: Math.random. */
	readonly random?: () => number;
}

/** How far tenders travel: one ring of up to 64 hosts. */
const TENDER_SCOPES = ['root'] as const;

/** Listens and starts joining; does not wait for others, for there may be none. */
export async function createMeshNode(options: MeshOptions): Promise<MeshNode> {
	const { membership, listen, announce, clock = systemClock, random = Math.random, ...rest } = options;
	const session = machineSessionIdentity(membership, clock);
	const { trust, meshId } = membership;
	const nowMs = (): number => clock.nowMs();
	const { node, transport, sessions, expel } = await createLibp2pNode({
		session,
		seed: membership.keys.peer.seed,
		listen,
		onRefused: createRefusalLog({ logger: rest.logger, metrics: rest.metrics, clock }),
		...(announce === undefined ? {} : { announce }),
		// Machines are introduced with their certificates; whom only the DHT has heard of is nobody.
		mayDial: (peer) => trust.machine(peer as MachineId, nowMs()) !== undefined,
		services: { gossip: gossipService(topicsOf(meshId, TENDER_SCOPES), nowMs), dht: dhtService(membership, nowMs) },
		agentVersion: 'beemesh-hostd',
	});
	try {
		trust.onEpoch(() => void sessions.recheck());
		return createNode({
			...rest,
			membership,
			transport,
			gossip: createGossip(node.services.gossip, (machineId) => {
				rest.logger.warn('host misbehaves in gossip: disconnected for a minute', { machineId });
				expel(machineId, BAN_MS);
			}),
			dht: createDht(node.services.dht, transport.peerId as MachineId),
			clock,
			random,
		});
	} catch (error) {
		await node.stop();
		throw error;
	}
}
