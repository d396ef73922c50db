/**
 * A server that answers from the start: its port is taken before anything depends on it, and whoever asks early learns
 * that the program is alive and not ready yet.
 */
import type { RequestListener } from 'node:http';
import { Problem } from './problem.ts';
import { router, sendJson } from './router.ts';
import { type HttpAddress, type HttpServer, listen } from './server.ts';

export interface StartingServer extends HttpServer {
	/** From now on, requests go here. */
	serve(listener: RequestListener): void;
}

export async function listenEarly(address: HttpAddress): Promise<StartingServer> {
	let current: RequestListener = router([
		{
			path: '/healthz',
			methods: {
				GET({ res }) {
					sendJson(res, 200, { ok: true });
				},
			},
		},
		{
			path: '/readyz',
			methods: {
				GET() {
					throw new Problem(503, 'unavailable', 'this replica is joining the mesh', {
						headers: { 'retry-after': '1' },
					});
				},
			},
		},
	]);
	const server = await listen((req, res) => current(req, res), address);
	return {
		...server,
		serve(listener) {
			current = listener;
		},
	};
}
