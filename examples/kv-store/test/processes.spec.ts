/** kv-store as it really runs: three processes that form a cluster in development mode. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import { type Cluster, startCluster } from './cluster.ts';
import { describesKvOverHttp, raw } from './http-contract.ts';
import { torture } from './torture.ts';

describe('kv-store, three real processes', function () {
	this.timeout(60_000);

	describe('the contract over HTTP', () => {
		let cluster: Cluster;
		before(async () => {
			cluster = await startCluster(3);
			await cluster.ready(20_000);
		});
		after(() => cluster.close());
		describesKvOverHttp(() => cluster.urls);

		it('answers the same from every replica', async () => {
			const [first] = cluster.urls;
			await raw(first as string, 'PUT', '/v1/kv/everywhere', { body: 'same' });
			for (const url of cluster.urls) {
				expect((await raw(url, 'GET', '/v1/kv/everywhere')).body.toString()).to.equal('same');
			}
			const statuses = await Promise.all(cluster.urls.map(async (url) => (await raw(url, 'GET', '/v1/status')).json()));
			expect(statuses.filter((status) => status['role'] === 'leader')).to.have.length(1);
			expect(new Set(statuses.map((status) => status['leader']))).to.have.property('size', 1);
		});
	});

	describe('when replicas are lost', () => {
		let cluster: Cluster;
		afterEach(() => cluster.close());

		it('goes on without its leader, refuses without a majority, and forgets nothing', async () => {
			cluster = await startCluster(3);
			await cluster.ready(20_000);
			const leader = await cluster.leader(10_000);
			expect((await raw(leader.url, 'PUT', '/v1/kv/a', { body: '1' })).status).to.equal(200);
			await leader.kill();
			const rest = cluster.replicas.filter((replica) => replica !== leader);
			const next = await cluster.leader(10_000);
			expect((await raw(next.url, 'GET', '/v1/kv/a')).body.toString()).to.equal('1');
			expect((await raw(next.url, 'PUT', '/v1/kv/a', { body: '2' })).status).to.equal(200);
			await next.kill();
			const alone = rest.find((replica) => replica !== next);
			const refused = await raw(alone?.url ?? '', 'PUT', '/v1/kv/a', { body: '3' });
			expect([refused.status, refused.json()['code']]).to.deep.equal([503, 'no_quorum']);
			leader.start();
			next.start();
			await cluster.ready(20_000);
			expect((await raw(alone?.url ?? '', 'GET', '/v1/kv/a')).body.toString()).to.equal('2');
		});

		it('hands over on SIGTERM, and exits 0', async () => {
			cluster = await startCluster(3);
			await cluster.ready(20_000);
			const leader = await cluster.leader(10_000);
			expect((await raw(leader.url, 'PUT', '/v1/kv/a', { body: '1' })).status).to.equal(200);
			expect(await leader.terminate()).to.equal(0);
			const next = await cluster.leader(10_000);
			expect((await raw(next.url, 'GET', '/v1/kv/a')).body.toString()).to.equal('1');
		});
	});

	it('is linearizable while replicas are killed and paused', async function () {
		this.timeout(240_000);
		const seed = 20_261;
		const said: string[] = [];
		const report = await torture({ seed, durationMs: 15_000, clients: 4, say: (what) => said.push(what) });
		const story = `seed ${seed}\n${said.join('\n')}\n${JSON.stringify(report, undefined, 1)}`;
		expect(report.isLinearizable, story).to.equal(true);
		expect(report.kills, story).to.be.above(0);
		expect(report.pauses, story).to.be.above(0);
		expect(report.acknowledgedWrites, story).to.be.above(50);
	});

	describe('with a mistake in how it is started', () => {
		const run = async (...args: string[]): Promise<{ code: number | null; output: string }> => {
			const main = join(import.meta.dirname, '../src/main.ts');
			const child = spawn(process.execPath, ['--conditions=source', main, ...args], {
				stdio: ['ignore', 'pipe', 'pipe'],
			});
			let output = '';
			for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk));
			const [code] = (await once(child, 'close')) as [number | null];
			return { code, output };
		};

		it('says what is wrong with the command line', async () => {
			const { code, output } = await run('--dev', '--http', 'nowhere', '--data', 'x');
			expect(code).to.equal(2);
			expect(output).to.contain("'nowhere' is no address").and.contain('--help');
		});

		it('says that its data directory cannot be written', async () => {
			const { code, output } = await run('--dev', '--http', '127.0.0.1:0', '--data', '/dev/null/x');
			expect(code).to.equal(1);
			expect(output).to.contain('cannot write to the data directory /dev/null/x');
		});

		it('says that its port is taken, before it joins anything', async () => {
			const taken = createServer().listen(0, '127.0.0.1');
			await once(taken, 'listening');
			const { port } = taken.address() as AddressInfo;
			const dataDir = await mkdtemp(join(tmpdir(), 'kv-store-'));
			const { code, output } = await run('--dev', '--http', `127.0.0.1:${port}`, '--data', dataDir);
			taken.close();
			await rm(dataDir, { recursive: true });
			expect(code).to.equal(1);
			expect(output).to.contain(`cannot listen on 127.0.0.1:${port}: another program uses this port`);
		});

		it('prints its help', async () => {
			const { code, output } = await run('--help');
			expect(code).to.equal(0);
			expect(output).to.contain('--dev').and.contain('--data');
		});
	});
});
