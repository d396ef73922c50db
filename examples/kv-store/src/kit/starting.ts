/**
 * A server that answers from the start: its port is taken before anything depends on it, and whoever asks early learns
 * that the program is alive and not ready yet.
 */
import type { RequestListener } from 'node:http';
import { Problem } from './problem.ts';
import { sendJson, sendProblem } from './router.ts';
import { type HttpAddress, type HttpServer, listen } from './server.ts';

export interface StartingServer extends HttpServer {
	/** From now on, requests go here. */
	serve(listener: RequestListener): void;
}

export async function listenEarly(address: HttpAddress): Promise<StartingServer> {
	let current = starting;
	const server = await listen((req, res) => current(req, res), address);
	return {
		...server,
		serve(listener) {
			current = listener;
		},
	};
}

/** Refuses everything else alike: "not found" would be a lie about paths that will be served in a moment. */
const starting: RequestListener = (req, res) => {
	if (req.url === '/healthz') {
		sendJson(res, 200, { ok: true });
		return;
	}
	const headers = { 'retry-after': '1' };
	sendProblem(res, new Problem(503, 'unavailable', 'this replica is joining the mesh; try again', { headers }));
};
