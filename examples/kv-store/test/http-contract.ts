/**
 * What every kv-store answers over HTTP, whatever store it stands on: run against one in memory and against a real
 * cluster of three processes. Keys are new in each test, so that tests share a server.
 */
import { request } from 'node:http';
import { expect } from 'chai';
import { it } from 'mocha';
import { openEvents } from './events.ts';

let counter = 0;
const newKey = (): string => `contract/${process.pid}-${++counter}`;

/** A request whose path reaches the server exactly as written: `fetch` would resolve dots and drop odd bytes. */
export function raw(
	url: string,
	method: string,
	path: string,
	options: { headers?: Record<string, string>; body?: Uint8Array | string } = {},
): Promise<{ status: number; headers: Record<string, unknown>; body: Buffer; json: () => Record<string, unknown> }> {
	return new Promise((resolve, reject) => {
		const { hostname, port } = new URL(url);
		const req = request({ hostname, port, method, path, headers: options.headers ?? {}, agent: false }, (res) => {
			const chunks: Buffer[] = [];
			res.on('data', (chunk: Buffer) => chunks.push(chunk));
			res.on('error', reject);
			res.on('end', () => {
				const body = Buffer.concat(chunks);
				const json = (): Record<string, unknown> => JSON.parse(body.toString()) as Record<string, unknown>;
				resolve({ status: res.statusCode ?? 0, headers: res.headers, body, json });
			});
		});
		req.on('error', reject);
		req.end(options.body);
	});
}

