/**
 * The embedded runtime: containers are plain process groups of this host. No images, no namespaces, no CPU limit;
 * memory limits by sampling. For development and the quickstart, on Linux. Pods outlive hostd and are adopted again.
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { MeshError } from '@beemesh/sdk/errors';
import { HostPolicy } from '../../policy/index.ts';
import { checkPodId, checkVolumeName, pickContainer } from '../container.ts';
import { RuntimeEvents } from '../events.ts';
import { KeyedLock } from '../keyed-lock.ts';
import { groupUsage } from '../proc.ts';
import type {
	ExecResult,
	LogLine,
	LogOptions,
	PodStart,
	PodStats,
	Runtime,
	RuntimeEvent,
	RuntimePod,
} from '../runtime.ts';
import { followLog } from './follow-log.ts';
import { findImage, type ProcessImages, unknownImage } from './images.ts';
import { PodFolders, type SavedPod } from './pod-state.ts';
import { ProcessPod } from './process-pod.ts';

export interface ProcessRuntimeOptions {
	/** Folder for pods, logs and volumes; made when missing. */
	readonly stateDir: string;
	readonly images?: ProcessImages;
	/** @default nothing beyond what every pod may */
	readonly policy?: HostPolicy;
}

/** How often ends of adopted processes are looked for and logs are moved on. */
const POLL_MS = 200;
/** How often memory limits are checked. */
const MEMORY_SAMPLE_MS = 500;
const EXEC_OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

export class ProcessRuntime implements Runtime {
	readonly name = 'process';
	readonly capabilities = {
		isolatesNetwork: false,
		enforcesCpuLimit: false,
		enforcesMemoryLimit: true,
		images: false,
	} as const;

	readonly #images: ProcessImages;
	readonly #policy: HostPolicy;
	readonly #folders: PodFolders;
	readonly #pods = new Map<string, ProcessPod>();
	readonly #events = new RuntimeEvents();
	readonly #locks = new KeyedLock();
	readonly #hostEnv: Readonly<Record<string, string>>;
	#timer: NodeJS.Timeout | undefined;
	#polls = 0;

