/** The contract of `Runtime`, run by every implementation. A test that a runtime cannot pass says why it is skipped. */
import { connect } from 'node:net';
import { isMeshError, type MeshCode } from '@beemesh/sdk/errors';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import { REFUSED_PODS } from '../../policy/test/refused-pods.ts';
import type { Runtime, RuntimeEvent, RuntimePod } from '../runtime.ts';
import {
	asking,
	collect,
	freePort,
	nextEvent,
	PodMaker,
	published,
	type RuntimeHarness,
	runToExit,
	waitForLine,
} from './harness.ts';

async function refusal(promise: Promise<unknown>, code: MeshCode): Promise<Error> {
	try {
		await promise;
	} catch (error) {
		if (isMeshError(error, code)) return error;
		throw error;
	}
	throw new Error(`expected a refusal with code ${code}`);
}

/** Defines a test, or says why this runtime has none. */
function unless(reason: string | undefined, title: string, test: () => Promise<void>): void {
	if (reason === undefined) it(title, test);
	else before(() => console.log(`      not run: ${title}: ${reason}`));
}

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('utf8').trim();

/** What a runtime does not have; each is told with its reason, and its tests are not run for it. */
export interface Absent {
	readonly installation?: string;
	readonly network?: string;
	readonly memoryLimit?: string;
}

