/** The HTTP API over a store in memory: the contract, and the failures that a real group shows only in bad weather. */
import { silentLogger } from '@beemesh/sdk/telemetry';
import { expect } from 'chai';
import { after, before, beforeEach, describe, it } from 'mocha';
import { openEvents } from '../test/events.ts';
import { describesKvOverHttp, raw } from '../test/http-contract.ts';
import { MemoryStore } from '../test/memory-store.ts';
import { kvHttp } from './http.ts';
import { type HttpServer, listen, listenEarly } from './kit/index.ts';

interface Served {
	readonly store: MemoryStore;
	readonly server: HttpServer;
	readonly draining: AbortController;
}

async function serve(keep?: number): Promise<Served> {
	const store = new MemoryStore(keep);
	const draining = new AbortController();
	const server = await listen(kvHttp(store, draining.signal, silentLogger, { heartbeatMs: 5 }), {
		host: '127.0.0.1',
		port: 0,
	});
	return { store, server, draining };
}

describe('kv-store over HTTP', () => {
	describe('the contract, on a store in memory', () => {
		let served: Served;
		before(async () => {
			served = await serve();
		});
		after(() => served.server.drain(0));
		describesKvOverHttp(() => [served.server.url]);
	});

	describe('in trouble', () => {
		let served: Served;
		const code = async (method: string, path: string) => {
			const answer = await raw(served.server.url, method, path);
			return [answer.status, answer.json()['code']];
		};
		beforeEach(async () => {
			served = await serve(3);
		});
		const drained = (): Promise<void> => served.server.drain(0);

		it('without a quorum refuses writes and linearizable reads, is not ready, and still reads stale', async () => {
			await served.store.put('a', Buffer.from('1'));
			served.store.failure = 'no_quorum';
			expect(await code('PUT', '/v1/kv/a')).to.deep.equal([503, 'no_quorum']);
			expect(await code('GET', '/v1/kv/a')).to.deep.equal([503, 'no_quorum']);
			expect(await code('GET', '/v1/kv')).to.deep.equal([503, 'no_quorum']);
			expect(await code('GET', '/readyz')).to.deep.equal([503, 'no_quorum']);
			const refused = await raw(served.server.url, 'DELETE', '/v1/kv/a');
			expect(refused.headers['retry-after']).to.equal('1');
			expect((await raw(served.server.url, 'GET', '/v1/kv/a?stale=true')).body.toString()).to.equal('1');
			expect((await raw(served.server.url, 'GET', '/healthz')).status).to.equal(200);
			expect((await raw(served.server.url, 'GET', '/v1/status')).json()).to.include({ hasQuorum: false });
			await drained();
		});

		for (const failure of ['unknown_outcome', 'deadline', 'internal', 'cancelled'] as const) {
			it(`calls a write's fate unknown after ${failure}`, async () => {
				served.store.failure = failure;
				expect(await code('PUT', '/v1/kv/a')).to.deep.equal([504, 'unknown_outcome']);
				expect(await code('DELETE', '/v1/kv/a')).to.deep.equal([504, 'unknown_outcome']);
				await drained();
			});
		}

		it('calls a read that took too long by its name', async () => {
			served.store.failure = 'deadline';
			expect(await code('GET', '/v1/kv/a')).to.deep.equal([504, 'deadline']);
			await drained();
		});

		it('says that the disk is full', async () => {
			served.store.failure = 'disk_full';
			expect(await code('PUT', '/v1/kv/a')).to.deep.equal([507, 'disk_full']);
			expect(await code('GET', '/readyz')).to.deep.equal([503, 'disk_full']);
			expect((await raw(served.server.url, 'GET', '/v1/status')).json()).to.include({ diskFull: true });
			await drained();
		});

		it('answers 410 to a watch from a revision whose changes are no longer kept', async () => {
			for (let i = 0; i < 5; i++) await served.store.put('a', Buffer.from(String(i)));
			expect(await code('GET', '/v1/watch?from=1')).to.deep.equal([410, 'compacted']);
			const live = await openEvents(`${served.server.url}/v1/watch?from=3`);
			expect((await live.next()).id).to.equal('3');
			live.close();
			await drained();
		});

		it('keeps an idle watch alive with comments', async () => {
			const live = await openEvents(`${served.server.url}/v1/watch`);
			const event = live.next();
			await new Promise<void>((resolve) => {
				const look = (): unknown => (live.comments() > 1 ? resolve() : setImmediate(look));
				look();
			});
			await served.store.put('a', Buffer.from('1'));
			expect((await event).event).to.equal('put');
			live.close();
			await drained();
		});

		it('while draining is not ready, ends watches, and finishes what is in flight', async () => {
			const live = await openEvents(`${served.server.url}/v1/watch`);
			served.draining.abort();
			await live.ended();
			expect(await code('GET', '/readyz')).to.deep.equal([503, 'draining']);
			await drained();
		});
	});

	it('before it has joined is alive, and refuses everything else as not there yet', async () => {
		const server = await listenEarly({ host: '127.0.0.1', port: 0 });
		const answer = async (method: string, path: string) => {
			const { status, json } = await raw(server.url, method, path, { body: method === 'PUT' ? 'x' : '' });
			return [status, json()['code']];
		};
		expect(await answer('GET', '/healthz')).to.deep.equal([200, undefined]);
		expect(await answer('GET', '/readyz')).to.deep.equal([503, 'unavailable']);
		expect(await answer('GET', '/v1/kv/a')).to.deep.equal([503, 'unavailable']);
		expect(await answer('PUT', '/v1/kv/a')).to.deep.equal([503, 'unavailable']);
		server.serve(kvHttp(new MemoryStore(), new AbortController().signal, silentLogger, { heartbeatMs: 5 }));
		expect((await raw(server.url, 'PUT', '/v1/kv/a', { body: 'x' })).status).to.equal(200);
		await server.drain(0);
	});

	it('says that the port is taken', async () => {
		const { server } = await serve();
		const error = await listen(() => {}, { host: '127.0.0.1', port: server.port }).catch((e: Error) => e);
		expect(String(error)).to.contain(`cannot listen on 127.0.0.1:${server.port}: another program uses this port`);
		await server.drain(0);
	});
});
