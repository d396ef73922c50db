/** What a request says, checked: keys, prefixes, revisions and preconditions out of paths, queries and headers. */
import type { IncomingMessage } from 'node:http';
import { badRequest, Problem } from './kit/index.ts';
import { LIMITS } from './limits.ts';
import type { WriteOptions } from './store.ts';

/** A key from the rest of the path: percent-encoded UTF-8, in which slashes may stand as they are. */
export function keyOf(encoded: string): string {
	let key: string;
	try {
		key = decodeURIComponent(encoded);
	} catch {
		badRequest('the key is not percent-encoded UTF-8');
	}
	if (key === '') badRequest('the key is empty');
	return limited('key', key);
}

export function prefixOf(query: URLSearchParams): string {
	return limited('prefix', query.get('prefix') ?? '');
}

export function afterOf(query: URLSearchParams): { after?: string } {
	const after = query.get('after');
	return after === null ? {} : { after: limited('after', after) };
}

function limited(what: string, text: string): string {
	if (Buffer.byteLength(text) <= LIMITS.keyBytesMax) return text;
	throw new Problem(413, 'too_large', `the ${what} is longer than ${LIMITS.keyBytesMax} bytes`, {
		facts: { limit: LIMITS.keyBytesMax },
	});
}

export function staleOf(query: URLSearchParams): { stale: boolean } {
	const stale = query.get('stale') ?? 'false';
	if (stale !== 'true' && stale !== 'false') badRequest(`stale is 'true' or 'false', not '${stale}'`);
	return { stale: stale === 'true' };
}

export function limitOf(query: URLSearchParams): number {
	const text = query.get('limit');
	if (text === null) return LIMITS.listItemsDefault;
	const limit = wholeNumber(text);
	if (limit === undefined || limit < 1 || limit > LIMITS.listItemsMax) {
		badRequest(`limit is a number from 1 to ${LIMITS.listItemsMax}, not '${text}'`);
	}
	return limit;
}

/** Where a watch starts: after the event that a reconnecting client saw last, or at `from`, or now. */
export function watchStartOf(req: IncomingMessage, query: URLSearchParams): { from?: number } {
	const seen = req.headers['last-event-id'];
	if (typeof seen === 'string' && seen !== '') {
		const rev = wholeNumber(seen);
		if (rev === undefined) badRequest(`Last-Event-ID is a revision, not '${seen}'`);
		return { from: rev + 1 };
	}
	const from = query.get('from');
	if (from === null) return {};
	const rev = wholeNumber(from);
	if (rev === undefined) badRequest(`from is a revision, not '${from}'`);
	return { from: rev };
}

/** `If-Match: REV` and `If-None-Match: *`; a revision may be quoted, as in the `ETag` of an answer. */
export function preconditionOf(req: IncomingMessage): WriteOptions {
	const match = req.headers['if-match'];
	const noneMatch = req.headers['if-none-match'];
	if (match !== undefined && noneMatch !== undefined) badRequest('give If-Match or If-None-Match, not both');
	if (noneMatch !== undefined) {
		if (noneMatch.trim() !== '*') badRequest(`If-None-Match takes only '*' (the key must be new), not '${noneMatch}'`);
		return { ifRev: 0 };
	}
	if (match === undefined) return {};
	const rev = wholeNumber(match.trim().replace(/^"(\d+)"$/, '$1'));
	// Revision 0 is how the store says "no such key"; a client says that with If-None-Match.
	if (rev === undefined || rev === 0) badRequest(`If-Match takes the revision of a key, not '${match}'`);
	return { ifRev: rev };
}

function wholeNumber(text: string): number | undefined {
	if (!/^\d{1,16}$/.test(text)) return undefined;
	const number = Number(text);
	return Number.isSafeInteger(number) ? number : undefined;
}
