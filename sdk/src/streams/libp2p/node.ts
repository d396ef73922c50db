/** A libp2p node with the transports, settings and services that both planes share. */

import { generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import { type Identify, identify } from '@libp2p/identify';
import type { Libp2p, PrivateKey, ServiceMap } from '@libp2p/interface';
import { type Ping, ping } from '@libp2p/ping';
import type { Multiaddr } from '@multiformats/multiaddr';
import { createLibp2p, type Libp2pOptions, type ServiceFactoryMap } from 'libp2p';
import { MeshError } from '../../errors.ts';
import { createPeerKey } from '../../identity/index.ts';
import type { PeerId } from '../../wire/ids.ts';
import {
	type HandshakeLimits,
	type Refused,
	type RekeyLimits,
	type SessionIdentity,
	type SessionRegistry,
	Sessions,
} from '../session/index.ts';
import type { Transport } from '../transport.ts';
import type { ConnectionLimits } from './gate.ts';
import type { QuicConfig } from './quic.ts';
import { Libp2pTransport } from './transport.ts';
import { secureWire, type Wire } from './wire.ts';

/** A stream that has not said within this time what it is for is reset. */
const NEGOTIATION_MS = 5_000;
const IDENTIFY_BYTES_MAX = 8 * 1024;

export interface Libp2pNodeOptions<S extends ServiceMap = Record<never, never>, P = unknown> {
	/** 32 bytes: the Ed25519 key of this process. Secret. */
	readonly seed: Uint8Array;
	/** Who we are and whom we believe: every connection begins with a session in its name. */
	readonly session: SessionIdentity<P>;
	readonly handshakes?: HandshakeLimits;
	readonly rekey?: RekeyLimits;
	/** Told of every peer that dialed us and got no session, e.g. to log it. */
	readonly onRefused?: (refusal: Refused) => void;
	/** Multiaddrs, e.g. `/ip4/127.0.0.1/udp/0/quic-v1` (preferred) or `/ip4/127.0.0.1/tcp/0`. */
	readonly listen: readonly string[];
	/** Told to others instead of what we listen on, e.g. behind a NAT with a forwarded port. */
	readonly announce?: readonly string[];
	/** Further libp2p services, such as `kadDHT()` or `gossipsub()`, beside identify and ping. */
	readonly services?: Pick<ServiceFactoryMap<S & BaseServices>, keyof S>;
	/** Software name and version told to peers. */
	readonly agentVersion?: string;
	/** In total. Default 1,024. */
	readonly connectionsMax?: number;
	/** Of those that others open. */
	readonly connections?: ConnectionLimits;
	/** Of peers that only the DHT or gossip heard of: whether to dial one. @default all */
	readonly mayDial?: (peer: PeerId) => boolean;
	readonly quic?: QuicConfig;
	/** False leaves the node not started: for services that are to be looked at first. */
	readonly start?: boolean;
}

export type BaseServices = { readonly identify: Identify; readonly ping: Ping };

export interface Libp2pNode<S extends ServiceMap = Record<never, never>, P = unknown> {
	readonly node: Libp2p<S & BaseServices>;
	/** Disposing it stops the node. */
	readonly transport: Transport;
	/** Whom each peer proved to be, and how to end the sessions of those who were revoked. */
	readonly sessions: SessionRegistry<P>;
	/** Disconnects a peer, and lets it neither in nor be dialed for this long. */
	expel(peer: PeerId, forMs: number): void;
}

/**
 * Makes and starts a node. QUIC and TCP (noise, yamux) are both there; what it listens on is up to `listen`. No relay,
 * no hole punching, no multicast discovery. Rejects with `conflict` when an address is taken.
 */
export async function createLibp2pNode<S extends ServiceMap = Record<never, never>, P = unknown>(
	options: Libp2pNodeOptions<S, P>,
): Promise<Libp2pNode<S, P>> {
	const {
		seed,
		session,
		handshakes = {},
		rekey = {},
		onRefused = () => undefined,
		quic,
		connections = {},
		mayDial,
	} = options;
	if (seed.byteLength !== 32) throw new MeshError('invalid_input', `a key seed has 32 bytes, not ${seed.byteLength}`);
	const wire = { quic, gate: { limits: connections, ...(mayDial === undefined ? {} : { mayDial }) } };
	const self = peerIdFromSeed(seed);
	const sessions = new Sessions({ identity: session, self, limits: handshakes, rekey, onRefused });
	return { ...(await assembleNode(options, secureWire(sessions, wire))), sessions };
}

/** A node over a wire that somebody chose. Not for use outside this room, its tests and benchmarks. */
export async function assembleNode<S extends ServiceMap, P>(
	options: Omit<Libp2pNodeOptions<S, P>, 'session'>,
	{ gate, ...wire }: Wire,
): Promise<Omit<Libp2pNode<S, P>, 'sessions'>> {
	const { seed, listen, announce = [], services, agentVersion = 'beemesh' } = options;
	const privateKey: PrivateKey = await generateKeyPairFromSeed('Ed25519', seed);
	const config: Libp2pOptions<S & BaseServices> = {
		privateKey,
		addresses: { listen: [...listen], announce: [...announce], announceFilter: reachableByOthers },
		...wire,
		connectionGater: gate.gater,
		nodeInfo: { userAgent: agentVersion },
		connectionManager: {
			maxConnections: options.connectionsMax ?? 1_024,
			// The gate counts per address, for it exempts loopback.
			inboundConnectionThreshold: 10_000,
			maxIncomingPendingConnections: 256,
			inboundStreamProtocolNegotiationTimeout: NEGOTIATION_MS,
			maxParallelDials: 64,
			dialTimeout: 5_000,
			addressDialTimeout: 3_000,
			inboundUpgradeTimeout: 5_000,
			addressSorter: (a, b) => (isTcp(a.multiaddr) === isTcp(b.multiaddr) ? 0 : isTcp(a.multiaddr) ? 1 : -1),
		},
		// Keep-alive is QUIC's and the sessions' affair; libp2p's own would add a ping stream per peer.
		connectionMonitor: { enabled: false },
		services: {
			...services,
			identify: identify({ timeout: NEGOTIATION_MS, maxMessageSize: IDENTIFY_BYTES_MAX }),
			ping: ping(),
		} as ServiceFactoryMap<S & BaseServices>,
		start: false,
	};
	const node = await createLibp2p<S & BaseServices>(config);
	if (options.start !== false) {
		try {
			await node.start();
		} catch (cause) {
			await node.stop();
			throw listenError(listen, cause as Error);
		}
	}
	const transport = new Libp2pTransport(node, gate);
	return {
		node,
		transport,
		expel(peer, forMs) {
			gate.ban(peer, forMs);
			void transport.disconnect(peer);
		},
	};
}

/** The peer ID of a key seed. */
export function peerIdFromSeed(seed: Uint8Array): PeerId {
	return createPeerKey(seed).peerId;
}

/** Loopback is somebody else's on every other machine and in every container: told only when there is nothing else. */
function reachableByOthers(addresses: Multiaddr[]): Multiaddr[] {
	const others = addresses.filter((address) => !/^\/ip(4\/127\.|6\/::1\/)/.test(address.toString()));
	return others.length > 0 ? others : addresses;
}

function isTcp(address: { getComponents(): { name: string }[] }): boolean {
	return address.getComponents().some(({ name }) => name === 'tcp');
}

function listenError(listen: readonly string[], cause: Error): MeshError {
	const where = listen.join(', ');
	if (/in use|EADDRINUSE|os error 98/i.test(`${cause.message}`)) {
		return new MeshError('conflict', `cannot listen on ${where}: the port is taken; choose another or 0`, { cause });
	}
	// libp2p puts every address's stack into one message; the system's own word is in it.
	const why = /Error: (.+)/.exec(cause.message)?.[1] ?? cause.message.split('\n')[0];
	return new MeshError('unavailable', `cannot listen on ${where}: ${why}`, { cause });
}
