/**
 * A runtime without processes, for tests: images are functions. It keeps the contract of the real ones, and its state
 * can outlive it (`MemoryMachine`), so that a restarted hostd is tested too.
 */
import { MeshError } from '@beemesh/sdk/errors';
import { HostPolicy } from '../../policy/index.ts';
import { checkPodId, pickContainer, resolveContainer, volumeSources } from '../container.ts';
import { RuntimeEvents } from '../events.ts';
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
import { MemoryContainer } from './memory-container.ts';
import type { Program } from './program.ts';

interface MemoryPod {
	readonly spec: PodStart;
	readonly containers: readonly MemoryContainer[];
	readonly files: Map<string, Map<string, string>>;
}

/** What stays when a hostd goes: pods and volumes. Hand the same machine to the next runtime. */
export class MemoryMachine {
	readonly pods = new Map<string, MemoryPod>();
	readonly volumes = new Map<string, Map<string, string>>();
	readonly events = new RuntimeEvents();
}

export interface MemoryRuntimeOptions {
	/** Image name → what it runs. */
	readonly images: Readonly<Record<string, Program>>;
	readonly machine?: MemoryMachine;
	/** @default Date.now */
	readonly now?: () => number;
	/** @default nothing beyond what every pod may */
	readonly policy?: HostPolicy;
	/** When given, every use fails with `unavailable` and this message. */
	readonly unavailable?: string;
}

export class MemoryRuntime implements Runtime {
	readonly name = 'memory';
	readonly capabilities = {
		isolatesNetwork: false,
		enforcesCpuLimit: false,
		enforcesMemoryLimit: false,
		images: true,
	} as const;
	readonly #options: MemoryRuntimeOptions;
	readonly #machine: MemoryMachine;
	readonly #policy: HostPolicy;
	readonly #subscriptions = new DisposableStack();

	constructor(options: MemoryRuntimeOptions) {
		this.#options = options;
		this.#machine = options.machine ?? new MemoryMachine();
		this.#policy = options.policy ?? new HostPolicy();
	}