/** `urls`: the replicas; the suite spreads its requests over them. */
export function describesKvOverHttp(urls: () => readonly string[]): void {
	let turn = 0;
	const url = (): string => urls()[turn++ % urls().length] as string;
	const put = async (key: string, body: Uint8Array | string, headers: Record<string, string> = {}) =>
		raw(url(), 'PUT', `/v1/kv/${encodeURIComponent(key)}`, { body, headers });
	const get = async (key: string, query = '') => raw(url(), 'GET', `/v1/kv/${encodeURIComponent(key)}${query}`);
	const revOf = async (answer: Promise<{ json: () => Record<string, unknown> }>) =>
		Number((await answer).json()['rev']);

	it('returns the bytes that were put, with their revision', async () => {
		const key = newKey();
		const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
		const written = await put(key, bytes);
		expect(written.status).to.equal(200);
		const { rev } = written.json();
		expect(rev).to.be.a('number').above(0);
		expect(written.headers['etag']).to.equal(`"${rev}"`);
		const read = await get(key);
		expect(read.status).to.equal(200);
		expect(read.body.equals(bytes)).to.equal(true);
		expect(read.headers['x-rev']).to.equal(String(rev));
		expect(read.headers['content-type']).to.equal('application/octet-stream');
	});

	it('takes an empty value for a value', async () => {
		const key = newKey();
		expect((await put(key, '')).status).to.equal(200);
		const read = await get(key);
		expect([read.status, read.body.length]).to.deep.equal([200, 0]);
	});

	it('gives every change a higher revision', async () => {
		const [a, b] = [newKey(), newKey()];
		const first = await revOf(put(a, '1'));
		const second = await revOf(put(b, '1'));
		const third = await revOf(put(a, '2'));
		expect(second).to.be.above(first);
		expect(third).to.be.above(second);
	});

	it('answers 404 with a code for a key that is not there', async () => {
		const answer = await get(newKey());
		expect(answer.status).to.equal(404);
		expect(answer.json()).to.include({ code: 'not_found' });
		expect(answer.json()['message']).to.be.a('string');
	});

	it('reads stale on request', async () => {
		const key = newKey();
		const rev = await revOf(put(key, 'old enough'));
		const [one] = urls();
		// A replica may lag behind the write; it must get there.
		for (;;) {
			const answer = await raw(one as string, 'GET', `/v1/kv/${encodeURIComponent(key)}?stale=true`);
			if (answer.status === 200) {
				expect(answer.body.toString()).to.equal('old enough');
				expect(answer.headers['x-rev']).to.equal(String(rev));
				return;
			}
			expect(answer.status).to.equal(404);
		}
	});

	it('answers HEAD with the headers of GET and no body', async () => {
		const key = newKey();
		await put(key, 'abc');
		const answer = await raw(url(), 'HEAD', `/v1/kv/${encodeURIComponent(key)}`);
		expect([answer.status, answer.body.length, answer.headers['content-length']]).to.deep.equal([200, 0, '3']);
	});

	it('deletes a key once', async () => {
		const key = newKey();
		const written = await revOf(put(key, 'x'));
		const gone = await raw(url(), 'DELETE', `/v1/kv/${encodeURIComponent(key)}`);
		expect(gone.status).to.equal(200);
		expect(gone.json()).to.include({ deleted: true });
		expect(gone.json()['rev']).to.be.above(written);
		expect((await get(key)).status).to.equal(404);
		const again = await raw(url(), 'DELETE', `/v1/kv/${encodeURIComponent(key)}`);
		expect([again.status, again.json()['code']]).to.deep.equal([404, 'not_found']);
	});

	it('compares and sets with If-Match', async () => {
		const key = newKey();
		const rev = await revOf(put(key, '1'));
		expect((await put(key, '2', { 'if-match': String(rev) })).status).to.equal(200);
		const now = Number((await get(key)).headers['x-rev']);
		const lost = await put(key, '3', { 'if-match': `"${rev}"` });
		expect(lost.status).to.equal(412);
		expect(lost.json()).to.include({ code: 'conflict', rev: now });
		expect((await get(key)).body.toString()).to.equal('2');
		const kept = await raw(url(), 'DELETE', `/v1/kv/${encodeURIComponent(key)}`, {
			headers: { 'if-match': String(rev) },
		});
		expect([kept.status, kept.json()['rev']]).to.deep.equal([412, now]);
	});

	it('creates only what is new with If-None-Match: *', async () => {
		const key = newKey();
		const rev = await revOf(put(key, '1', { 'if-none-match': '*' }));
		const lost = await put(key, '2', { 'if-none-match': '*' });
		expect(lost.status).to.equal(412);
		expect(lost.json()).to.include({ code: 'conflict', rev });
		const absent = await put(newKey(), '2', { 'if-match': String(rev) });
		expect([absent.status, absent.json()['code'], absent.json()['rev']]).to.deep.equal([412, 'conflict', 0]);
	});

	it('lists keys by prefix, in order, page by page, with values as text or base64', async () => {
		const prefix = `${newKey()}/`;
		await put(`${prefix}b`, 'bee');
		await put(`${prefix}a`, 'ä');
		await put(`${prefix}c`, Uint8Array.of(0xff, 0x00));
		const rev = await revOf(put(`${prefix}d`, ''));
		const list = async (query: string) =>
			(await raw(url(), 'GET', `/v1/kv?prefix=${encodeURIComponent(prefix)}${query}`)).json();
		const all = await list('');
		expect(all['rev']).to.be.at.least(rev);
		expect(all['next']).to.equal(undefined);
		const items = all['items'] as Record<string, unknown>[];
		expect(items.map(({ rev: _, ...rest }) => rest)).to.deep.equal([
			{ key: `${prefix}a`, value: 'ä' },
			{ key: `${prefix}b`, value: 'bee' },
			{ key: `${prefix}c`, value: '/wA=', encoding: 'base64' },
			{ key: `${prefix}d`, value: '' },
		]);
		const page = await list('&limit=3');
		expect((page['items'] as unknown[]).length).to.equal(3);
		expect(page['next']).to.equal(`${prefix}c`);
		const rest = await list(`&after=${encodeURIComponent(String(page['next']))}`);
		expect((rest['items'] as Record<string, unknown>[]).map((item) => item['key'])).to.deep.equal([`${prefix}d`]);
	});

	for (const name of ['a/b', 'a%2Fb', 'ü', '%20 ', '../up', './x', 'a//b', 'q?x=1&y', 'emoji 🐝', '\u0000']) {
		it(`keeps the key ${JSON.stringify(name)} as it is`, async () => {
			const key = `${newKey()}${name}`;
			await put(key, 'here');
			expect((await get(key)).body.toString()).to.equal('here');
			const listed = (await raw(url(), 'GET', `/v1/kv?prefix=${encodeURIComponent(key)}`)).json();
			expect((listed['items'] as Record<string, unknown>[]).map((item) => item['key'])).to.deep.equal([key]);
		});
	}

	it('lets slashes and dots of a key stand in the path as they are', async () => {
		const key = `${newKey()}/x/../y`;
		const written = await raw(url(), 'PUT', `/v1/kv/${key}`, { body: 'raw' });
		expect(written.status).to.equal(200);
		expect((await get(key)).body.toString()).to.equal('raw');
	});

	it('refuses what is too large with 413, and keeps serving', async () => {
		const key = newKey();
		const limit = 512 * 1024;
		expect((await put(key, new Uint8Array(limit))).status).to.equal(200);
		const announced = await put(key, new Uint8Array(limit + 1));
		expect([announced.status, announced.json()['code'], announced.json()['limit']]).to.deep.equal([
			413,
			'too_large',
			limit,
		]);
		const headers = { 'transfer-encoding': 'chunked' };
		const streamed = await put(key, new Uint8Array(4 * limit), headers);
		expect([streamed.status, streamed.json()['code']]).to.deep.equal([413, 'too_large']);
		expect((await get(key)).body.length).to.equal(limit);
		const longest = 'k'.repeat(1024);
		expect((await put(longest, 'x')).status).to.equal(200);
		expect((await put(`${longest}k`, 'x')).status).to.equal(413);
		expect((await get('ü'.repeat(513))).status).to.equal(413);
	});

	const malformed: [string, string, string, Record<string, string>?][] = [
		['an empty key', 'GET', '/v1/kv/'],
		['a broken percent-encoding', 'GET', '/v1/kv/%zz'],
		['bytes that are not UTF-8', 'PUT', '/v1/kv/%ff'],
		['an unknown query parameter', 'GET', '/v1/kv/x?stael=true'],
		['a stale that is no boolean', 'GET', '/v1/kv/x?stale=1'],
		['a parameter given twice', 'GET', '/v1/kv?prefix=a&prefix=b'],
		['a limit of zero', 'GET', '/v1/kv?limit=0'],
		['a limit that is too high', 'GET', '/v1/kv?limit=1001'],
		['a limit that is no number', 'GET', '/v1/kv?limit=ten'],
		['a negative revision', 'GET', '/v1/watch?from=-1'],
		['a Last-Event-ID that is no revision', 'GET', '/v1/watch', { 'last-event-id': 'x' }],
		['an If-Match that is no revision', 'PUT', '/v1/kv/x', { 'if-match': 'W/"5"' }],
		['an If-None-Match that is not *', 'PUT', '/v1/kv/x', { 'if-none-match': '5' }],
		['both preconditions', 'PUT', '/v1/kv/x', { 'if-match': '5', 'if-none-match': '*' }],
		['a broken percent-encoding in the query', 'GET', '/v1/kv?prefix=%zz'],
	];
	for (const [what, method, path, headers] of malformed) {
		it(`refuses ${what} with 400`, async () => {
			const answer = await raw(url(), method, path, headers === undefined ? {} : { headers });
			expect([answer.status, answer.json()['code']]).to.deep.equal([400, 'bad_request']);
			expect(answer.json()['message']).to.be.a('string').and.not.equal('');
		});
	}

	it('names the methods that a path takes', async () => {
		const answer = await raw(url(), 'POST', '/v1/kv/x', { body: 'x' });
		expect([answer.status, answer.json()['code']]).to.deep.equal([405, 'method_not_allowed']);
		expect(answer.headers['allow']).to.equal('GET, HEAD, PUT, DELETE');
		expect((await raw(url(), 'DELETE', '/v1/kv')).headers['allow']).to.equal('GET, HEAD');
	});

	it('answers 404 with a code outside its paths', async () => {
		for (const path of ['/', '/v1', '/v1/kvx', '/v2/kv/a', '/v1/status/']) {
			const answer = await raw(url(), 'GET', path);
			expect([path, answer.status, answer.json()['code']]).to.deep.equal([path, 404, 'not_found']);
		}
	});

	it('tells its status and that it is alive and ready', async () => {
		const status = (await raw(url(), 'GET', '/v1/status')).json();
		expect(status).to.have.keys('self', 'role', 'term', 'leader', 'commitIndex', 'hasQuorum', 'members');
		expect(status['members']).to.have.length(urls().length);
		expect((await raw(url(), 'GET', '/healthz')).status).to.equal(200);
		expect((await raw(url(), 'GET', '/readyz')).status).to.equal(200);
	});

	it('streams changes under a prefix, and resumes after the last one seen', async () => {
		const prefix = `${newKey()}/`;
		const path = `/v1/watch?prefix=${encodeURIComponent(prefix)}`;
		const live = await openEvents(`${url()}${path}`);
		const first = await revOf(put(`${prefix}a`, 'one'));
		await put(newKey(), 'not under the prefix');
		await put(`${prefix}a`, Uint8Array.of(0xff));
		const gone = await raw(url(), 'DELETE', `/v1/kv/${encodeURIComponent(`${prefix}a`)}`);
		const seen = [await live.next(), await live.next(), await live.next()];
		live.close();
		expect(seen.map((event) => [event.event, event.data['value'], event.data['encoding']])).to.deep.equal([
			['put', 'one', undefined],
			['put', '/w==', 'base64'],
			['delete', undefined, undefined],
		]);
		expect(seen[0]).to.deep.equal({
			id: String(first),
			event: 'put',
			data: { key: `${prefix}a`, rev: first, value: 'one' },
		});
		expect(seen[2]?.data['rev']).to.equal(gone.json()['rev']);

		const again = await openEvents(`${url()}${path}`, { 'last-event-id': String(first) });
		expect((await again.next()).id).to.equal(seen[1]?.id);
		again.close();
		const from = await openEvents(`${url()}${path}&from=${first}`);
		expect((await from.next()).id).to.equal(String(first));
		from.close();
	});

	it('loses no change between a list and the watch after it', async () => {
		const prefix = `${newKey()}/`;
		await put(`${prefix}a`, '1');
		const listed = (await raw(url(), 'GET', `/v1/kv?prefix=${encodeURIComponent(prefix)}`)).json();
		const rev = await revOf(put(`${prefix}b`, '2'));
		const live = await openEvents(
			`${url()}/v1/watch?prefix=${encodeURIComponent(prefix)}&from=${Number(listed['rev']) + 1}`,
		);
		expect((await live.next()).id).to.equal(String(rev));
		live.close();
	});
}
