/** The process runtime under the contract of all runtimes, and what only it promises. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isMeshError } from '@beemesh/sdk/errors';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { identify, isAlive, signalGroup } from '../proc.ts';
import { ProcessRuntime } from '../process/index.ts';
import type { PodStart } from '../runtime.ts';
import { runtimeContract } from './contract.ts';
import { collect, nextEvent, PodMaker, published, type RuntimeHarness, runToExit } from './harness.ts';

const PROBE = join(import.meta.dirname, 'probe.sh');
const SERVE = `require('net').createServer(s => s.end('hello')).listen(+process.argv[1], '127.0.0.1', () => console.log('serving'))`;

async function processHarness(): Promise<RuntimeHarness & { readonly stateDir: string }> {
	const stateDir = mkdtempSync(join(tmpdir(), 'beemesh-process-'));
	const image = 'localhost/beemesh/probe:1';
	return {
		stateDir,
		image,
		open: async () => new ProcessRuntime({ stateDir, images: { [image]: { command: ['/bin/sh', PROBE] } } }),
		probe: (...args) => ({ command: ['/bin/sh', PROBE], args }),
		serve: (port) => ({ image, command: [process.execPath], args: ['-e', SERVE, String(port)] }),
		close: async () => rmSync(stateDir, { recursive: true, force: true }),
	};
}

runtimeContract('process', processHarness, { installation: 'it is built in' });

describe('process runtime on its own', function () {
	this.timeout(60_000);
	let harness: Awaited<ReturnType<typeof processHarness>>;
	let pods: PodMaker;

	before(async () => {
		harness = await processHarness();
		pods = new PodMaker();
	});
	after(async () => {
		await using runtime = await harness.open();
		for (const pod of await runtime.list()) await runtime.remove(pod.podId);
		pods.remove();
		await harness.close();
	});

	it('keeps a pod running, logging and reporting its exit code while hostd is killed and away', async () => {
		const first = pods.make(harness, ['tick']);
		const second = pods.make(harness, ['say', '6', 'gone meanwhile'], { start: { podId: 'short-0' } });
		await using hostd = await killedHostd(harness, [first, second]);
		await using runtime = await harness.open();
		expect((await runtime.inspect(first.podId))?.containers[0]?.state).to.include({
			state: 'running',
			pid: hostd.pids[0],
		});
		const lines: string[] = [];
		for await (const { line } of runtime.logs(first.podId, { follow: true })) {
			lines.push(line);
			if (lines.length >= 10) break;
		}
		expect(lines.slice(0, 10)).to.deep.equal(Array.from({ length: 10 }, (_, index) => `tick ${index + 1}`));
		const ended = (await runtime.inspect(second.podId))?.containers[0]?.state;
		expect(ended).to.include({ state: 'exited', exitCode: 6, reason: 'Error' });
	});

	it('says Unknown for an end that nobody saw', async () => {
		const spec = pods.make(harness, ['idle']);
		await using hostd = await killedHostd(harness, [spec]);
		process.kill(-(hostd.pids[0] ?? 0), 'SIGKILL');
		await using runtime = await harness.open();
		const state = () => runtime.inspect(spec.podId).then((pod) => pod?.containers[0]?.state);
		if ((await state())?.state === 'running') {
			await nextEvent(runtime, (event) => event.podId === spec.podId && event.type === 'exited');
		}
		expect(await state()).to.include({ state: 'exited', exitCode: 255, reason: 'Unknown' });
	});

	it('ends what a command leaves behind in its group', async () => {
		await using runtime = await harness.open();
		const command = ['/bin/sh', '-c', 'sleep 1000 & echo $!'];
		const spec = pods.make(harness, ['idle'], { container: { command, args: [] } });
		await runToExit(runtime, spec);
		const [line] = await collect(runtime.logs(spec.podId));
		const left = identify(Number(line?.line));
		// Killed, but for the kernel to finish: the test's deadline is the only limit on that.
		while (left && isAlive(left)) await new Promise((resolve) => setImmediate(resolve));
	});

	it('tells a process started in place from its predecessor by BEEMESH_INCARNATION', async () => {
		await using runtime = await harness.open();
		const spec = pods.make(harness, ['show', 'BEEMESH_INCARNATION']);
		await runToExit(runtime, spec);
		const exited = nextEvent(runtime, (event) => event.podId === spec.podId && event.type === 'exited');
		await runtime.restart(spec.podId);
		await exited;
		const lines = (await collect(runtime.logs(spec.podId))).map(({ line }) => line);
		expect(lines).to.deep.equal(['BEEMESH_INCARNATION=0', 'BEEMESH_INCARNATION=1']);
	});

	it('refuses to map a port', async () => {
		await using runtime = await harness.open();
		const spec = pods.make(harness, ['idle'], { start: { ports: [published(18080, 80)] } });
		const error = await runtime.start(spec).then(
			() => undefined,
			(refused: unknown) => refused,
		);
		if (!isMeshError(error, 'invalid_input')) throw error;
		expect(error.message).to.include('ports[0]').and.to.include('18080');
	});

	it('keeps at most two log files of 10 MiB, and the newest lines', async () => {
		await using runtime = await harness.open();
		const script = `for (let i = 0; i < 250000; i++) console.log('line ' + i + ' ' + 'x'.repeat(100))`;
		const spec = pods.make(harness, ['idle'], { container: { command: [process.execPath, '-e', script], args: [] } });
		await runToExit(runtime, spec);
		const lines = await collect(runtime.logs(spec.podId));
		expect(lines.at(-1)?.line).to.match(/^line 249999 /);
		expect(lines.length).to.be.within(50_000, 200_000);
	});
});

/** Starts pods from a process that is then killed without a chance to tidy up, as hostd may be. */
async function killedHostd(harness: { readonly stateDir: string }, specs: readonly PodStart[]) {
	const script = join(import.meta.dirname, 'start-and-hang.ts');
	const input = JSON.stringify({ stateDir: harness.stateDir, specs });
	const child = spawn(process.execPath, ['--conditions=source', script], { stdio: ['pipe', 'pipe', 'inherit'] });
	child.stdin.end(input);
	const [chunk] = (await once(child.stdout, 'data')) as [Buffer];
	child.kill('SIGKILL');
	await once(child, 'exit');
	const pids = JSON.parse(chunk.toString()) as number[];
	return {
		pids,
		async [Symbol.asyncDispose]() {
			for (const pid of pids) signalGroup(pid, 'SIGKILL');
		},
	};
}
