/** Prometheus over HTTP, only where the operator asked for it. */
import { createServer, type Server } from 'node:http';
import { MeshError } from '@beemesh/sdk/errors';
import type { MetricsRegistry } from '@beemesh/sdk/telemetry';
import { parseEndpoint } from './config.ts';

/** Serves `GET /metrics` at `address:port`. */
export async function serveMetrics(where: string, metrics: MetricsRegistry): Promise<Server> {
	const endpoint = parseEndpoint(where);
	if (endpoint === undefined) throw new MeshError('invalid_input', `metrics "${where}" is not ADDRESS:PORT`);
	const server = createServer((request, response) => {
		if (request.method !== 'GET' || request.url !== '/metrics') {
			response.writeHead(404).end();
			return;
		}
		response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' }).end(metrics.render());
	});
	await new Promise<void>((resolve, reject) => {
		server.once('error', (cause: NodeJS.ErrnoException) => {
			reject(
				cause.code === 'EADDRINUSE'
					? new MeshError('conflict', `cannot serve metrics at ${where}: the port is taken; choose another`, { cause })
					: new MeshError('unavailable', `cannot serve metrics at ${where}: ${cause.message}`, { cause }),
			);
		});
		server.listen(endpoint.port, endpoint.host, resolve);
	});
	return server;
}
