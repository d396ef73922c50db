/** One pod of the process runtime: prepares folders, environment and command lines, and runs its containers. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { MeshError } from '@beemesh/sdk/errors';
import type { Container } from '@beemesh/sdk/wire';
import { type ResolvedContainer, resolveContainer, volumeSources } from '../container.ts';
import { groupUsage } from '../proc.ts';
import type { PodStart, RuntimePod } from '../runtime.ts';
import { checkExecutable, commandLine, findImage, type ProcessImages, unknownImage } from './images.ts';
import type { PodFolders, SavedPod } from './pod-state.ts';
import { checkPortFree } from './port-check.ts';
import { ProcessContainer } from './process-container.ts';
import type { ExitRecord } from './supervisor.ts';

interface Launch {
	readonly command: readonly string[];
	readonly cwd: string;
	readonly env: Readonly<Record<string, string>>;
}

/** How long a killed process may take to be gone; longer only in uninterruptible I/O. */
const KILLED_WITHIN_MS = 10_000;

export interface ProcessPodOptions {
	readonly spec: PodStart;
	readonly folders: PodFolders;
	readonly images: ProcessImages;
	/** Environment that every container gets from the host: PATH and little more. */
	readonly hostEnv: Readonly<Record<string, string>>;
	readonly saved?: SavedPod;
	readonly onStart: (container: string) => void;
	readonly onExit: (container: string, exit: ExitRecord) => void;
}

export class ProcessPod {
	readonly spec: PodStart;
	readonly containers: readonly ProcessContainer[];
	readonly #options: ProcessPodOptions;
	#restarts: number;

	/** Throws `invalid_input` or `not_found` when the pod cannot be run here; makes no process. */
	constructor(options: ProcessPodOptions) {
		this.#options = options;
		this.spec = options.spec;
		this.#restarts = options.saved?.restarts ?? 0;
		const folder = options.folders.folder(this.spec.podId);
		const resolved = this.spec.pod.spec.containers.map((container) => this.#resolve(container));
		if (!options.saved) for (const [index, container] of resolved.entries()) this.#launch(container, index);
		this.containers = resolved.map((container) => {
			const saved = options.saved?.processes[container.name];
			return new ProcessContainer({
				name: container.name,
				image: container.image,
				folder,
				exitFile: join(folder, `${container.name}.exit`),
				...(saved && { saved }),
				...(container.memoryBytesMax !== undefined && { memoryBytesMax: container.memoryBytesMax }),
				onStart: (started) => options.onStart(started.name),
				onExit: (ended, exit) => options.onExit(ended.name, exit),
			});
		});
	}

	async start(): Promise<void> {
		for (const [index, port] of this.spec.ports.entries()) await checkPortFree(port, index);
		this.#save();
		await this.#startExited();
	}

	async restart(names?: readonly string[]): Promise<void> {
		const isAnyDown = this.containers.some(({ processGroup }) => processGroup === undefined);
		if (isAnyDown) this.#restarts++;
		await this.#startExited(names);
	}

	async stop(graceMs: number, names?: readonly string[]): Promise<void> {
		const stopping = this.containers.filter(({ name }) => !names || names.includes(name));
		for (const container of stopping) container.signal('SIGTERM');
		const ended = await Promise.all(stopping.map((container) => container.exited(graceMs)));
		if (ended.every(Boolean)) return;
		for (const container of stopping) container.signal('SIGKILL');
		await Promise.all(stopping.map((container) => container.exited(KILLED_WITHIN_MS)));
	}

	kill(): void {
		for (const container of this.containers) container.signal('SIGKILL');
	}

	/** Command, folder and environment for something run inside a container. */
	launchOf(name: string): Launch {
		const index = this.spec.pod.spec.containers.findIndex((container) => container.name === name);
		const container = this.spec.pod.spec.containers[index];
		if (!container) throw new MeshError('not_found', `pod ${this.spec.podId} has no container '${name}'`);
		return this.#launch(this.#resolve(container), index);
	}

	status(): RuntimePod {
		return {
			podId: this.spec.podId,
			labels: this.spec.labels,
			containers: this.containers.map(({ name, image, state }) => ({ name, image, state })),
			ports: this.spec.ports,
			addresses: [],
		};
	}

	/** Kills containers that hold more memory than their limit. */
	enforceMemory(): void {
		const limited = this.containers.filter((container) => container.memoryBytesMax !== undefined);
		const groups = new Set(limited.map((container) => container.processGroup).filter((group) => group !== undefined));
		if (groups.size === 0) return;
		const usage = groupUsage(groups);
		for (const container of limited) {
			const bytes = usage.get(container.processGroup ?? 0)?.memoryBytes ?? 0;
			if (bytes > (container.memoryBytesMax ?? Number.POSITIVE_INFINITY)) container.signal('SIGKILL', 'OOMKilled');
		}
	}

	close(): void {
		for (const container of this.containers) container.close();
	}

	async #startExited(names?: readonly string[]): Promise<void> {
		for (const [index, container] of this.containers.entries()) {
			if (container.processGroup !== undefined || (names && !names.includes(container.name))) continue;
			const manifest = this.spec.pod.spec.containers[index];
			if (!manifest) continue;
			await container.start(this.#launch(this.#resolve(manifest), index));
			this.#save();
		}
	}

	#resolve(container: Container): ResolvedContainer {
		const { spec, folders } = this.#options;
		const paths: Record<string, string> = {};
		const mounted = new Set((container.volumeMounts ?? []).map((mount) => mount.name));
		for (const [name, source] of volumeSources(spec)) {
			if (!mounted.has(name)) continue;
			if (source.kind === 'host') {
				paths[name] = source.path;
				continue;
			}
			paths[name] =
				source.kind === 'named'
					? join(folders.volumes, source.volume)
					: join(folders.folder(spec.podId), 'volumes', name);
			mkdirSync(paths[name], { recursive: true, mode: 0o700 });
		}
		const image = findImage(this.#options.images, container.image);
		const base = {
			...this.#options.hostEnv,
			HOSTNAME: spec.pod.spec.hostname ?? spec.pod.metadata.name,
			...image?.env,
		};
		// No mount namespace: the socket is where it is, whatever path containers elsewhere see it at. The incarnation
		// tells a process started again in place from its predecessor.
		const own = {
			BEEMESH_SOCKET: join(spec.socketDir, 'pod.sock'),
			BEEMESH_INCARNATION: String(Number(spec.env['BEEMESH_INCARNATION'] ?? 0) + this.#restarts),
		};
		return resolveContainer({ ...spec, env: { ...spec.env, ...own } }, container, paths, base);
	}

	#launch(container: ResolvedContainer, index: number): Launch {
		const field = `spec.containers[${index}]`;
		const image = findImage(this.#options.images, container.image);
		if (!image && !container.command?.[0]?.startsWith('/')) throw unknownImage(container.image, field);
		const command = commandLine(container, image, field);
		checkExecutable(command[0] ?? '', container.env['PATH'] ?? '', field);
		const cwd = container.workingDir ?? image?.cwd ?? this.#options.folders.folder(this.spec.podId);
		return { command, cwd, env: container.env };
	}

	#save(): void {
		const processes: Record<string, SavedPod['processes'][string]> = {};
		for (const container of this.containers) if (container.saved) processes[container.name] = container.saved;
		this.#options.folders.save({ version: 1, spec: this.spec, restarts: this.#restarts, processes });
	}
}
