/** Real hosts of an enrolled mesh, and the workloads that their owner applies before its key is deleted. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readOwnerKey } from '../../beectl/src/owner/key-file.ts';
import { createTestMesh, type HostDaemon, startDaemon } from '../../hostd/test/e2e/host-daemon.ts';
import { bundle } from '../bundle.ts';
import { createBeectl } from '../quickstart/beectl.ts';
import type { ObserverOptions } from './observer.ts';

const root = join(import.meta.dirname, '../..');
const HOSTS = ['a', 'b', 'c', 'd'];

export interface Workload {
	readonly name: string;
	readonly kind: 'Deployment' | 'StatefulSet';
	readonly replicas: number;
}

export interface KillMesh {
	readonly hosts: readonly HostDaemon[];
	/** What an observer needs; nobody has the rest of the owner's key any more. */
	readonly observer: ObserverOptions;
	/** Starts hostd again where it was killed. */
	restart(host: HostDaemon): Promise<void>;
	/** Ends every hostd at once; pods are left. */
	stop(): void;
}

export async function startMesh(
	folder: string,
	journal: string,
	workloads: readonly Workload[],
	say: (what: string) => void,
): Promise<KillMesh> {
	await bundle(join(root, 'hostd/src/main.ts'), join(root, 'hostd/dist/bundle'));
	await bundle(join(root, 'beectl/src/main.ts'), join(root, 'beectl/dist/bundle'));
	await bundle(join(import.meta.dirname, 'app.ts'), join(folder, 'app'));
	const mesh = await createTestMesh(folder);
	const images = Object.fromEntries(
		['deployment', 'statefulset'].map((kind) => {
			const command = [process.execPath, join(folder, 'app/main.mjs'), journal, join(folder, 'cache'), kind];
			return [`kills-${kind}`, { command }];
		}),
	);
	const hosts: HostDaemon[] = [];
	const start = (name: string, joins: readonly string[]): Promise<HostDaemon> =>
		startDaemon({
			...{ name, mesh, folder: join(folder, name), join: joins },
			config: { bind: '127.0.0.1', port: 0, runtime: 'process', images },
		});
	const stop = (): void => {
		for (const host of hosts) host.process.kill('SIGKILL');
	};
	try {
		for (const name of HOSTS) hosts.push(await start(name, hosts[0] === undefined ? [] : [hosts[0].address]));
		say(`hosts ${HOSTS.join(', ')} run`);

		const owner = join(folder, 'owner');
		const key = join(owner, 'owner.key');
		const beectl = createBeectl({
			...{ node: process.execPath, main: join(root, 'beectl/dist/bundle/main.mjs') },
			...{ owner: key, mesh: mesh.file, socket: () => (hosts[0] as HostDaemon).socket },
		});
		await beectl.read('owner', 'create', '--no-passphrase');
		for (const workload of workloads) writeFileSync(join(folder, `${workload.name}.json`), manifestOf(workload));
		for (const { name } of workloads)
			await beectl.read('apply', '--timeout', '90s', '-f', join(folder, `${name}.json`));
		const { signer, psk } = await readOwnerKey(key, { forExisting: async () => '', forNew: async () => '' });
		const observer = { owner: signer.publicKey, psk };
		rmSync(owner, { recursive: true });
		rmSync(mesh.file);
		say(
			`${workloads.map(({ name, replicas }) => `${name} (${replicas})`).join(', ')} are applied; the owner's key is gone`,
		);
		return {
			...{ hosts, observer, stop },
			async restart(host) {
				const others = hosts.filter((other) => other !== host && isRunning(other));
				hosts[hosts.indexOf(host)] = await start(
					host.name,
					others.map(({ address }) => address),
				);
			},
		};
	} catch (error) {
		stop();
		throw error;
	}
}

function manifestOf({ name, kind, replicas }: Workload): string {
	const isStateful = kind === 'StatefulSet';
	const labels = { app: name };
	return JSON.stringify({
		apiVersion: 'apps/v1',
		kind,
		metadata: { name },
		spec: {
			replicas,
			selector: { matchLabels: labels },
			...(isStateful ? { serviceName: name, podManagementPolicy: 'Parallel' } : {}),
			template: {
				metadata: { labels },
				spec: {
					terminationGracePeriodSeconds: 2,
					containers: [
						{
							name: 'main',
							image: `kills-${kind.toLowerCase()}`,
							resources: { requests: { cpu: '5m', memory: '16Mi' } },
							...(isStateful ? { volumeMounts: [{ name: 'data', mountPath: '/data' }] } : {}),
						},
					],
				},
			},
			...(isStateful
				? {
						volumeClaimTemplates: [
							{
								metadata: { name: 'data' },
								spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '16Mi' } } },
							},
						],
					}
				: {}),
		},
	});
}

function isRunning({ process: child }: HostDaemon): boolean {
	return child.exitCode === null && child.signalCode === null;
}
