/**
 * `npm run quickstart`: a whole mesh on this machine, from nothing to a replicated app. `-- --check` proves that it heals
 * and leaves nothing behind.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { readOptions, UsageError } from './command-line.ts';
import { createBeectl } from './quickstart/beectl.ts';
import { check } from './quickstart/check.ts';
import { type Host, type HostSettings, startHost } from './quickstart/hosts.ts';
import { createMesh } from './quickstart/mesh.ts';
import { podmanSettings, removePodmanStorage } from './quickstart/podman.ts';
import { claimRunDir, endEverything, RUN_DIR } from './quickstart/processes.ts';
import { processSettings } from './quickstart/runtimes.ts';

const HELP = `npm run quickstart -- [options]

Starts hosts on this machine, applies examples/kv-store and examples/web-frontend, and shows what happens.
Ctrl-C stops and cleans up everything.

  --check           do it without a person: write through the page, kill the leader's host, prove that nothing is
                    lost and everything runs again; ends with one JSON line
  --runtime NAME    process (default: plain processes, nothing to install) or podman (containers)
  --hosts N         number of hosts, 2 to 16 (default 3)
  --help
`;

const root = join(import.meta.dirname, '..');
if (process.argv.includes('--help')) {
	process.stdout.write(HELP);
	process.exit(0);
}
const values = typed();
const hostCount = Number(values.hosts);
if (!Number.isInteger(hostCount) || hostCount < 2 || hostCount > 16) usage('--hosts takes a whole number from 2 to 16');

if (values.runtime !== 'process' && values.runtime !== 'podman') usage('--runtime is process or podman');

const say = (text: string): void => {
	process.stderr.write(`${text}\n`);
};

let stopping: Promise<void> | undefined;
const stop = (exitCode: number): Promise<void> => {
	stopping ??= (async () => {
		say('\nStopping the hosts and removing what they ran …');
		await endEverything(removePodmanStorage);
		process.exit(exitCode);
	})();
	return stopping;
};
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => void stop(values.check ? 1 : 0));

try {
	await quickstart();
} catch (error) {
	if (stopping === undefined) {
		say(`\nquickstart failed: ${(error as Error).message}`);
		await stop(1);
	}
}

async function quickstart(): Promise<void> {
	const { cleaned } = await claimRunDir(removePodmanStorage);
	if (cleaned > 0) say(`Cleaned up ${cleaned} processes of an earlier quickstart.`);

	step('Building hostd, beectl and the examples');
	const node = process.execPath;
	run(node, ['--conditions=source', join(root, 'scripts/build.ts'), '--bundles-only']);
	const hostd = join(root, 'hostd/dist/bundle/main.mjs');
	const beectlMain = join(root, 'beectl/dist/bundle/main.mjs');

	step('Making a mesh, and enrolling its machines as they start');
	const mesh = await createMesh({ node, hostd, beectl: beectlMain }, join(RUN_DIR, 'mesh'));
	const settings: HostSettings = {
		...{ node, mesh, main: hostd },
		...(values.runtime === 'podman' ? await podmanSettings(root, say) : processSettings(root, node)),
	};

	step(`Starting ${hostCount} hosts (${values.runtime} runtime)`);
	const first = await startHost('host-1', [], settings);
	const others = Array.from({ length: hostCount - 1 }, (_, i) => startHost(`host-${i + 2}`, [first.address], settings));
	const hosts: Host[] = [first, ...(await Promise.all(others))];
	for (const host of hosts)
		say(`  ${host.name}  pid ${host.pid}  ${host.address}  in ${Math.round(host.startedInMs)} ms`);

	const owner = join(RUN_DIR, 'owner.key');
	let entry = first;
	const beectl = createBeectl({ node, main: beectlMain, owner, mesh: mesh.file, socket: () => entry.socket });
	await beectl.read('owner', 'create', '--no-passphrase');
	await allHostsFound(beectl, hosts.length);
	await beectl.show('get', 'hosts');

	step('Applying examples/kv-store and examples/web-frontend');
	const beganMs = performance.now();
	await beectl.show(
		...['apply', '-f', join(root, 'examples/kv-store/kv-store.yaml')],
		...['-f', join(root, 'examples/web-frontend/web-frontend.yaml'), '--wait', '--timeout', '60s'],
	);
	const readyMs = Math.round(performance.now() - beganMs);
	await beectl.show('get', 'pods', '-o', 'wide');
	say(`  ready in ${readyMs} ms`);

	if (values.check) {
		const result = await check({ hosts, beectl, useHost: (host) => (entry = host), step, say });
		await endEverything(removePodmanStorage);
		process.stdout.write(`${JSON.stringify({ ok: true, readyMs, ...result })}\n`);
		process.exit(0);
	}

	const page = (await beectl.pods()).find((pod) => pod.workload === 'web-frontend')?.endpoints[0]?.address;
	const run_ = `npx beectl --host ${first.socket} --owner ${owner} --mesh ${mesh.file}`;
	say(`
Open  http://${page}

Try, in another terminal:
  export BEEMESH_HOST=${first.socket} BEEMESH_OWNER=${owner} BEEMESH_MESH=${mesh.file}
  npx beectl get pods -o wide
  npx beectl logs -f kv-store-0
  npx beectl scale deployment/web-frontend --replicas=3
  kill -9 ${hosts.at(-1)?.pid}                  # kill the daemon of ${hosts.at(-1)?.name}: its pods run on, and are adopted by the next hostd
  ${run_} get hosts

Ctrl-C stops and cleans up everything.`);
	await new Promise(() => setInterval(() => {}, 60_000));
}

async function allHostsFound(beectl: ReturnType<typeof createBeectl>, count: number): Promise<void> {
	const until = Date.now() + 15_000;
	for (;;) {
		const { items } = JSON.parse(await beectl.read('get', 'hosts', '-o', 'json')) as { items: unknown[] };
		if (items.length >= count) return;
		if (Date.now() > until) throw new Error(`only ${items.length} of ${count} hosts found each other in 15 s`);
	}
}

function step(text: string): void {
	say(`\n▸ ${text}`);
}

function run(command: string, args: readonly string[]): void {
	mkdirSync(RUN_DIR, { recursive: true });
	const { status } = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'], cwd: root });
	if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}`);
}

function typed() {
	try {
		return readOptions(process.argv.slice(2), {
			check: { type: 'boolean', default: false },
			runtime: { type: 'string', default: 'process' },
			hosts: { type: 'string', default: '3' },
		});
	} catch (error) {
		if (error instanceof UsageError) usage(error.message);
		throw error;
	}
}

function usage(message: string): never {
	process.stderr.write(`${message}; see npm run quickstart -- --help\n`);
	process.exit(2);
}