	async check(): Promise<string> {
		if (this.#options.unavailable !== undefined) throw new MeshError('unavailable', this.#options.unavailable);
		return 'memory 1';
	}

	async hasImage(image: string): Promise<boolean> {
		return Object.hasOwn(this.#options.images, image);
	}

	async pullImage(image: string): Promise<void> {
		if (!(await this.hasImage(image))) throw new MeshError('not_found', `no image '${image}'`);
	}

	async start(asked: PodStart): Promise<RuntimePod> {
		await this.check();
		checkPodId(asked.podId);
		const spec = { ...asked, pod: await this.#policy.admit(asked.pod, asked) };
		if (this.#machine.pods.has(spec.podId)) {
			throw new MeshError('conflict', `pod ${spec.podId} exists already on this host`);
		}
		const pod = this.#make(spec);
		this.#machine.pods.set(spec.podId, pod);
		for (const container of pod.containers) {
			container.start();
			this.#machine.events.emit({ podId: spec.podId, type: 'started', container: container.name });
		}
		return status(pod);
	}

	async restart(podId: string, containers?: readonly string[]): Promise<RuntimePod> {
		const pod = this.#find(podId);
		for (const container of pod.containers) {
			if (container.isRunning || (containers && !containers.includes(container.name))) continue;
			container.start();
			this.#machine.events.emit({ podId, type: 'started', container: container.name });
		}
		return status(pod);
	}

	async stop(podId: string, graceMs: number, containers?: readonly string[]): Promise<void> {
		const running = (this.#machine.pods.get(podId)?.containers ?? []).filter(
			(container) => container.isRunning && (!containers || containers.includes(container.name)),
		);
		await Promise.all(
			running.map(async (container) => {
				container.terminate();
				let timer: NodeJS.Timeout | undefined;
				const grace = new Promise<void>((resolve) => {
					timer = setTimeout(resolve, graceMs);
				});
				while (container.isRunning) {
					const isOver = await Promise.race([container.changed().then(() => false), grace.then(() => true)]);
					if (isOver) container.kill();
				}
				clearTimeout(timer);
			}),
		);
	}

	async remove(podId: string): Promise<void> {
		const pod = this.#machine.pods.get(podId);
		if (!pod) return;
		for (const container of pod.containers) container.kill();
		this.#machine.pods.delete(podId);
		this.#machine.events.emit({ podId, type: 'removed' });
	}

	async removeVolume(volume: string): Promise<void> {
		this.#machine.volumes.delete(volume);
	}

	async volumes(): Promise<readonly string[]> {
		return [...this.#machine.volumes.keys()].sort();
	}

	async list(): Promise<readonly RuntimePod[]> {
		return [...this.#machine.pods.values()].map(status);
	}

	async inspect(podId: string): Promise<RuntimePod | undefined> {
		const pod = this.#machine.pods.get(podId);
		return pod && status(pod);
	}

	async *logs(podId: string, options: LogOptions = {}): AsyncIterable<LogLine> {
		yield* pickContainer(podId, this.#find(podId).containers, options.container).logs(options);
	}

	async exec(
		podId: string,
		command: readonly string[],
		options: { readonly container?: string; readonly signal?: AbortSignal } = {},
	): Promise<ExecResult> {
		const container = pickContainer(podId, this.#find(podId).containers, options.container);
		if (!container.isRunning) {
			throw new MeshError('conflict', `container ${container.name} of pod ${podId} is not running`);
		}
		const out = { stdout: '', stderr: '' };
		const killed = new AbortController();
		const program = container.options.program({
			...container.context(),
			argv: command,
			killed: AbortSignal.any([killed.signal, container.context().killed]),
			stdout: (line) => {
				out.stdout += `${line}\n`;
			},
			stderr: (line) => {
				out.stderr += `${line}\n`;
			},
		});
		const cancelled = new Promise<never>((_, reject) => {
			options.signal?.addEventListener('abort', () => {
				killed.abort();
				reject(new MeshError('cancelled', `exec in pod ${podId} was cancelled`));
			});
		});
		const exitCode = await Promise.race([program, cancelled]);
		return { exitCode, stdout: Buffer.from(out.stdout), stderr: Buffer.from(out.stderr) };
	}

	async stats(podId: string): Promise<PodStats> {
		const running = this.#find(podId).containers.filter((container) => container.isRunning).length;
		return { cpuSeconds: 0, memoryBytes: running * 1024 * 1024 };
	}

	events(listener: (event: RuntimeEvent) => void): Disposable {
		return this.#subscriptions.use(this.#machine.events.subscribe(listener));
	}

	/** Ends a container the way a crash would. For tests. */
	crash(podId: string, reason = 'SIGKILL'): void {
		for (const container of this.#find(podId).containers) container.kill(reason);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#subscriptions.dispose();
	}

	#make(spec: PodStart): MemoryPod {
		const files = new Map<string, Map<string, string>>();
		const paths = new Map<string, string>();
		for (const [name, source] of volumeSources(spec)) {
			if (source.kind === 'host') {
				paths.set(name, source.path);
				continue;
			}
			const path = source.kind === 'named' ? `/volumes/${source.volume}` : `/pods/${spec.podId}/${name}`;
			paths.set(name, path);
			if (source.kind === 'empty') files.set(path, new Map());
			else files.set(path, this.#namedVolume(source.volume));
		}
		const containers = spec.pod.spec.containers.map((container, index) => {
			const mounted = (container.volumeMounts ?? []).map((mount) => [mount.name, paths.get(mount.name) ?? ''] as const);
			const resolved = resolveContainer(spec, container, Object.fromEntries(mounted));
			const program = Object.hasOwn(this.#options.images, container.image)
				? this.#options.images[container.image]
				: undefined;
			if (!program) {
				throw new MeshError('not_found', `spec.containers[${index}].image: no image '${container.image}' here`);
			}
			if (resolved.command?.[0]?.startsWith('/no/such/')) {
				throw new MeshError(
					'invalid_input',
					`spec.containers[${index}].command[0]: '${resolved.command[0]}' is missing`,
				);
			}
			return new MemoryContainer({
				name: container.name,
				image: container.image,
				program,
				env: resolved.env,
				argv: [...(resolved.command ?? []), ...(resolved.args ?? [])],
				volume: (path) => files.get(path) ?? new Map(),
				now: this.#options.now ?? Date.now,
				onExit: (ended, exitCode, reason) =>
					this.#machine.events.emit({ podId: spec.podId, type: 'exited', container: ended.name, exitCode, reason }),
			});
		});
		return { spec, containers, files };
	}

	#namedVolume(name: string): Map<string, string> {
		const volume = this.#machine.volumes.get(name) ?? new Map<string, string>();
		this.#machine.volumes.set(name, volume);
		return volume;
	}

	#find(podId: string): MemoryPod {
		const pod = this.#machine.pods.get(podId);
		if (!pod) throw new MeshError('not_found', `no pod ${podId} on this host`);
		return pod;
	}
}

function status(pod: MemoryPod): RuntimePod {
	return {
		podId: pod.spec.podId,
		labels: pod.spec.labels,
		containers: pod.containers.map(({ name, image, state }) => ({ name, image, state })),
		ports: pod.spec.ports,
		addresses: [],
	};
}
