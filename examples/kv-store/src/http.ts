/**
 * kv-store over HTTP. Any replica takes any request: the Raft group forwards writes and linearizable reads to its
 * leader. The README shows each request with its answer.
 */
import type { RequestListener } from 'node:http';
import { isMeshError } from '@beemesh/sdk';
import type { Logger } from '@beemesh/sdk/telemetry';
import { prefixOf, watchStartOf } from './http-input.ts';
import { jsonValue } from './json-value.ts';
import { keyRoutes } from './key-routes.ts';
import { Problem, router, type SseEvent, sendEvents, sendJson } from './kit/index.ts';
import type { Change, Store } from './store.ts';

export interface HttpConfig {
	/** Milliseconds between the comments of an event stream. */
	readonly heartbeatMs: number;
}

/** `draining` ends event streams and turns `/readyz` to 503, so that clients and the mesh go elsewhere. */
export function kvHttp(store: Store, draining: AbortSignal, log: Logger, config: HttpConfig): RequestListener {
	return router(
		[
			...keyRoutes('/v1/kv', store),
			{
				path: '/v1/watch',
				query: ['prefix', 'from'],
				methods: {
					async GET({ req, res, query, signal: gone }) {
						const signal = AbortSignal.any([gone, draining]);
						const changes = await watch(store, prefixOf(query), { ...watchStartOf(req, query), signal });
						await sendEvents(res, events(changes), { signal, heartbeatMs: config.heartbeatMs });
					},
				},
			},
			{
				path: '/v1/status',
				methods: {
					GET({ res }) {
						sendJson(res, 200, store.status());
					},
				},
			},
			{
				// Alive: the process answers. A replica without a quorum is alive; to kill it would not help.
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
					GET({ res }) {
						if (draining.aborted) throw new Problem(503, 'draining', 'this replica is shutting down');
						const { hasQuorum, diskFull = false } = store.status();
						if (diskFull) {
							const message =
								'the disk of this replica has no room for its log: free space on it, or use another replica';
							throw new Problem(503, 'disk_full', message, { headers: { 'retry-after': '1' } });
						}
						if (!hasQuorum) {
							throw new Problem(503, 'no_quorum', 'this replica sees no leader that has a majority', {
								headers: { 'retry-after': '1' },
							});
						}
						sendJson(res, 200, { ok: true });
					},
				},
			},
		],
		{ failed: (req, error) => log.error('request failed', { method: req.method, url: req.url, error }) },
	);
}

async function watch(
	store: Store,
	prefix: string,
	options: { readonly from?: number; readonly signal: AbortSignal },
): Promise<AsyncIterable<Change>> {
	try {
		return await store.watch(prefix, options);
	} catch (error) {
		if (isMeshError(error, 'not_found')) {
			const message = `${error.message}: list the keys, then watch from the revision of the list`;
			throw new Problem(410, 'compacted', message);
		}
		throw error;
	}
}

async function* events(changes: AsyncIterable<Change>): AsyncIterable<SseEvent> {
	for await (const { key, value, rev } of changes) {
		yield {
			id: String(rev),
			event: value === undefined ? 'delete' : 'put',
			data: { key, rev, ...(value === undefined ? {} : jsonValue(value)) },
		};
	}
}
