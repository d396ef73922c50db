/** Tells before a start that a port is taken: a process that cannot bind would only show it in its log. */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { MeshError } from '@beemesh/sdk/errors';
import type { PublishedPort } from '../runtime.ts';

/** Binds and releases the port. Rejects with `conflict` when somebody else holds it. */
export async function checkPortFree(port: PublishedPort, index: number): Promise<void> {
	try {
		await (port.protocol === 'tcp' ? bindTcp(port) : bindUdp(port));
	} catch (cause) {
		const code = (cause as NodeJS.ErrnoException).code;
		const at = `${port.hostIp}:${port.host}/${port.protocol}`;
		const what =
			code === 'EADDRINUSE'
				? `port ${at} is already in use on this host`
				: `cannot bind ${at} on this host: ${(cause as Error).message}`;
		throw new MeshError('conflict', `ports[${index}] (${port.name}): ${what}`, { cause, details: { port } });
	}
}

function bindTcp(port: PublishedPort): Promise<void> {
	return new Promise((resolve, reject) => {
		const server = createServer();
		server.once('error', reject);
		server.listen({ host: port.hostIp, port: port.host, exclusive: true }, () => server.close(() => resolve()));
	});
}

function bindUdp(port: PublishedPort): Promise<void> {
	return new Promise((resolve, reject) => {
		const socket = createSocket(port.hostIp.includes(':') ? 'udp6' : 'udp4');
		socket.once('error', (error) => {
			socket.close();
			reject(error);
		});
		socket.bind({ address: port.hostIp, port: port.host, exclusive: true }, () => socket.close(() => resolve()));
	});
}
