import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { openEvents } from '../../kv-store/test/events.ts';
import { raw } from '../../kv-store/test/http-contract.ts';
import { type Frontend, startFrontend, threeReplicas } from '../test/harness.ts';

describe("the frontend's API", () => {
	let frontend: Frontend;
	const call = (method: string, path: string, options: Parameters<typeof raw>[3] = {}) =>
		raw(frontend.server.url, method, path, options);

	beforeEach(async () => {
		frontend = await startFrontend();
	});
	afterEach(() => frontend.close());

	it('writes, reads, lists and deletes keys by typed calls', async () => {
		expect((await call('PUT', '/api/kv/a/b', { body: 'x' })).json()).to.deep.equal({ rev: 1 });
		const read = await call('GET', '/api/kv/a/b');
		expect([read.body.toString(), read.headers['x-rev']]).to.deep.equal(['x', '1']);
		expect((await call('GET', '/api/kv?prefix=a/')).json()['items']).to.deep.equal([
			{ key: 'a/b', rev: 1, value: 'x' },
		]);
		expect((await call('DELETE', '/api/kv/a/b')).json()).to.deep.equal({ deleted: true, rev: 2 });
		expect((await call('GET', '/api/kv/a/b')).status).to.equal(404);
	});

	it("passes the store's refusals on with their codes", async () => {
		await call('PUT', '/api/kv/a', { body: 'x' });
		const conflict = await call('PUT', '/api/kv/a', { body: 'y', headers: { 'if-none-match': '*' } });
		expect([conflict.status, conflict.json()['code'], conflict.json()['rev']]).to.deep.equal([412, 'conflict', 1]);
		frontend.store.failure = 'no_quorum';
		const refused = await call('PUT', '/api/kv/a', { body: 'y' });
		expect([refused.status, refused.json()['code']]).to.deep.equal([503, 'no_quorum']);
	});

	it('tells who replicates, who leads, and what is wrong', async () => {
		const status = (await call('GET', '/api/status')).json();
		expect(status).to.have.keys('store', 'self');
		expect(status['store']).to.include({ workload: 'kv-store', term: 7, leader: threeReplicas()[0]?.replica });
		const events = await openEvents(`${frontend.server.url}/api/events`);
		expect((await events.next()).event).to.equal('overview');
		frontend.replicas = [];
		let event = await events.next();
		while (event.data['trouble'] === undefined) event = await events.next();
		expect(event.data['trouble']).to.include({ code: 'no_replicas' });
		events.close();
	});

	it('streams changes, long values cut, to any number of pages', async () => {
		const pages = await Promise.all([1, 2].map(() => openEvents(`${frontend.server.url}/api/events`)));
		await frontend.store.put('a', Buffer.from('ü'.repeat(1000)));
		for (const page of pages) {
			let event = await page.next();
			while (event.event !== 'change') event = await page.next();
			expect(event.data).to.deep.equal({ key: 'a', rev: 1, type: 'put', value: 'ü'.repeat(256) });
			page.close();
		}
		const late = await openEvents(`${frontend.server.url}/api/events`);
		expect((await late.next()).event).to.equal('overview');
		expect((await late.next()).data).to.include({ key: 'a', rev: 1 });
		late.close();
	});

	it('is alive and ready even without a store: the page is what says so', async () => {
		frontend.store.failure = 'no_quorum';
		frontend.replicas = [];
		expect((await call('GET', '/healthz')).status).to.equal(200);
		expect((await call('GET', '/readyz')).status).to.equal(200);
	});

	it('serves its files and nothing else', async () => {
		expect((await call('GET', '/')).headers['content-type']).to.equal('text/html; charset=utf-8');
		expect((await call('GET', '/app.js')).headers['content-type']).to.equal('text/javascript; charset=utf-8');
		for (const path of ['/index.html', '/../package.json', '/%2e%2e/package.json', '/src/main.ts']) {
			expect((await call('GET', path)).status, path).to.equal(404);
		}
	});
});
