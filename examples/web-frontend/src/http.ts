/** The page, and the small JSON API that it stands on. `/api/kv` takes and answers what kv-store's `/v1/kv` does. */
import type { RequestListener } from 'node:http';
import { type KeyStore, keyRoutes } from '@beemesh/example-kv-store/keys';
import { Problem, type Route, router, sendEvents, sendJson } from '@beemesh/example-kv-store/kit';
import type { Logger } from '@beemesh/sdk/telemetry';
import type { Live } from './live.ts';

export interface FrontendParts {
	readonly store: KeyStore;
	readonly live: Live;
	readonly assets: readonly Route[];
	readonly log: Logger;
	/** Aborts when this replica shuts down: ends event streams and turns `/readyz` to 503. */
	readonly draining: AbortSignal;
	/** Milliseconds between the comments of an event stream. */
	readonly heartbeatMs: number;
}

export function frontendHttp({ store, live, assets, log, draining, heartbeatMs }: FrontendParts): RequestListener {
	const routes: Route[] = [
		...assets,
		...keyRoutes('/api/kv', store),
		{
			path: '/api/status',
			methods: {
				async GET({ res }) {
					sendJson(res, 200, await live.overview());
				},
			},
		},
		{
			path: '/api/events',
			methods: {
				async GET({ res, signal: gone }) {
					const signal = AbortSignal.any([gone, draining]);
					await sendEvents(res, live.events(signal), { signal, heartbeatMs });
				},
			},
		},
		{
			path: '/healthz',
			methods: {
				GET({ res }) {
					sendJson(res, 200, { ok: true });
				},
			},
		},
		{
			// Ready even while kv-store is away: the page is what tells people so.
			path: '/readyz',
			methods: {
				GET({ res }) {
					if (draining.aborted) throw new Problem(503, 'draining', 'this replica is shutting down');
					sendJson(res, 200, { ok: true });
				},
			},
		},
	];
	return router(routes, {
		failed: (req, error) => log.error('request failed', { method: req.method, url: req.url, error }),
	});
}