	constructor(options: ProcessRuntimeOptions) {
		this.#images = options.images ?? {};
		this.#policy = options.policy ?? new HostPolicy();
		this.#folders = new PodFolders(options.stateDir);
		this.#hostEnv = Object.fromEntries(
			['PATH', 'HOME', 'LANG', 'TZ'].flatMap((name) => {
				const value = process.env[name];
				return value === undefined ? [] : [[name, value]];
			}),
		);
		for (const saved of this.#folders.load()) this.#pods.set(saved.spec.podId, this.#makePod(saved.spec, saved));
		if (this.#pods.size > 0) this.#watch();
	}

	async check(): Promise<string> {
		if (process.platform !== 'linux' || !existsSync('/proc/self/stat') || !existsSync('/bin/sh')) {
			throw new MeshError('unavailable', 'the process runtime needs Linux with /proc and /bin/sh', {
				retryable: false,
			});
		}
		return `process (node ${process.versions.node})`;
	}

	async hasImage(image: string): Promise<boolean> {
		return findImage(this.#images, image) !== undefined;
	}

	async pullImage(image: string): Promise<void> {
		if (!findImage(this.#images, image)) throw unknownImage(image, 'container');
	}

	async start(asked: PodStart): Promise<RuntimePod> {
		checkPodId(asked.podId);
		const spec = { ...asked, pod: await this.#policy.admit(asked.pod, asked) };
		checkSpec(spec);
		return this.#locks.run(spec.podId, async () => {
			if (this.#pods.has(spec.podId)) throw new MeshError('conflict', `pod ${spec.podId} exists already on this host`);
			try {
				const pod = this.#makePod(spec);
				this.#pods.set(spec.podId, pod);
				await pod.start();
			} catch (error) {
				await this.#discard(spec.podId);
				throw error;
			}
			this.#watch();
			return this.#find(spec.podId).status();
		});
	}

	restart(podId: string, containers?: readonly string[]): Promise<RuntimePod> {
		return this.#locks.run(podId, async () => {
			const pod = this.#find(podId);
			await pod.restart(containers);
			this.#watch();
			return pod.status();
		});
	}

	stop(podId: string, graceMs: number, containers?: readonly string[]): Promise<void> {
		return this.#locks.run(podId, async () => this.#pods.get(podId)?.stop(graceMs, containers));
	}

	async remove(podId: string): Promise<void> {
		// Before the lock: a stop that waits for its grace must not hold up a removal.
		this.#pods.get(podId)?.kill();
		await this.#locks.run(podId, async () => {
			if (!this.#pods.has(podId)) return;
			await this.#discard(podId);
			this.#events.emit({ podId, type: 'removed' });
		});
	}

	async removeVolume(volume: string): Promise<void> {
		rmSync(join(this.#folders.volumes, checkVolumeName(volume, 'volume')), { recursive: true, force: true });
	}

	async volumes(): Promise<readonly string[]> {
		return readdirSync(this.#folders.volumes).sort();
	}

	async list(): Promise<readonly RuntimePod[]> {
		return [...this.#pods.values()].map((pod) => pod.status());
	}

	async inspect(podId: string): Promise<RuntimePod | undefined> {
		return this.#pods.get(podId)?.status();
	}

	async *logs(podId: string, options: LogOptions = {}): AsyncIterable<LogLine> {
		const container = pickContainer(podId, this.#find(podId).containers, options.container);
		yield* followLog(container, options);
	}

	async exec(
		podId: string,
		command: readonly string[],
		options: { readonly container?: string; readonly signal?: AbortSignal } = {},
	): Promise<ExecResult> {
		const pod = this.#find(podId);
		const container = pickContainer(podId, pod.containers, options.container);
		if (container.processGroup === undefined) {
			throw new MeshError('conflict', `container ${container.name} of pod ${podId} is not running`);
		}
		const { cwd, env } = pod.launchOf(container.name);
		return runToEnd(command, cwd, env, options.signal);
	}

	async stats(podId: string): Promise<PodStats> {
		const groups = this.#find(podId).containers.flatMap((container) => container.processGroup ?? []);
		let cpuSeconds = 0;
		let memoryBytes = 0;
		for (const usage of groupUsage(new Set(groups)).values()) {
			cpuSeconds += usage.cpuSeconds;
			memoryBytes += usage.memoryBytes;
		}
		return { cpuSeconds, memoryBytes };
	}

	events(listener: (event: RuntimeEvent) => void): Disposable {
		return this.#events.subscribe(listener);
	}

	/** Lets go of the pods; they keep running. */
	async [Symbol.asyncDispose](): Promise<void> {
		clearInterval(this.#timer);
		this.#timer = undefined;
		for (const pod of this.#pods.values()) pod.close();
		this.#pods.clear();
	}

	#makePod(spec: PodStart, saved?: SavedPod): ProcessPod {
		return new ProcessPod({
			spec,
			folders: this.#folders,
			images: this.#images,
			hostEnv: this.#hostEnv,
			...(saved && { saved }),
			onStart: (container) => this.#events.emit({ podId: spec.podId, type: 'started', container }),
			onExit: (container, { exitCode, reason }) =>
				this.#events.emit({ podId: spec.podId, type: 'exited', container, exitCode, reason }),
		});
	}

	async #discard(podId: string): Promise<void> {
		const pod = this.#pods.get(podId);
		await pod?.stop(0);
		pod?.close();
		this.#pods.delete(podId);
		this.#folders.remove(podId);
	}

	#find(podId: string): ProcessPod {
		const pod = this.#pods.get(podId);
		if (!pod) throw new MeshError('not_found', `no pod ${podId} on this host`);
		return pod;
	}

	/** One timer for all pods; it rests while nothing runs. */
	#watch(): void {
		this.#timer ??= setInterval(() => this.#poll(), POLL_MS);
	}

	#poll(): void {
		this.#polls++;
		const sampleMemory = this.#polls % Math.round(MEMORY_SAMPLE_MS / POLL_MS) === 0;
		let running = 0;
		for (const pod of this.#pods.values()) {
			for (const container of pod.containers) {
				if (container.processGroup === undefined) continue;
				running++;
				container.poll();
			}
			if (sampleMemory) pod.enforceMemory();
		}
		if (running > 0) return;
		clearInterval(this.#timer);
		this.#timer = undefined;
	}
}

function checkSpec(spec: PodStart): void {
	if (spec.pod.spec.initContainers?.length) {
		throw new MeshError('invalid_input', 'spec.initContainers: the process runtime runs no init containers');
	}
	checkConfinement(spec);
	for (const [index, port] of spec.ports.entries()) {
		if (port.host !== port.container) {
			throw new MeshError(
				'invalid_input',
				`ports[${index}] (${port.name}): the process runtime maps no ports, host port ${port.host} must equal ` +
					`container port ${port.container}`,
			);
		}
	}
}

/** Allowed or not: what takes a container to give or to keep, plain processes cannot have. */
function checkConfinement({ pod: { spec } }: PodStart): void {
	const cannot = (field: string, what: string) =>
		new MeshError('invalid_input', `${field}: the process runtime ${what}; use a host with --runtime podman`);
	for (const [at, { securityContext = {}, volumeMounts = [] }] of spec.containers.entries()) {
		const field = `spec.containers[${at}]`;
		if (securityContext.privileged) throw cannot(`${field}.securityContext.privileged`, 'has no privilege to give');
		if (securityContext.capabilities?.add?.length) {
			throw cannot(`${field}.securityContext.capabilities.add`, 'has no capabilities to give');
		}
		for (const [index, mount] of volumeMounts.entries()) {
			const isOfHost = spec.volumes?.some(({ name, hostPath }) => name === mount.name && hostPath);
			if (isOfHost && mount.readOnly) {
				throw cannot(`${field}.volumeMounts[${index}].readOnly`, 'cannot keep a pod from writing a host path');
			}
		}
	}
}

function runToEnd(
	command: readonly string[],
	cwd: string,
	env: Readonly<Record<string, string>>,
	signal: AbortSignal | undefined,
): Promise<ExecResult> {
	const [program, ...args] = command;
	if (program === undefined) throw new MeshError('invalid_input', 'exec: the command is empty');
	return new Promise((resolve, reject) => {
		const out: Record<'stdout' | 'stderr', Buffer[]> = { stdout: [], stderr: [] };
		let bytes = 0;
		const child = spawn(program, args, {
			cwd,
			env: { ...env },
			stdio: ['ignore', 'pipe', 'pipe'],
			...(signal && { signal, killSignal: 'SIGKILL' as const }),
		});
		for (const stream of ['stdout', 'stderr'] as const) {
			child[stream].on('data', (chunk: Buffer) => {
				bytes += chunk.length;
				if (bytes > EXEC_OUTPUT_BYTES_MAX) child.kill('SIGKILL');
				else out[stream].push(chunk);
			});
		}
		child.once('error', (cause) => {
			const code = signal?.aborted ? 'cancelled' : 'invalid_input';
			reject(new MeshError(code, `exec ${program}: ${cause.message}`, { cause }));
		});
		child.once('close', (code) => {
			if (bytes > EXEC_OUTPUT_BYTES_MAX) {
				reject(new MeshError('exhausted', `exec ${program}: more than ${EXEC_OUTPUT_BYTES_MAX} bytes of output`));
				return;
			}
			resolve({ exitCode: code ?? 137, stdout: Buffer.concat(out.stdout), stderr: Buffer.concat(out.stderr) });
		});
	});
}
