/** Free ports of this host for the pods it starts. */
import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { MeshError } from '@beemesh/sdk/errors';
import type { Container } from '@beemesh/sdk/wire';
import type { PublishedPort, RuntimeCapabilities } from '../runtime/index.ts';

/** Name of the port on which a replica's own node listens. */
export const MESH_PORT = 'beemesh';

const PORT_MIN = 20_000;
/** Linux takes ports of outgoing connections from 32768 on, other systems from 49152. */
const PORT_MAX = 32_767;
const PORTS = PORT_MAX - PORT_MIN + 1;

/**
 * One UDP port for the replica's node, one per container port. Without a network of its own a pod listens on the host's
 * port itself, so both numbers are the same; `BEEMESH_PORT_<NAME>` tells the app.
 */
export async function publishPorts(
	containers: readonly Container[],
	bind: string,
	free: FreePorts,
	capabilities: Pick<RuntimeCapabilities, 'isolatesNetwork'>,
): Promise<PublishedPort[]> {
	const mesh = await free.take('udp');
	const ports: PublishedPort[] = [{ name: MESH_PORT, protocol: 'udp', hostIp: bind, host: mesh, container: mesh }];
	for (const port of containers.flatMap((container) => container.ports ?? [])) {
		const protocol = port.protocol === 'UDP' ? 'udp' : 'tcp';
		const host = port.hostPort ?? (await free.take(protocol));
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

/**
 * Gives out ports below the range from which the kernel takes those of outgoing connections, each host from a place of
 * its own on and never the same one twice in a row: a port that was free a moment ago would otherwise be the next one's
 * too, of another host on this machine or of another pod that has not bound it yet.
 */
export class FreePorts {
	readonly #bind: string;
	#next: number;

	/** `host`: anything that differs between hosts. */
	constructor(bind: string, host: string) {
		this.#bind = bind;
		this.#next = createHash('sha256').update(host).digest().readUInt32BE() % PORTS;
	}

	/** Rejects with `exhausted` when every port of the range is taken, and `unavailable` when the address is not ours. */
	async take(protocol: 'tcp' | 'udp'): Promise<number> {
		for (let tried = 0; tried < PORTS; tried++) {
			const port = PORT_MIN + (this.#next++ % PORTS);
			if (await isFree(protocol, this.#bind, port)) return port;
		}
		throw new MeshError('exhausted', `no ${protocol} port from ${PORT_MIN} to ${PORT_MAX} is free at ${this.#bind}`);
	}
}

function isFree(protocol: 'tcp' | 'udp', bind: string, port: number): Promise<boolean> {
	return new Promise((resolve, reject) => {
		const fail = (cause: NodeJS.ErrnoException): void => {
			if (cause.code === 'EADDRINUSE') resolve(false);
			else reject(new MeshError('unavailable', `cannot listen at ${bind}: ${cause.message}`, { cause }));
		};
		if (protocol === 'udp') {
			const socket = createSocket(bind.includes(':') ? 'udp6' : 'udp4');
			socket.once('error', fail);
			socket.bind(port, bind, () => socket.close(() => resolve(true)));
			return;
		}
		const server = createServer();
		server.once('error', fail);
		server.listen(port, bind, () => server.close(() => resolve(true)));
	});
}
