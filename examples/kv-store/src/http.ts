/**
 * kv-store over HTTP. Any replica takes any request: the Raft group forwards writes and linearizable reads to its
 * leader. The README shows each request with its answer.
 */
import type { RequestListener } from 'node:http';
import { isMeshError } from '@beemesh/sdk';
import type { Logger } from '@beemesh/sdk/telemetry';
import { afterOf, keyOf, limitOf, preconditionOf, prefixOf, staleOf, watchStartOf } from './http-input.ts';
import { Problem, readBody, router, type SseEvent, sendBytes, sendEvents, sendJson } from './http-kit/index.ts';
import { jsonValue } from './json-value.ts';
import { LIMITS } from './limits.ts';
import type { Change, Store } from './store.ts';

export interface HttpConfig {
	/** Milliseconds between the comments of an event stream. */
	readonly heartbeatMs: number;
}

/** `draining` ends event streams and turns `/readyz` to 503, so that clients and the mesh go elsewhere. */
export function kvHttp(store: Store, draining: AbortSignal, log: Logger, config: HttpConfig): RequestListener {
	return router(
		[
			{
				path: '/v1/kv/',
				query: ['stale'],
				methods: {
					async GET({ res, tail, query }) {
						const key = keyOf(tail);
						const entry = await store.get(key, staleOf(query));
						if (entry === undefined) throw noSuchKey(key);
						const rev = String(entry.rev);
						sendBytes(res, 200, entry.value, {
							'content-type': 'application/octet-stream',
							'x-rev': rev,
							etag: `"${rev}"`,
						});
					},
					async PUT({ req, res, tail }) {
						const [key, precondition] = [keyOf(tail), preconditionOf(req)];
						const rev = await store.put(key, await readBody(req, LIMITS.valueBytesMax), precondition);
						sendJson(res, 200, { rev }, { etag: `"${rev}"` });
					},
					async DELETE({ req, res, tail }) {
						const key = keyOf(tail);
						const rev = await store.delete(key, preconditionOf(req));
						if (rev === undefined) throw noSuchKey(key);
						sendJson(res, 200, { deleted: true, rev });
					},
				},
			},
			{
				path: '/v1/kv',
				query: ['prefix', 'limit', 'after', 'stale'],
				methods: {
					async GET({ res, query }) {
						const options = { limit: limitOf(query), ...afterOf(query), ...staleOf(query) };
						const page = await store.list(prefixOf(query), options);
						const items = page.items.map(({ key, rev, value }) => ({ key, rev, ...jsonValue(value) }));
						sendJson(res, 200, { items, rev: page.rev, ...(page.next === undefined ? {} : { next: page.next }) });
					},
				},
			},
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
						if (!store.status().hasQuorum) {
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

function noSuchKey(key: string): Problem {
	return new Problem(404, 'not_found', `there is no key '${key}'`);
}

async function watch(
	store: Store,
	prefix: string,
	options: { readonly from?: number; readonly signal: AbortSignal },
): Promise<AsyncIterable<Change>> {
	try {
		return await store.watch(prefix, options);
	} catch (error) {
		if (isCompacted(error)) {
			const message = `changes since revision ${options.from} are no longer kept; list the keys, then watch from there`;
			throw new Problem(410, 'compacted', message);
		}
		throw error;
	}
}

function isCompacted(error: unknown): boolean {
	if (!isMeshError(error) || typeof error.details !== 'object' || error.details === null) return false;
	return 'reason' in error.details && error.details.reason === 'compacted';
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