export function runtimeContract(name: string, makeHarness: () => Promise<RuntimeHarness>, absent: Absent = {}): void {
	describe(`${name} runtime keeps the contract`, function () {
		this.timeout(60_000);
		let harness: RuntimeHarness;
		let runtime: Runtime;
		let pods: PodMaker;

		before(async () => {
			pods = new PodMaker();
			harness = await makeHarness();
			runtime = await harness.open();
		});
		afterEach(async () => {
			for (const pod of await runtime.list()) await runtime.remove(pod.podId);
			for (const volume of await runtime.volumes()) await runtime.removeVolume(volume);
		});
		after(async () => {
			await runtime?.[Symbol.asyncDispose]();
			await harness?.close();
			pods.remove();
		});

		it('says which version it is when it can be used', async () => {
			expect(await runtime.check()).to.match(/[0-9]/);
		});

		unless(absent.installation, 'says what to install when it cannot be used', async () => {
			const unusable = harness.unusable?.();
			if (!unusable) throw new Error('the harness offers no unusable runtime');
			const error = await refusal(unusable.check(), 'unavailable');
			expect(error.message).to.include('apt-get install podman').and.to.include('--runtime process');
			await unusable[Symbol.asyncDispose]();
		});

		describe('start', () => {
			it('runs a container and reports it', async () => {
				const spec = pods.make(harness, ['idle']);
				const started = nextEvent(runtime, (event) => event.type === 'started' && event.podId === spec.podId);
				const before = Date.now();
				const pod = await runtime.start(spec);
				expect(pod).to.include({ podId: spec.podId });
				expect(pod.labels).to.include(spec.labels);
				expect(pod.containers).to.have.length(1);
				const [container] = pod.containers;
				expect(container?.name).to.equal('main');
				expect(container?.image).to.equal(harness.image);
				const state = container?.state;
				if (state?.state !== 'running') throw new Error(`is ${state?.state}`);
				expect(state.startedAtMs).to.be.within(before - 2000, Date.now() + 2000);
				expect((await started).container).to.equal('main');
				expect((await runtime.list()).map((each) => each.podId)).to.deep.equal([spec.podId]);
				expect(await runtime.inspect(spec.podId)).to.deep.equal(pod);
			});

			it('runs several containers in one pod', async () => {
				const spec = pods.make(harness, ['idle']);
				const second = { name: 'second', image: harness.image, ...harness.probe('idle') };
				const containers = [...spec.pod.spec.containers, second];
				const pod = await runtime.start({ ...spec, pod: { ...spec.pod, spec: { ...spec.pod.spec, containers } } });
				const states = (now: RuntimePod) => now.containers.map(({ name, state }) => [name, state.state]);
				expect(states(pod)).to.deep.equal([
					['main', 'running'],
					['second', 'running'],
				]);
				await waitForLine(runtime, spec.podId, 'ready');
				await runtime.stop(spec.podId, 5000, ['main']);
				const stopped = await runtime.inspect(spec.podId);
				expect(stopped && states(stopped)).to.deep.equal([
					['main', 'exited'],
					['second', 'running'],
				]);
				expect(states(await runtime.restart(spec.podId, ['main']))).to.deep.equal(states(pod));
			});

			it('refuses a pod that exists and leaves it as it is', async () => {
				const spec = pods.make(harness, ['idle']);
				const pod = await runtime.start(spec);
				const error = await refusal(runtime.start(spec), 'conflict');
				expect(error.message).to.include(spec.podId);
				expect(await runtime.inspect(spec.podId)).to.deep.equal(pod);
			});

			it('refuses an image that is not here, by name, and leaves nothing behind', async () => {
				const { command: _command, ...rest } = harness.probe('idle');
				const spec = pods.make(harness, ['idle']);
				const container = { name: 'main', image: 'localhost/no-such-image:1', ...rest };
				const pod = { ...spec.pod, spec: { ...spec.pod.spec, containers: [container] } };
				const error = await refusal(runtime.start({ ...spec, pod }), 'not_found');
				expect(error.message).to.include('localhost/no-such-image:1');
				expect(await runtime.list()).to.deep.equal([]);
			});

			it('refuses a command that cannot be executed and leaves nothing behind', async () => {
				const spec = pods.make(harness, ['idle'], { container: { command: ['/no/such/program'], args: [] } });
				const error = await refusal(runtime.start(spec), 'invalid_input');
				expect(error.message).to.include('/no/such/program');
				expect(await runtime.list()).to.deep.equal([]);
				expect(await runtime.inspect(spec.podId)).to.equal(undefined);
			});

			it('refuses a claim without a volume, by its field', async () => {
				const spec = pods.make(harness, ['idle'], {
					spec: { volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'lost' } }] },
				});
				const error = await refusal(runtime.start(spec), 'invalid_input');
				expect(error.message).to.include('spec.volumes[0].persistentVolumeClaim.claimName').and.to.include('lost');
			});

			it('refuses a pod name that could leave its folder', async () => {
				await refusal(runtime.start(pods.make(harness, ['idle'], { start: { podId: '../x' } })), 'invalid_input');
			});

			it('knows which images are here', async () => {
				expect(await runtime.hasImage(harness.image)).to.equal(true);
				expect(await runtime.hasImage('localhost/no-such-image:1')).to.equal(false);
			});
		});

		describe('environment and arguments', () => {
			it("gives the manifest's variables in order, expanded, and lets BEEMESH_* win", async () => {
				const spec = pods.make(harness, ['show', 'GREETING', 'PLAIN', 'BEEMESH_POD', 'ESCAPED', 'OPEN'], {
					container: {
						env: [
							{ name: 'NAME', value: 'bee' },
							{ name: 'GREETING', value: 'hello $(NAME) of $(BEEMESH_POD)' },
							{ name: 'PLAIN', value: 'cost: 5$' },
							{ name: 'BEEMESH_POD', value: 'forged' },
							{ name: 'ESCAPED', value: '$$(NAME)' },
							{ name: 'OPEN', value: '$(NOBODY)' },
						],
					},
				});
				await runToExit(runtime, spec);
				const lines = (await collect(runtime.logs(spec.podId))).map(({ line }) => line);
				expect(lines).to.deep.equal([
					`GREETING=hello bee of ${spec.podId}`,
					'PLAIN=cost: 5$',
					`BEEMESH_POD=${spec.podId}`,
					'ESCAPED=$(NAME)',
					'OPEN=$(NOBODY)',
				]);
			});

			it('expands variables in the command line', async () => {
				const spec = pods.make(harness, [
					'say',
					'0',
					'i am $(BEEMESH_POD)',
					'$$(BEEMESH_POD)',
					'$(NOBODY)',
					'a$$b',
					'$HOME',
				]);
				await runToExit(runtime, spec);
				const lines = await collect(runtime.logs(spec.podId));
				expect(lines.filter((line) => line.stream === 'stdout').map(({ line }) => line)).to.deep.equal([
					`i am ${spec.podId}`,
					'$(BEEMESH_POD)',
					'$(NOBODY)',
					'a$b',
					'$HOME',
				]);
			});
		});

		describe('text', () => {
			it('reaches the container as it is, whatever it looks like', async () => {
				const words = [
					'true',
					'null',
					'~',
					'010',
					'1e3',
					'2026-01-01',
					'- a',
					'a: b',
					'# c',
					"it's",
					'"q"',
					'{a}',
					'[',
					'*x',
				];
				words.push(
					'&y',
					'!z',
					'%',
					'@',
					'`',
					' lead',
					'trail ',
					'é ✓ 🐝',
					'\ttab',
					'two\nlines',
					'a \n b\n\n- c: d',
					'---',
					'\\n',
				);
				words.push('x'.repeat(10_000));
				const spec = pods.make(harness, ['say', '0', ...words]);
				await runToExit(runtime, spec);
				const lines = await collect(runtime.logs(spec.podId));
				const text = lines.filter(({ stream }) => stream === 'stdout').map(({ line }) => line);
				expect(text.join('\n')).to.equal(words.join('\n'));
			});
		});

		describe('ends', () => {
			for (const [exitCode, reason] of [
				[0, 'Completed'],
				[7, 'Error'],
			] as const) {
				it(`reports exit code ${exitCode} as ${reason}, within 500 ms`, async () => {
					const spec = pods.make(harness, ['say', String(exitCode), 'bye']);
					const event = await runToExit(runtime, spec);
					const noticedAtMs = Date.now();
					expect(event).to.include({ type: 'exited', container: 'main', exitCode, reason });
					const state = (await runtime.inspect(spec.podId))?.containers[0]?.state;
					if (state?.state !== 'exited') throw new Error(`is ${state?.state}`);
					expect(state).to.include({ exitCode, reason });
					expect(noticedAtMs - state.finishedAtMs).to.be.below(500);
				});
			}

			it('restarts nothing by itself, but in place when asked', async () => {
				const spec = pods.make(harness, ['say', '3', 'again']);
				await runToExit(runtime, spec);
				expect((await runtime.inspect(spec.podId))?.containers[0]?.state.state).to.equal('exited');
				const exited = nextEvent(runtime, (event) => event.type === 'exited' && event.podId === spec.podId);
				await runtime.restart(spec.podId);
				expect((await exited).exitCode).to.equal(3);
				const lines = (await collect(runtime.logs(spec.podId))).filter(({ line }) => line === 'again');
				expect(lines.length).to.be.within(1, 2);
			});

			it('stops gently with SIGTERM and keeps the pod and its log', async () => {
				const spec = pods.make(harness, ['idle']);
				await runtime.start(spec);
				await waitForLine(runtime, spec.podId, 'ready');
				const exited = nextEvent(runtime, (event) => event.type === 'exited' && event.podId === spec.podId);
				const before = Date.now();
				await runtime.stop(spec.podId, 10_000);
				expect(Date.now() - before).to.be.below(5000);
				expect((await exited).exitCode).to.equal(0);
				expect((await runtime.inspect(spec.podId))?.containers[0]?.state).to.include({ state: 'exited', exitCode: 0 });
				expect((await collect(runtime.logs(spec.podId))).map(({ line }) => line)).to.include('terminated');
				await runtime.stop(spec.podId, 10_000);
			});

			it('kills after the grace what does not listen', async () => {
				const spec = pods.make(harness, ['stubborn']);
				await runtime.start(spec);
				await waitForLine(runtime, spec.podId, 'ready');
				const before = Date.now();
				await runtime.stop(spec.podId, 1000);
				expect(Date.now() - before).to.be.within(900, 8000);
				expect((await runtime.inspect(spec.podId))?.containers[0]?.state).to.include({
					state: 'exited',
					exitCode: 137,
					reason: 'SIGKILL',
				});
			});

			it('removes a running pod at once, and a second time without complaint', async () => {
				const spec = pods.make(harness, ['stubborn']);
				await runtime.start(spec);
				const removed = nextEvent(runtime, (event) => event.type === 'removed' && event.podId === spec.podId);
				await runtime.remove(spec.podId);
				await removed;
				expect(await runtime.list()).to.deep.equal([]);
				expect(await runtime.inspect(spec.podId)).to.equal(undefined);
				await runtime.remove(spec.podId);
				await runtime.stop(spec.podId, 0);
				await runtime.start(spec);
			});

			unless(absent.memoryLimit, 'kills for memory above the limit, and says so', async () => {
				expect(runtime.capabilities.enforcesMemoryLimit).to.equal(true);
				const spec = pods.make(harness, ['eat'], { container: { resources: { limits: { memory: '32Mi' } } } });
				const event = await runToExit(runtime, spec);
				expect(event).to.include({ exitCode: 137, reason: 'OOMKilled' });
			});
		});

		describe('logs', () => {
			it('keeps lines with stream and time, and serves the last ones', async () => {
				const before = Date.now();
				const spec = pods.make(harness, ['say', '0', 'one', 'two', 'three']);
				await runToExit(runtime, spec);
				const lines = await collect(runtime.logs(spec.podId));
				expect(lines.filter((line) => line.stream === 'stdout').map(({ line }) => line)).to.deep.equal([
					'one',
					'two',
					'three',
				]);
				expect(lines.filter((line) => line.stream === 'stderr').map(({ line }) => line)).to.deep.equal(['to stderr']);
				for (const { timeMs } of lines) expect(timeMs).to.be.within(before - 2000, Date.now() + 2000);
				expect(await collect(runtime.logs(spec.podId, { tail: 2 }))).to.have.length(2);
			});

			it('follows until aborted', async () => {
				const spec = pods.make(harness, ['tick']);
				await runtime.start(spec);
				const abort = new AbortController();
				const seen: string[] = [];
				for await (const { line } of runtime.logs(spec.podId, { follow: true, signal: abort.signal })) {
					seen.push(line);
					if (seen.length === 5) abort.abort();
				}
				expect(seen.slice(0, 5)).to.deep.equal(['tick 1', 'tick 2', 'tick 3', 'tick 4', 'tick 5']);
			});

			it('ends a followed log with the container', async () => {
				const spec = pods.make(harness, ['say', '0', 'last words']);
				await runtime.start(spec);
				const lines = await collect(runtime.logs(spec.podId, { follow: true }));
				expect(lines.map(({ line }) => line)).to.include('last words');
			});

			it('names what it does not have', async () => {
				const spec = pods.make(harness, ['idle']);
				expect((await refusal(collect(runtime.logs('nobody')), 'not_found')).message).to.include('nobody');
				await runtime.start(spec);
				const error = await refusal(collect(runtime.logs(spec.podId, { container: 'other' })), 'not_found');
				expect(error.message).to.include('other').and.to.include('main');
			});
		});

		describe("the host's policy", () => {
			for (const row of REFUSED_PODS) {
				it(`keeps out ${row.what}`, async () => {
					const spec = pods.make(harness, ['idle']);
					const error = await refusal(runtime.start({ ...spec, pod: asking(spec.pod, row) }), 'invalid_input');
					expect(error.message.split(": refused by this host's policy: ")[0]).to.equal(row.field);
					expect(await runtime.list()).to.deep.equal([]);
					expect(await runtime.volumes()).to.deep.equal([]);
				});
			}

			it('keeps out an image that its workload’s charter does not name', async () => {
				const spec = pods.make(harness, ['idle'], { start: { imageDigests: [`sha256:${'a'.repeat(64)}`] } });
				const error = await refusal(runtime.start(spec), 'invalid_input');
				expect(error.message).to.match(/^spec\.containers\[0\]\.image: refused/);
				expect(await runtime.list()).to.deep.equal([]);
			});
		});

		describe('volumes', () => {
			const volumes = [{ name: 'the-data', persistentVolumeClaim: { claimName: 'the-data-probe-0' } }];
			const container = { volumeMounts: [{ name: 'the-data', mountPath: '/data' }] };

			it('keeps a named volume when the pod goes', async () => {
				const start = { volumeNames: { 'the-data-probe-0': 'bm-default-the-data-probe-0' } };
				for (const [index, word] of ['first', 'second'].entries()) {
					const spec = pods.make(harness, ['keep', 'THE_DATA', word], { container, spec: { volumes }, start });
					await runToExit(runtime, spec);
					const lines = (await collect(runtime.logs(spec.podId))).map(({ line }) => line);
					expect(lines).to.deep.equal(['first', 'second'].slice(0, index + 1));
					await runtime.remove(spec.podId);
				}
				expect(await runtime.volumes()).to.deep.equal(['bm-default-the-data-probe-0']);
				await runtime.removeVolume('bm-default-the-data-probe-0');
				await runtime.removeVolume('bm-default-the-data-probe-0');
				expect(await runtime.volumes()).to.deep.equal([]);
			});

			it('gives each pod an empty emptyDir that outlives a restart in place', async () => {
				const change = { container, spec: { volumes: [{ name: 'the-data', emptyDir: {} }] } };
				for (let round = 0; round < 2; round++) {
					const spec = pods.make(harness, ['keep', 'THE_DATA', 'here'], change);
					await runToExit(runtime, spec);
					expect((await collect(runtime.logs(spec.podId))).map(({ line }) => line)).to.deep.equal(['here']);
					const exited = nextEvent(runtime, (event) => event.type === 'exited' && event.podId === spec.podId);
					await runtime.restart(spec.podId);
					await exited;
					const lines = await collect(runtime.logs(spec.podId, { tail: 2 }));
					expect(lines.map(({ line }) => line)).to.deep.equal(['here', 'here']);
					await runtime.remove(spec.podId);
				}
			});
		});

		describe('exec', () => {
			it("runs a command with the container's environment and returns its output and code", async () => {
				const spec = pods.make(harness, ['idle']);
				await runtime.start(spec);
				const shown = harness.probe('show', 'BEEMESH_POD');
				const result = await runtime.exec(spec.podId, [...(shown.command ?? []), ...(shown.args ?? [])]);
				expect(result.exitCode).to.equal(0);
				expect(text(result.stdout)).to.equal(`BEEMESH_POD=${spec.podId}`);
				const said = harness.probe('say', '5', 'out');
				const failed = await runtime.exec(spec.podId, [...(said.command ?? []), ...(said.args ?? [])]);
				expect(failed.exitCode).to.equal(5);
				expect(text(failed.stdout)).to.equal('out');
				expect(text(failed.stderr)).to.equal('to stderr');
			});

			it('refuses a container that is not there or does not run', async () => {
				const spec = pods.make(harness, ['say', '0']);
				await runToExit(runtime, spec);
				await refusal(runtime.exec(spec.podId, ['/bin/true']), 'conflict');
				await refusal(runtime.exec(spec.podId, ['/bin/true'], { container: 'other' }), 'not_found');
				await refusal(runtime.exec('nobody', ['/bin/true']), 'not_found');
			});

			it('can be cancelled', async () => {
				const spec = pods.make(harness, ['idle']);
				await runtime.start(spec);
				const idle = harness.probe('idle');
				const signal = AbortSignal.timeout(300);
				await refusal(
					runtime.exec(spec.podId, [...(idle.command ?? []), ...(idle.args ?? [])], { signal }),
					'cancelled',
				);
			});
		});

		it('measures CPU time and memory of a running pod', async () => {
			const spec = pods.make(harness, ['idle']);
			await runtime.start(spec);
			await waitForLine(runtime, spec.podId, 'ready');
			const stats = await runtime.stats(spec.podId);
			expect(stats.memoryBytes).to.be.greaterThan(0);
			expect(stats.cpuSeconds).to.be.at.least(0);
			await refusal(runtime.stats('nobody'), 'not_found');
		});

		describe('ports', () => {
			unless(absent.network, "publishes a container's port on the host", async () => {
				if (!harness.serve) throw new Error('the harness offers no server');
				const host = await freePort();
				const port = runtime.capabilities.isolatesNetwork ? 7000 : host;
				const spec = pods.make(harness, ['idle'], {
					container: harness.serve(port),
					start: { ports: [published(host, port)] },
				});
				const pod = await runtime.start(spec);
				expect(pod.ports).to.deep.equal([published(host, port)]);
				await waitForLine(runtime, spec.podId, 'serving');
				expect(await greeting(host)).to.equal('hello');
			});

			unless(absent.network, 'refuses a port that is taken and leaves nothing behind', async () => {
				if (!harness.serve) throw new Error('the harness offers no server');
				const host = await freePort();
				const ports = [published(host, host)];
				await runtime.start(pods.make(harness, ['idle'], { container: harness.serve(host), start: { ports } }));
				const first = (await runtime.list())[0];
				await waitForLine(runtime, first?.podId ?? '', 'serving');
				const spec = pods.make(harness, ['idle'], { start: { ports } });
				const error = await refusal(runtime.start(spec), 'conflict');
				expect(error.message).to.include(String(host));
				expect((await runtime.list()).map((pod) => pod.podId)).to.deep.equal([first?.podId]);
			});
		});

		describe('a hostd that starts again', () => {
			it('finds its pods and learns how those ended that it did not see end', async () => {
				const running = pods.make(harness, ['idle']);
				const ended = pods.make(harness, ['say', '9', 'words from before']);
				await runtime.start(running);
				await runToExit(runtime, ended);
				await waitForLine(runtime, running.podId, 'ready');
				const before = await runtime.inspect(running.podId);
				await runtime[Symbol.asyncDispose]();
				runtime = await harness.open();
				expect((await runtime.list()).map((pod) => pod.podId).sort()).to.deep.equal(
					[running.podId, ended.podId].sort(),
				);
				expect(await runtime.inspect(running.podId)).to.deep.equal(before);
				expect((await runtime.inspect(running.podId))?.labels).to.include(running.labels);
				expect((await runtime.inspect(ended.podId))?.containers[0]?.state).to.include({ state: 'exited', exitCode: 9 });
				const lines = await collect(runtime.logs(ended.podId));
				expect(lines.map(({ line }) => line)).to.include('words from before');
			});

			it('sees an adopted pod end', async () => {
				const spec = pods.make(harness, ['idle']);
				await runtime.start(spec);
				await waitForLine(runtime, spec.podId, 'ready');
				await runtime[Symbol.asyncDispose]();
				runtime = await harness.open();
				const events: RuntimeEvent[] = [];
				using _subscription = runtime.events((event) => events.push(event));
				const exited = nextEvent(runtime, (event) => event.type === 'exited' && event.podId === spec.podId);
				await runtime.stop(spec.podId, 10_000);
				expect(await exited).to.include({ container: 'main', exitCode: 0, reason: 'Completed' });
				expect(events.filter((event) => event.type === 'exited')).to.have.length(1);
			});
		});
	});
}

function greeting(port: number): Promise<string> {
	return new Promise((resolve, reject) => {
		const socket = connect({ host: '127.0.0.1', port });
		let received = '';
		socket.on('data', (chunk: Buffer) => {
			received += chunk.toString();
		});
		socket.once('error', reject);
		socket.once('close', () => resolve(received.trim()));
	});
}
