/** A session of a process with itself, so that a client reaches a service that its own replica provides like any other. */
import { MemoryStream } from '../streams/memory/index.ts';
import { openSession } from '../streams/rpc/session.ts';
import type { HelloExchange, Services, Session } from '../streams/rpc/session.types.ts';
import type { PeerId } from '../wire/index.ts';

export async function openSelfSession<P>(
	self: PeerId,
	exchange: HelloExchange<P>,
	services: Services<P>,
): Promise<Session<P>> {
	const [near, far] = MemoryStream.pair();
	const [session] = await Promise.all([
		openSession(near, { remote: self, initiator: true, exchange, services }),
		openSession(far, { remote: self, initiator: false, exchange, services }),
	]);
	return session;
}
