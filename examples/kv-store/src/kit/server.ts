/**
 * The server's life: bind (or say plainly why not), serve, drain. Draining stops accepting at once, lets requests in
 * flight finish, and cuts what is still open when the grace is over.
 */
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface HttpAddress {
	readonly host: string;
	readonly port: number;
}

export interface HttpServer {
	readonly url: string;
	readonly port: number;
	drain(graceMs: number): Promise<void>;
}

export async function listen(listener: RequestListener, { host, port }: HttpAddress): Promise<HttpServer> {
	let draining = false;
	const server = createServer((req, res) => {
		if (draining) res.setHeader('connection', 'close');
		// A connection kept alive goes back to idle after this answer, and nobody else would close it then.
		res.once('close', () => {
			if (draining) setImmediate(() => server.closeIdleConnections());
		});
		listener(req, res);
	});
	server.requestTimeout = 30_000;
	server.headersTimeout = 10_000;
	// Longer than the idle time of common proxies and clients, so that they and not we close idle connections.
	server.keepAliveTimeout = 65_000;
	await new Promise<void>((resolve, reject) => {
		server.once('error', (error: NodeJS.ErrnoException) => reject(new Error(bindFailure(error, host, port))));
		server.listen(port, host, resolve);
	});
	const bound = server.address() as AddressInfo;
	return {
		port: bound.port,
		url: `http://${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}`,
		async drain(graceMs) {
			draining = true;
			const cut = setTimeout(() => server.closeAllConnections(), graceMs);
			await new Promise<void>((resolve) => {
				server.close(() => resolve());
				server.closeIdleConnections();
			});
			clearTimeout(cut);
		},
	};
}

function bindFailure(error: NodeJS.ErrnoException, host: string, port: number): string {
	const where = `${host}:${port}`;
	switch (error.code) {
		case 'EADDRINUSE':
			return `cannot listen on ${where}: another program uses this port; stop it or choose another port`;
		case 'EADDRNOTAVAIL':
			return `cannot listen on ${where}: this machine has no address ${host}`;
		case 'EACCES':
			return `cannot listen on ${where}: ports below 1024 need a privilege that this process lacks`;
		default:
			return `cannot listen on ${where}: ${error.message}`;
	}
}
