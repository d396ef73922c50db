/**
 * Which protocols a peer may use is decided by what it proved in its session, before a handler sees its stream or a
 * service (a DHT's routing table, say) takes notice of it. In front of libp2p's registrar, through which all of them go;
 * libp2p's own stream middleware runs handlers twice when it is registered for more than one stream.
 */
import type { Libp2p, StreamHandler, StreamHandlerOptions, Topology } from '@libp2p/interface';
import { MeshError } from '../../errors.ts';
import type { PeerId } from '../../wire/ids.ts';
import type { SessionRegistry } from '../session/index.ts';

/** True when whoever proved this may use that protocol. */
export type Permit<P> = (principal: P, protocol: string) => boolean;

interface Registrar {
	handle(protocol: string, handler: StreamHandler, options?: StreamHandlerOptions): Promise<void>;
	register(protocol: string, topology: Topology): Promise<string>;
}

/** To be called before the node starts, which is when services register. */
export function gateProtocols<P>(node: Libp2p, sessions: SessionRegistry<P>, permit: Permit<P>): void {
	const { registrar } = (node as unknown as { readonly components: { readonly registrar: Registrar } }).components;
	const mayUse = (peer: PeerId, protocol: string): boolean => {
		const principal = sessions.principalOf(peer);
		return principal !== undefined && permit(principal, protocol);
	};
	const handle = registrar.handle.bind(registrar);
	registrar.handle = (protocol, handler, options) =>
		handle(
			protocol,
			(stream, connection) => {
				const peer = connection.remotePeer.toString() as PeerId;
				if (mayUse(peer, protocol)) return handler(stream, connection);
				stream.abort(new MeshError('unauthorized', `${peer} may not use ${protocol}`, { peer }));
			},
			options,
		);
	const register = registrar.register.bind(registrar);
	registrar.register = (protocol, topology) =>
		register(protocol, {
			...topology,
			onConnect: (peer, connection) => {
				if (mayUse(peer.toString() as PeerId, protocol)) topology.onConnect?.(peer, connection);
			},
			onDisconnect: (peer) => topology.onDisconnect?.(peer),
		});
}
