/**
 * A few routes over `node:http`, without a framework: exact paths and prefixes, methods, coded errors, and a signal
 * that aborts when the client has gone. What follows a prefix reaches the handler undecoded, slashes and all.
 */
import { type IncomingMessage, type RequestListener, type ServerResponse, STATUS_CODES } from 'node:http';
import { badRequest, Problem, problemOf } from './problem.ts';

export interface Exchange {
	readonly req: IncomingMessage;
	readonly res: ServerResponse;
	/** The path after a prefix route's prefix, still percent-encoded; empty for exact routes. */
	readonly tail: string;
	readonly query: URLSearchParams;
	/** Aborts when the client hangs up. */
	readonly signal: AbortSignal;
}

export type Handler = (exchange: Exchange) => void | Promise<void>;

export interface Route {
	/** An exact path; or, when it ends in `/`, a prefix. */
	readonly path: string;
	readonly methods: Readonly<Record<string, Handler>>;
	/** Query parameters that are understood. Others are refused: a misspelt `stale` must not read as absent. */
	readonly query?: readonly string[];
}

export interface RouterEvents {
	/** A request was answered with a 5xx that no client caused. */
	failed?(req: IncomingMessage, error: unknown): void;
}

export function router(routes: readonly Route[], events: RouterEvents = {}): RequestListener {
	return (req, res) => {
		dispatch(routes, req, res).catch((error: unknown) => {
			const problem = problemOf(error, isRead(req) ? 'read' : 'write');
			if (problem.status === 500 || problem.status === 507 || !(error instanceof Error)) events.failed?.(req, error);
			sendProblem(res, problem);
		});
	};
}

function isRead(req: IncomingMessage): boolean {
	return req.method === 'GET' || req.method === 'HEAD';
}

async function dispatch(routes: readonly Route[], req: IncomingMessage, res: ServerResponse): Promise<void> {
	// Not `new URL()`: it would resolve `..` inside keys.
	const url = req.url ?? '/';
	const mark = url.indexOf('?');
	const path = mark < 0 ? url : url.slice(0, mark);
	const route = routes.find((r) =>
		r.path.length > 1 && r.path.endsWith('/') ? path.startsWith(r.path) : path === r.path,
	);
	if (route === undefined) throw new Problem(404, 'not_found', `nothing is served at ${path}`);
	const method = req.method === 'HEAD' && route.methods.HEAD === undefined ? 'GET' : (req.method ?? 'GET');
	const handler = Object.hasOwn(route.methods, method) ? route.methods[method] : undefined;
	if (handler === undefined) throw notAllowed(route, path, method);
	const gone = new AbortController();
	res.once('close', () => {
		if (!res.writableFinished) gone.abort(new Error('the client hung up'));
	});
	await handler({
		req,
		res,
		tail: route.path.length > 1 && route.path.endsWith('/') ? path.slice(route.path.length) : '',
		query: checkedQuery(mark < 0 ? '' : url.slice(mark + 1), route.query ?? []),
		signal: gone.signal,
	});
}

function notAllowed(route: Route, path: string, method: string): Problem {
	const allow = Object.keys(route.methods).flatMap((m) => (m === 'GET' ? ['GET', 'HEAD'] : [m]));
	return new Problem(405, 'method_not_allowed', `${path} does not take ${method}`, {
		headers: { allow: allow.join(', ') },
	});
}

function checkedQuery(text: string, known: readonly string[]): URLSearchParams {
	if (/%(?![0-9a-fA-F]{2})/.test(text)) badRequest('the query holds a % that is no percent-encoding');
	const query = new URLSearchParams(text);
	for (const name of new Set(query.keys())) {
		if (!known.includes(name)) badRequest(`unknown query parameter '${name}'`);
		if (query.getAll(name).length > 1) badRequest(`query parameter '${name}' is given twice`);
	}
	return query;
}

/** Answers with JSON. A HEAD request gets the headers only. */
export function sendJson(
	res: ServerResponse,
	status: number,
	body: unknown,
	headers: Readonly<Record<string, string>> = {},
): void {
	const bytes = Buffer.from(`${JSON.stringify(body)}\n`);
	sendBytes(res, status, bytes, { 'content-type': 'application/json; charset=utf-8', ...headers });
}

export function sendBytes(
	res: ServerResponse,
	status: number,
	bytes: Uint8Array,
	headers: Readonly<Record<string, string>>,
): void {
	res.writeHead(status, {
		'cache-control': 'no-store',
		'x-content-type-options': 'nosniff',
		...headers,
		'content-length': String(bytes.byteLength),
	});
	res.end(res.req.method === 'HEAD' ? undefined : bytes);
}

export function sendProblem(res: ServerResponse, problem: Problem): void {
	if (res.destroyed) return;
	if (res.headersSent) {
		// Half an answer is out (a stream): cutting the connection is the only way left to say that it failed.
		res.destroy();
		return;
	}
	const message = problem.message || STATUS_CODES[problem.status] || 'failed';
	sendJson(res, problem.status, { code: problem.code, message, ...problem.facts }, problem.headers);
}
