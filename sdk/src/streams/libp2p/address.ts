/** The address of a connection's other end, as the limit per address counts it. */
import type { MultiaddrConnection } from '@libp2p/interface';

/** Undefined for loopback, where all processes of a machine share one. */
export function addressOf(connection: MultiaddrConnection): string | undefined {
	const component = connection.remoteAddr.getComponents().find(({ name }) => name === 'ip4' || name === 'ip6');
	const address = component?.value;
	if (address === undefined || /^(127\.|::1$|::ffff:127\.)/.test(address)) return undefined;
	return address;
}
