/** Free ports of this host for the pods it starts. */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { MeshError } from '@beemesh/sdk/errors';
import type { Container } from '@beemesh/sdk/wire';
import type { PublishedPort, RuntimeCapabilities } from '../runtime/index.ts';

/** Name of the port on which a replica's own node listens. */
export const MESH_PORT = 'beemesh';

/**
 * One UDP port for the replica's node, one per container port. Without a network of its own a pod listens on the host's
 * port itself, so both numbers are the same; `BEEMESH_PORT_<NAME>` tells the app.
 */
export async function publishPorts(
	containers: readonly Container[],
	bind: string,
	capabilities: RuntimeCapabilities,
): Promise<PublishedPort[]> {
	const mesh = await freePort('udp', bind);
	const ports: PublishedPort[] = [{ name: MESH_PORT, protocol: 'udp', hostIp: bind, host: mesh, container: mesh }];
	for (const port of containers.flatMap((container) => container.ports ?? [])) {
		const protocol = port.protocol === 'UDP' ? 'udp' : 'tcp';
		const host = port.hostPort ?? (await freePort(protocol, bind));
		const container = capabilities.isolatesNetwork ? port.containerPort : host;
		ports.push({ name: port.name ?? String(port.containerPort), protocol, hostIp: bind, host, container });
	}
	return ports;
}

/** `BEEMESH_PORT_HTTP=8080`: where the app itself is to listen. */
export function portEnvironment(ports: readonly PublishedPort[]): Record<string, string> {
	return Object.fromEntries(
		ports
			.filter(({ name }) => name !== MESH_PORT)
			.map(({ name, container }) => [`BEEMESH_PORT_${name.toUpperCase().replaceAll('-', '_')}`, String(container)]),
	);
}

/** A port that was free a moment ago. Another process may take it first: the pod's start then fails and is retried. */
function freePort(protocol: 'tcp' | 'udp', bind: string): Promise<number> {
	return new Promise((resolve, reject) => {
		const fail = (cause: Error): void => {
			reject(new MeshError('unavailable', `no ${protocol} port can be had at ${bind}: ${cause.message}`, { cause }));
		};
		if (protocol === 'udp') {
			const socket = createSocket(bind.includes(':') ? 'udp6' : 'udp4');
			socket.once('error', fail);
			socket.bind(0, bind, () => {
				const { port } = socket.address();
				socket.close(() => resolve(port));
			});
			return;
		}
		const server = createServer();
		server.once('error', fail);
		server.listen(0, bind, () => {
			const address = server.address();
			const port = typeof address === 'object' && address !== null ? address.port : 0;
			server.close(() => resolve(port));
		});
	});
}
