/** The page's files, read once at the start, with headers that let a browser run nothing but them. */
import { readdir, readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { type Route, sendBytes } from '@beemesh/example-kv-store/kit';

const TYPES: Readonly<Record<string, string>> = {
	'.html': 'text/html; charset=utf-8',
	'.css': 'text/css; charset=utf-8',
	'.js': 'text/javascript; charset=utf-8',
	'.svg': 'image/svg+xml',
};

/** No inline script or style, nothing from elsewhere, no frames: what a stored value says can only be text. */
const HEADERS: Readonly<Record<string, string>> = {
	'content-security-policy': [
		"default-src 'none'",
		"script-src 'self'",
		"style-src 'self'",
		"img-src 'self'",
		"connect-src 'self'",
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
		"require-trusted-types-for 'script'",
	].join('; '),
	'referrer-policy': 'no-referrer',
	'cross-origin-opener-policy': 'same-origin',
	'cross-origin-resource-policy': 'same-origin',
	'cache-control': 'no-cache',
};

export async function assetRoutes(dir: URL): Promise<Route[]> {
	const names = (await readdir(dir)).filter((name) => TYPES[extname(name)] !== undefined);
	return Promise.all(
		names.map(async (name): Promise<Route> => {
			const bytes = await readFile(new URL(name, dir));
			const headers = { ...HEADERS, 'content-type': TYPES[extname(name)] ?? '' };
			return {
				path: name === 'index.html' ? '/' : `/${name}`,
				methods: { GET: ({ res }) => sendBytes(res, 200, bytes, headers) },
			};
		}),
	);
}
