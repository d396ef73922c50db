/** Where to listen: from the command line in development, from the host's environment in a pod. */
import type { HttpAddress } from './server.ts';

/** `127.0.0.1:8080`, `[::1]:8080`. */
export function parseAddress(text: string): HttpAddress {
	const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s]+)):(\d{1,5})$/.exec(text);
	const port = Number(match?.[3]);
	const host = match?.[1] ?? match?.[2];
	if (host === undefined || port > 65_535) {
		throw new Error(`'${text}' is no address to listen on; write HOST:PORT, such as 127.0.0.1:8080`);
	}
	return { host, port };
}

/** The host gives a pod `BEEMESH_PORT_HTTP` for its port named `http`, and the address to bind in `BEEMESH_BIND`. */
export function podAddress(env: Readonly<Record<string, string | undefined>>): HttpAddress {
	const port = env['BEEMESH_PORT_HTTP'] ?? '8080';
	const host = env['BEEMESH_BIND'] ?? '127.0.0.1';
	return parseAddress(host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`);
}
