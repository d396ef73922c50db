/** The server's small API: keys over fetch, events over one stream that the browser reopens by itself. */

/** A refusal, with the server's code; `unreachable` when no answer came. */
export class ApiError extends Error {
	constructor(code, message, facts = {}) {
		super(message);
		this.code = code;
		this.facts = facts;
	}
}

const keyPath = (key) => `/api/kv/${encodeURIComponent(key)}`;

async function call(path, options = {}) {
	let answer;
	try {
		answer = await fetch(path, { cache: 'no-store', ...options });
	} catch {
		throw new ApiError('unreachable', 'This page’s server does not answer.');
	}
	if (answer.ok) return answer;
	const body = await answer.json().catch(() => ({}));
	throw new ApiError(body.code ?? String(answer.status), body.message ?? `The server answered ${answer.status}.`, body);
}

/** The value as bytes, and its revision. */
export async function readKey(key) {
	const answer = await call(keyPath(key));
	return { bytes: new Uint8Array(await answer.arrayBuffer()), rev: Number(answer.headers.get('x-rev')) };
}

/** `ifRev`: only if the key is still at this revision. */
export async function writeKey(key, text, ifRev) {
	const headers = ifRev === undefined ? {} : { 'if-match': String(ifRev) };
	return (await call(keyPath(key), { method: 'PUT', body: text, headers })).json();
}

export async function deleteKey(key, ifRev) {
	const headers = ifRev === undefined ? {} : { 'if-match': String(ifRev) };
	return (await call(keyPath(key), { method: 'DELETE', headers })).json();
}

export async function listKeys(prefix, limit) {
	return (await call(`/api/kv?${new URLSearchParams({ prefix, limit: String(limit) })}`)).json();
}

/** `on.open` runs at each (re)connection, `on.lost` when one breaks, the others per event. */
export function openEvents(on) {
	const events = new EventSource('/api/events');
	events.addEventListener('open', on.open);
	events.addEventListener('error', () => {
		on.lost();
		// The browser gives up only after an answer that is no stream; the server may just be starting.
		if (events.readyState === EventSource.CLOSED) setTimeout(() => openEvents(on), 1000);
	});
	for (const name of ['overview', 'change', 'reload']) {
		events.addEventListener(name, (event) => on[name](JSON.parse(event.data)));
	}
}
