/** A real hostd under its operator's policy, and who can reach its local API: as an owner and as another user meet it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
	chmodSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	rmSync,
	statSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { type Beectl, createBeectl } from '../../../scripts/quickstart/beectl.ts';
import type { EnrolledMesh } from '../../../scripts/quickstart/mesh.ts';
import { command } from './commands.ts';
import { createTestMesh, type HostDaemon, startDaemon } from './host-daemon.ts';

const ROOT = join(import.meta.dirname, '../../..');
const NOBODY = 65_534;
/** Says `connected`, or the error's code. */
const CONNECT = `require('node:net').connect(process.argv[1])
	.on('connect', function () { console.log('connected'); this.destroy(); })
	.on('error', ({ code }) => console.log(code));`;

const manifestOf = (name: string, podFields: string): string => `apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}}
spec:
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec:
      ${podFields}
      containers:
        - name: main
          image: idle
          resources: {requests: {cpu: 10m, memory: 16Mi}}
`;

describe('end-to-end host policy and local API', function () {
	this.timeout(60_000);

	const folder = mkdtempSync(join(tmpdir(), 'bm-policy-'));
	const policy = join(folder, 'policy.json');
	let host: HostDaemon;
	let beectl: Beectl;
	let mesh: EnrolledMesh;

	const start = (name: string): Promise<HostDaemon> =>
		startDaemon({
			...{ name, mesh },
			folder: join(folder, name),
			join: [],
			config: {
				...{ bind: '127.0.0.1', port: 0, runtime: 'process', policy },
				images: { idle: { command: ['/bin/sh', '-c', 'while :; do sleep 1; done'] } },
			},
		});
	const apply = (name: string, podFields: string): Promise<string> => {
		const file = join(folder, `${name}.yaml`);
		writeFileSync(file, manifestOf(name, podFields));
		return beectl.read('apply', '--wait', '--timeout', '30s', '-f', file);
	};

	before(async () => {
		await command(process.execPath, join(ROOT, 'scripts/build.ts'), '--bundles-only');
		mesh = await createTestMesh(folder);
		const key = join(folder, 'owner.key');
		beectl = createBeectl({
			...{ node: process.execPath, main: join(ROOT, 'beectl/bin/beectl.js') },
			...{ owner: key, mesh: mesh.file, socket: () => host.socket },
		});
		writeFileSync(policy, JSON.stringify({ default: { hostNetwork: true } }), { mode: 0o600 });
		host = await start('a');
		await beectl.read('owner', 'create', '--no-passphrase');
	});
	after(async () => {
		await host?.stop();
		rmSync(folder, { recursive: true, force: true });
	});

	it('tells an owner which field this host refuses and which key would allow it, and runs nothing', async () => {
		const error: unknown = await apply(
			'refused',
			'hostPID: false\n      volumes: [{name: v, hostPath: {path: /srv}}]',
		).catch((cause: unknown) => cause);
		expect((error as Error).message)
			.to.include("spec.template.spec.volumes[0].hostPath: refused by this host's policy")
			.and.to.include('"hostPaths": [{ "path": "/srv", "readOnly": true }] in hostd --policy');
		expect(await beectl.pods()).to.deep.equal([]);
	});

	it('runs what the operator allows', async () => {
		await apply('allowed', 'hostNetwork: true');
		expect((await beectl.pods()).map(({ workload, ready }) => [workload, ready])).to.deep.equal([['allowed', true]]);
	});

	it('does not start under a policy file that others can write', async () => {
		const loose = join(folder, 'loose.json');
		writeFileSync(loose, '{}');
		chmodSync(loose, 0o666);
		const child = spawn(
			process.execPath,
			[join(ROOT, 'hostd/dist/bundle/main.mjs'), '--runtime', 'process', '--policy', loose].concat([
				...['--state-dir', join(folder, 'loose'), '--socket', join(folder, 'loose/run/s')],
			]),
			{ stdio: ['ignore', 'ignore', 'pipe'] },
		);
		const [output, exitCode] = await outputOf(child, 'stderr');
		expect(exitCode).to.equal(2);
		expect(output).to.include(loose).and.to.include('can be written by other users');
	});

	it('has its socket 0600 in a folder 0700, and no TCP listener', () => {
		expect(statSync(host.socket).mode & 0o777).to.equal(0o600);
		expect(statSync(dirname(host.socket)).mode & 0o777).to.equal(0o700);
		expect(statSync(dirname(host.socket)).uid).to.equal(process.getuid?.());
		const pods = join(dirname(host.socket), 'pods');
		for (const pod of readdirSync(pods)) {
			expect(statSync(join(pods, pod)).mode & 0o777).to.equal(0o700);
			expect(statSync(join(pods, pod, 'pod.sock')).mode & 0o777).to.equal(0o600);
		}
		expect(tcpListeners(host.process.pid ?? 0)).to.deep.equal([]);
	});

	it('has given its native threads two arenas of memory, under the process id that it was started with', () => {
		expect(readFileSync(`/proc/${host.process.pid}/environ`, 'latin1').split('\0')).to.include('MALLOC_ARENA_MAX=2');
	});

	if (process.getuid?.() === 0) {
		it('lets no other user connect: not into the folder, and not to the socket in an open one', async () => {
			const connect = async (uid: number): Promise<string> => {
				const child = spawn(process.execPath, ['-e', CONNECT, host.socket], {
					...{ uid, gid: uid, cwd: '/', env: {}, stdio: ['ignore', 'pipe', 'ignore'] },
				});
				return (await outputOf(child, 'stdout'))[0].trim();
			};
			// What lies above is open to everybody, so that the folder of the socket is what keeps them out.
			for (const above of [folder, dirname(dirname(host.socket))]) chmodSync(above, 0o755);
			expect(await connect(0)).to.equal('connected');
			expect(await connect(NOBODY)).to.equal('EACCES');
			chmodSync(dirname(host.socket), 0o755);
			try {
				expect(await connect(NOBODY)).to.equal('EACCES');
			} finally {
				chmodSync(dirname(host.socket), 0o700);
			}
		});
	}
});

async function outputOf(child: ChildProcess, stream: 'stdout' | 'stderr'): Promise<[string, number | null]> {
	let output = '';
	child[stream]?.setEncoding('utf8').on('data', (text: string) => {
		output += text;
	});
	const [exitCode] = (await once(child, 'close')) as [number | null];
	return [output, exitCode];
}

/** Local addresses on which a process listens, from the kernel's tables (proc(5)). */
function tcpListeners(pid: number): string[] {
	const own = new Set(
		readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
			try {
				return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
			} catch {
				return [];
			}
		}),
	);
	expect(own.size).to.be.greaterThan(0);
	return ['tcp', 'tcp6'].flatMap((table) =>
		readFileSync(`/proc/${pid}/net/${table}`, 'utf8')
			.trim()
			.split('\n')
			.slice(1)
			.map((line) => line.trim().split(/\s+/))
			.filter((columns) => columns[3] === '0A' && own.has(columns[9] ?? ''))
			.map((columns) => columns[1] ?? ''),
	);
}
