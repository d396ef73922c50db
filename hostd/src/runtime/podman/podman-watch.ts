/**
 * Follows Podman's events, and compares what is with what was last reported: events that were missed while the
 * connection was down are made up for, and none is told twice.
 */
import type { Readable } from 'node:stream';
import type { ContainerState, RuntimeEvent, RuntimePod } from '../runtime.ts';
import { LABEL } from './kube-pod.ts';

export interface PodmanWatchOptions {
	/** Opens the event stream (JSON lines) of this host's pods. */
	readonly open: () => Promise<Readable>;
	readonly list: () => Promise<readonly RuntimePod[]>;
	readonly inspect: (podId: string) => Promise<RuntimePod | undefined>;
	readonly emit: (event: RuntimeEvent) => void;
}

const RECHECK_MS = 100;
const RECONNECT_MIN_MS = 200;
const RECONNECT_MAX_MS = 5_000;

export class PodmanWatch {
	readonly #options: PodmanWatchOptions;
	readonly #known = new Map<string, RuntimePod>();
	readonly #syncing = new Map<string, Promise<void>>();
	readonly #rechecks = new Map<string, NodeJS.Timeout>();
	#stream: Readable | undefined;
	#retry: NodeJS.Timeout | undefined;
	#retryMs = RECONNECT_MIN_MS;
	#isClosed = false;
	/** Resolves when the pods that exist are known, so that whatever happens from then on is told. */
	readonly seeded: Promise<void>;

	constructor(options: PodmanWatchOptions) {
		this.#options = options;
		this.seeded = this.#connect(true);
	}

	/** Looks at one pod now; concurrent calls share one look, plus one more for what happened meanwhile. */
	sync(podId: string): Promise<void> {
		const before = this.#syncing.get(podId) ?? Promise.resolve();
		const next = before.then(async () => {
			if (this.#isClosed) return;
			const pod = await this.#options.inspect(podId).catch(() => this.#known.get(podId));
			this.#compare(podId, pod);
		});
		this.#syncing.set(podId, next);
		return next.finally(() => {
			if (this.#syncing.get(podId) === next) this.#syncing.delete(podId);
		});
	}

	close(): void {
		this.#isClosed = true;
		clearTimeout(this.#retry);
		for (const recheck of this.#rechecks.values()) clearTimeout(recheck);
		this.#stream?.destroy();
	}

	async #connect(isFirst: boolean): Promise<void> {
		try {
			const stream = await this.#options.open();
			this.#stream = stream;
			if (this.#isClosed) stream.destroy();
			let rest = '';
			stream.on('data', (chunk: Buffer) => {
				const lines = (rest + chunk.toString('utf8')).split('\n');
				rest = lines.pop() ?? '';
				for (const line of lines) this.#take(line);
			});
			stream.on('error', () => undefined);
			stream.once('close', () => this.#reconnect());
			this.#retryMs = RECONNECT_MIN_MS;
			const pods = await this.#options.list();
			if (isFirst) for (const pod of pods) this.#known.set(pod.podId, pod);
			else for (const podId of new Set([...this.#known.keys(), ...pods.map((pod) => pod.podId)])) void this.sync(podId);
		} catch {
			this.#reconnect();
		}
	}

	#reconnect(): void {
		if (this.#isClosed) return;
		clearTimeout(this.#retry);
		this.#retry = setTimeout(() => void this.#connect(false), this.#retryMs);
		this.#retryMs = Math.min(this.#retryMs * 2, RECONNECT_MAX_MS);
	}

	#later(podId: string): void {
		if (this.#isClosed || this.#rechecks.has(podId)) return;
		const recheck = setTimeout(() => {
			this.#rechecks.delete(podId);
			void this.sync(podId);
		}, RECHECK_MS);
		this.#rechecks.set(podId, recheck);
	}

	#take(line: string): void {
		if (line.trim() === '') return;
		try {
			const event = JSON.parse(line) as { Actor?: { Attributes?: Record<string, string> } };
			const podId = event.Actor?.Attributes?.[LABEL.podId];
			if (podId !== undefined) void this.sync(podId);
		} catch {
			// Not an event: the stream's closing tells if it is broken.
		}
	}

	#compare(podId: string, now: RuntimePod | undefined): void {
		const before = this.#known.get(podId);
		if (!now) {
			if (this.#known.delete(podId)) this.#options.emit({ podId, type: 'removed' });
			return;
		}
		if (now.containers.length === 0 && before) {
			// Podman takes the containers first, the pod a moment later, and tells only about the former.
			this.#later(podId);
			return;
		}
		this.#known.set(podId, now);
		for (const { name, state } of now.containers) {
			const was = before?.containers.find((container) => container.name === name)?.state;
			for (const event of transitions(was, state)) this.#options.emit({ podId, container: name, ...event });
		}
	}
}

type Transition = Pick<RuntimeEvent, 'type' | 'exitCode' | 'reason'>;

/** What must have happened between two looks at a container. */
export function transitions(was: ContainerState | undefined, now: ContainerState): Transition[] {
	const exited = (state: ContainerState): Transition[] =>
		state.state === 'exited' ? [{ type: 'exited', exitCode: state.exitCode, reason: state.reason }] : [];
	if (now.state === 'waiting') return [];
	if (now.state === 'running') {
		if (was?.state !== 'running') return [{ type: 'started' }];
		if (was.pid === now.pid && was.startedAtMs === now.startedAtMs) return [];
		return [{ type: 'exited', exitCode: 255, reason: 'Unknown' }, { type: 'started' }];
	}
	if (was?.state === 'running') return exited(now);
	if (was?.state === 'exited' && was.finishedAtMs === now.finishedAtMs) return [];
	return [{ type: 'started' }, ...exited(now)];
}
