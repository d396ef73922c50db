import type { OwnerId, Pod } from '@beemesh/sdk/wire';

/** Everything a runtime needs to start one pod. The pod is plain Kubernetes v1, one slot of one workload. */
export interface PodStart {
	/** Unique on this host, stable over restarts in place; DNS-label safe. Also the runtime's name of the pod. */
	readonly podId: string;
	readonly pod: Pod;
	/** Whose it is, for the host's policy. Absent: only what every owner may. */
	readonly owner?: OwnerId;
	/** Digests that its workload's charter names, for the host's policy. Absent or empty: it names none. */
	readonly imageDigests?: readonly string[];
	/** Extra environment for every container (`BEEMESH_*`). Wins over the manifest's. */
	readonly env: Readonly<Record<string, string>>;
	/** Host directory (mode 0700) with the pod's unix socket `pod.sock`; seen by containers at `env.BEEMESH_SOCKET`'s folder. */
	readonly socketDir: string;
	/**
	 * Host directory (mode 0700) for what this pod keeps for itself over restarts in place, also of the host; seen by
	 * containers at `env.BEEMESH_PRIVATE_DIR`. Absent: it keeps nothing.
	 */
	readonly privateDir?: string;
	/** Published ports. The process runtime has no port mapping: there `host === container`. */
	readonly ports: readonly PublishedPort[];
	/** Persistent volumes by `persistentVolumeClaim.claimName`: a named volume the runtime makes when missing. */
	readonly volumeNames: Readonly<Record<string, string>>;
	/** Survive a restart of hostd: a restarted hostd re-adopts its pods from these. */
	readonly labels: Readonly<Record<string, string>>;
}

export interface PublishedPort {
	readonly name: string;
	readonly protocol: 'tcp' | 'udp';
	readonly hostIp: string;
	readonly host: number;
	readonly container: number;
}

export type ContainerState =
	| { readonly state: 'waiting'; readonly reason: string }
	| { readonly state: 'running'; readonly startedAtMs: number; readonly pid: number }
	| {
			readonly state: 'exited';
			readonly exitCode: number;
			/** `OOMKilled`, `Error`, `Completed`, or a signal's name. */
			readonly reason: string;
			readonly finishedAtMs: number;
	  };

export interface ContainerStatus {
	readonly name: string;
	readonly image: string;
	readonly state: ContainerState;
}

/** One pod as the runtime sees it now. */
export interface RuntimePod {
	readonly podId: string;
	readonly labels: Readonly<Record<string, string>>;
	readonly containers: readonly ContainerStatus[];
	readonly ports: readonly PublishedPort[];
	/** Addresses of the pod itself, where it has its own network (bridge); else empty. */
	readonly addresses: readonly string[];
}

export interface PodStats {
	/** Cumulative CPU time, seconds. */
	readonly cpuSeconds: number;
	readonly memoryBytes: number;
}

export interface LogOptions {
	readonly container?: string;
	readonly follow?: boolean;
	/** Only the last N lines; default all that is kept. */
	readonly tail?: number;
	readonly timestamps?: boolean;
	readonly signal?: AbortSignal;
}

export interface LogLine {
	readonly stream: 'stdout' | 'stderr';
	readonly timeMs: number;
	readonly line: string;
}

export interface RuntimeEvent {
	readonly podId: string;
	readonly type: 'started' | 'exited' | 'removed';
	readonly container?: string;
	readonly exitCode?: number;
	readonly reason?: string;
}

export interface ExecResult {
	readonly exitCode: number;
	readonly stdout: Uint8Array;
	readonly stderr: Uint8Array;
}

/** What a runtime cannot do on this host, for the contract suite's skips and for refusals that name the field. */
export interface RuntimeCapabilities {
	readonly isolatesNetwork: boolean;
	readonly enforcesCpuLimit: boolean;
	readonly enforcesMemoryLimit: boolean;
	readonly images: boolean;
}

/**
 * Runs pods. Implementations: `podman/`, `process/`, `memory/`; one contract suite. A runtime restarts nothing by
 * itself: restart policy, probes and back-off are `pods/`'s.
 *
 * Errors are MeshErrors: `not_found` (pod, container, image missing — says which), `conflict` (podId exists),
 * `invalid_input` (the runtime cannot do what a field asks; names the field), `unavailable` (runtime not reachable;
 * says how to install or start it), `internal`.
 */
export interface Runtime extends AsyncDisposable {
	readonly name: 'podman' | 'process' | 'memory';
	readonly capabilities: RuntimeCapabilities;
	/** Verifies that the runtime is usable; rejects with `unavailable` that says what to install. Returns its version. */
	check(): Promise<string>;
	/** True when the image can be started without pulling. */
	hasImage(image: string): Promise<boolean>;
	pullImage(image: string, options?: { readonly signal?: AbortSignal }): Promise<void>;
	/** Creates and starts what the host's policy admits; on failure nothing half-made stays behind. */
	start(spec: PodStart): Promise<RuntimePod>;
	/** Starts exited containers of an existing pod again, in place: those named, or all. */
	restart(podId: string, containers?: readonly string[]): Promise<RuntimePod>;
	/** SIGTERM, then SIGKILL after the grace. Idempotent. The pod stays, exited, with its logs. */
	stop(podId: string, graceMs: number, containers?: readonly string[]): Promise<void>;
	/** Removes the pod (killing it), its logs and emptyDirs. Idempotent. */
	remove(podId: string): Promise<void>;
	/** Removes a named volume. Idempotent. */
	removeVolume(volume: string): Promise<void>;
	volumes(): Promise<readonly string[]>;
	/** Pods that this hostd owns (by label), running or not. */
	list(): Promise<readonly RuntimePod[]>;
	inspect(podId: string): Promise<RuntimePod | undefined>;
	logs(podId: string, options?: LogOptions): AsyncIterable<LogLine>;
	exec(
		podId: string,
		command: readonly string[],
		options?: { readonly container?: string; readonly signal?: AbortSignal },
	): Promise<ExecResult>;
	stats(podId: string): Promise<PodStats>;
	/** Container exits are reported within 500 ms. */
	events(listener: (event: RuntimeEvent) => void): Disposable;
}
