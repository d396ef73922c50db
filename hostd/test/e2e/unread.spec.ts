/**
 * What a workload is, is known to its owner and to the host that runs it: an owner leads one from its first apply to its
 * end through another host, and neither that host nor a third one has a word of it in its memory or its log.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { type Beectl, createBeectl } from '../../../scripts/quickstart/beectl.ts';
import { command, findProcesses, skipLoudly } from './commands.ts';
import { createTestMesh, type HostDaemon, startDaemon } from './host-daemon.ts';
import { wordsInMemory } from './process-memory.ts';

const ROOT = join(import.meta.dirname, '../../..');
const IMAGE = 'localhost/test/parrot:1';
// It joins its workload, so that its request for admission passes through the host that its owner speaks through.
const PARROT = `
import { joinWorkplane } from '@beemesh/sdk';
console.log('log-' + process.env.TOKEN);
await joinWorkplane();
setInterval(() => {}, 60000);
`;
// Made at run time, so that no program has them among its constants.
const word = (what: string): string => `${what}-${process.pid.toString(36)}x${Date.now().toString(36)}`;

describe('end-to-end privacy of a workload', function () {
	if (process.platform !== 'linux') {
		skipLoudly('looks into memory as Linux shows it');
		return;
	}
	this.timeout(60_000);
	const folder = mkdtempSync(join(tmpdir(), 'bm-unread-'));
	const daemons: HostDaemon[] = [];
	const secrets = {
		name: word('nm'),
		namespace: word('ns'),
		container: word('ct'),
		label: word('lb'),
		token: word('tk'),
	};
	const words = Object.values(secrets);
	let beectl: Beectl;

	before(async () => {
		await command(process.execPath, join(ROOT, 'scripts/build.ts'), '--bundles-only');
		const mesh = await createTestMesh(folder);
		for (const name of ['a', 'b', 'c']) {
			const [entry] = daemons;
			const program = [process.execPath, '--conditions=source', '--input-type=module', '-e', PARROT];
			const images = { [IMAGE]: { command: program, cwd: join(ROOT, 'hostd') } };
			daemons.push(
				await startDaemon({
					...{ name, mesh, folder: join(folder, name), join: entry === undefined ? [] : [entry.address] },
					config: { bind: '127.0.0.1', port: 0, runtime: 'process', images, logLevel: 'debug' },
					labels: { seat: name },
				}),
			);
		}
		beectl = createBeectl({
			...{ node: process.execPath, main: join(ROOT, 'beectl/bin/beectl.js') },
			...{ owner: join(folder, 'owner.key'), mesh: mesh.file, socket: () => (daemons[0] as HostDaemon).socket },
		});
		await beectl.read('owner', 'create', '--no-passphrase');
	});
	after(async () => {
		await Promise.all(daemons.map((daemon) => daemon.stop()));
		for (const { pid } of findProcesses(({ commandLine }) => commandLine.includes(folder)))
			process.kill(pid, 'SIGKILL');
		rmSync(folder, { recursive: true, force: true });
	});

	const manifest = (replicas: number): string =>
		JSON.stringify({
			apiVersion: 'apps/v1',
			kind: 'Deployment',
			metadata: { name: secrets.name, namespace: secrets.namespace, labels: { team: secrets.label } },
			spec: {
				replicas,
				selector: { matchLabels: { app: secrets.label } },
				template: {
					metadata: { labels: { app: secrets.label } },
					spec: {
						nodeSelector: { seat: 'c' },
						containers: [{ name: secrets.container, image: IMAGE, env: [{ name: 'TOKEN', value: secrets.token }] }],
					},
				},
			},
		});

	it('is kept from the host that its owner speaks through, and from those that do not run it', async () => {
		const file = join(folder, 'app.yaml');
		const inNamespace = ['-n', secrets.namespace];
		writeFileSync(file, manifest(1));
		await beectl.read('apply', '-f', file, '--wait');
		writeFileSync(file, manifest(2));
		await beectl.read('apply', '-f', file);
		expect(await beectl.read('get', 'pods', ...inNamespace)).to.contain(secrets.name);
		expect(await beectl.read('describe', 'deployment', secrets.name, ...inNamespace)).to.contain(secrets.token);
		expect(await beectl.read('logs', `deployment/${secrets.name}`, ...inNamespace)).to.contain(`log-${secrets.token}`);

		const [a, b, c] = daemons as [HostDaemon, HostDaemon, HostDaemon];
		const pidOf = ({ process: child }: HostDaemon): number => child.pid ?? 0;
		expect(await wordsInMemory(pidOf(c), words), 'the host that runs it').to.deep.equal(words);
		for (const [host, whose] of [
			[a, 'the entry host'],
			[b, 'a host with no part in it'],
		] as const) {
			expect(await wordsInMemory(pidOf(host), words), whose).to.deep.equal([]);
			for (const secret of words) expect(host.log(), `the log of ${whose}`).not.to.contain(secret);
		}

		await beectl.read('delete', `deployment/${secrets.name}`, ...inNamespace, '--wait');
		for (const host of [a, b]) expect(await wordsInMemory(pidOf(host), words), 'after its end').to.deep.equal([]);
	});

	it('that no host takes says why to its owner alone', async () => {
		const file = join(folder, 'refused.yaml');
		const refused = JSON.parse(manifest(1)) as { metadata: { name: string }; spec: { template: { spec: object } } };
		const secretPath = word('/pth');
		refused.metadata.name = word('rf');
		Object.assign(refused.spec.template.spec, { volumes: [{ name: 'v', hostPath: { path: secretPath } }] });
		writeFileSync(file, JSON.stringify(refused));
		const error = await beectl.read('apply', '-f', file).catch((thrown: Error) => thrown.message);
		expect(error).to.contain('hostPath');
		const hidden = [secretPath, refused.metadata.name];
		for (const host of daemons.slice(0, 2))
			expect(await wordsInMemory(host.process.pid ?? 0, hidden), host.name).to.deep.equal([]);
	});
});
