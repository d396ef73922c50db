/** The frontend as it really runs: two processes that call three of kv-store by name, over the mesh. */
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { type Cluster, startCluster } from '../../kv-store/test/cluster.ts';
import { openEvents } from '../../kv-store/test/events.ts';
import { raw } from '../../kv-store/test/http-contract.ts';
import { createProgram, freePort, type Program, until } from '../../kv-store/test/program.ts';
import type { Overview } from '../src/overview.ts';

const main = join(import.meta.dirname, '../src/main.ts');

describe('web-frontend and kv-store, real processes', function () {
	this.timeout(60_000);
	let cluster: Cluster;
	const programs: Program[] = [];
	const urls: string[] = [];

	before(async () => {
		cluster = await startCluster(3);
		for (let i = 0; i < 2; i++) {
			const http = `127.0.0.1:${await freePort()}`;
			const program = createProgram(main, [
				'--dev',
				'--name',
				`${cluster.name}-web`,
				'--store',
				cluster.name,
				'--http',
				http,
			]);
			program.start();
			programs.push(program);
			urls.push(`http://${http}`);
		}
		await cluster.ready(20_000);
		for (const url of urls)
			await seen(url, ({ store, self }) => store.leader !== undefined && self.replicas.length === 2);
	});
	after(async () => {
		await Promise.all(programs.map((program) => program.kill()));
		await cluster.close();
	});

	/** Waits until the frontend sees the mesh like this. */
	async function seen(url: string, isRight: (overview: Overview) => boolean): Promise<void> {
		let last: Overview | undefined;
		const look = async (): Promise<boolean> => {
			const answer = await fetch(`${url}/api/status`).catch(() => undefined);
			if (answer?.ok !== true) return false;
			last = (await answer.json()) as Overview;
			return isRight(last);
		};
		await until(20_000, look, () => `${JSON.stringify(last)}\n${programs.map((program) => program.log()).join('\n')}`);
	}

	it('reads through one what was written through the other', async () => {
		const written = await raw(urls[0] ?? '', 'PUT', '/api/kv/a%2Fb', { body: Uint8Array.of(0, 255) });
		expect(written.status, written.body.toString()).to.equal(200);
		const read = await raw(urls[1] ?? '', 'GET', '/api/kv/a/b');
		expect([...read.body]).to.deep.equal([0, 255]);
		expect(read.headers['x-rev']).to.equal(String(written.json()['rev']));
		const conflict = await raw(urls[1] ?? '', 'PUT', '/api/kv/a/b', { body: 'x', headers: { 'if-none-match': '*' } });
		expect([conflict.status, conflict.json()['rev']]).to.deep.equal([412, written.json()['rev']]);
	});

	it('takes values up to the limit through the mesh', async () => {
		const value = new Uint8Array(512 * 1024).fill(7);
		expect((await raw(urls[0] ?? '', 'PUT', '/api/kv/large', { body: value })).status).to.equal(200);
		expect((await raw(urls[1] ?? '', 'GET', '/api/kv/large')).body.equals(value)).to.equal(true);
		expect((await raw(urls[1] ?? '', 'GET', '/api/kv?prefix=large')).status).to.equal(200);
	});

	it("shows changes made at kv-store's own door", async () => {
		const events = await openEvents(`${urls[1]}/api/events`);
		const put = await raw(cluster.urls[0] ?? '', 'PUT', '/v1/kv/seen', { body: 'by all' });
		let event = await events.next();
		while (event.event !== 'change' || event.data['key'] !== 'seen') event = await events.next();
		expect(event.data).to.deep.equal({ key: 'seen', rev: put.json()['rev'], type: 'put', value: 'by all' });
		events.close();
	});

	it('outlives the leader, says when there is no majority, and recovers', async () => {
		const url = urls[0] ?? '';
		await raw(url, 'PUT', '/api/kv/kept', { body: '1' });
		const leader = await cluster.leader(10_000);
		const [, one, two] = [leader, ...cluster.replicas.filter((replica) => replica !== leader)];
		await leader.kill();
		await seen(
			url,
			({ store }) => store.leader !== undefined && store.replicas.some(({ status }) => status === undefined),
		);
		expect((await raw(url, 'GET', '/api/kv/kept')).body.toString()).to.equal('1');
		await one?.kill();
		// Until it has stepped down, a leader takes a write whose outcome nobody knows then.
		await seen(
			url,
			({ trouble, store }) =>
				trouble?.code === 'no_quorum' && store.replicas.every(({ status }) => status?.role !== 'leader'),
		);
		const put = () => raw(url, 'PUT', '/api/kv/kept', { body: '2' });
		let refused = await put();
		// For a moment one that was killed still looks alive: of what is sent to it nobody knows the outcome.
		while (refused.json()['code'] === 'unknown_outcome') refused = await put();
		expect([refused.status, refused.json()['code']]).to.deep.equal([503, 'no_quorum']);
		leader.start();
		one?.start();
		await cluster.ready(20_000);
		await seen(
			url,
			({ store, trouble }) => trouble === undefined && store.replicas.every(({ status }) => status !== undefined),
		);
		expect((await raw(url, 'GET', '/api/kv/kept')).body.toString()).to.equal('1');
		expect((await raw(two?.url ?? '', 'PUT', '/v1/kv/kept', { body: '3' })).status).to.equal(200);
	});

	it('leaves in order on SIGTERM', async () => {
		expect(await programs[1]?.terminate()).to.equal(0);
		await seen(urls[0] ?? '', ({ self }) => self.replicas.length === 1);
	});
});
