/** Reading and writing keys over HTTP. The web frontend serves the same routes over typed calls. */
import { afterOf, keyOf, limitOf, preconditionOf, prefixOf, staleOf } from './http-input.ts';
import { jsonValue } from './json-value.ts';
import { Problem, type Route, readBody, sendBytes, sendJson } from './kit/index.ts';
import { LIMITS } from './limits.ts';
import type { KeyStore } from './store.ts';

/** `${base}` lists, `${base}/KEY` is one key. */
export function keyRoutes(base: string, store: KeyStore): Route[] {
	return [
		{
			path: `${base}/`,
			query: ['stale'],
			methods: {
				async GET({ res, tail, query }) {
					const key = keyOf(tail);
					const entry = await store.get(key, staleOf(query));
					if (entry === undefined) throw noSuchKey(key);
					const rev = String(entry.rev);
					const headers = { 'content-type': 'application/octet-stream', 'x-rev': rev, etag: `"${rev}"` };
					sendBytes(res, 200, entry.value, headers);
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
			path: base,
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
	];
}

function noSuchKey(key: string): Problem {
	return new Problem(404, 'not_found', `there is no key '${key}'`);
}
