/** `openSession`: framed calls over any byte stream, such as a unix socket or one libp2p stream. */
import { randomBytes } from 'node:crypto';
import { MeshError } from '../../errors.ts';
import type { PeerId } from '../../wire/ids.ts';
import type { ByteStream } from '../transport.ts';
import { INSTANCE_BYTES } from './handshake.ts';
import { Link } from './link.ts';
import { ServiceRegistry } from './services.ts';
import type { HelloExchange, Services, Session } from './session.types.ts';

export interface OpenSessionOptions<P> {
	/** Peer ID proved by the transport; `'local'` for a unix socket. */
	readonly remote: PeerId | 'local';
	/** True on the side that opened the stream. */
	readonly initiator: boolean;
	readonly exchange: HelloExchange<P>;
	/** From `createServices()`, or a node's. Without it this side serves nothing. */
	readonly services?: Services<P>;
	readonly signal?: AbortSignal;
}

/**
 * Exchanges hellos and resolves with the session once both sides admitted each other. Rejects with the refusal (ours
 * or the remote's), `cancelled`, or `unavailable` when the stream ends or 5 s pass; the stream is closed then.
 */
export async function openSession<P>(stream: ByteStream, options: OpenSessionOptions<P>): Promise<Session<P>> {
	const { services } = options;
	if (services !== undefined && !(services instanceof ServiceRegistry)) {
		throw new MeshError('invalid_input', 'services must come from createServices() or an RpcNode');
	}
	const link = new Link<P>(stream, { ...options, services, instance: randomBytes(INSTANCE_BYTES) });
	await link.handshake();
	return link;
}
