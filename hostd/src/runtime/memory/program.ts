/** A container of the memory runtime: a function that lives in the test's own process. */
export interface ProgramContext {
	readonly env: Readonly<Record<string, string>>;
	/** Command line after the entrypoint rules of Kubernetes. */
	readonly argv: readonly string[];
	/** Aborted by `stop` (SIGTERM). A program that ignores it is cut off after the grace. */
	readonly terminated: AbortSignal;
	/** Aborted when the container is killed: everything the program still waits for should end. */
	readonly killed: AbortSignal;
	/** Files of the volumes it mounts, by the path in `BEEMESH_VOLUME_<NAME>`. */
	volume(path: string): Map<string, string>;
	stdout(line: string): void;
	stderr(line: string): void;
}

/** Resolves with the exit code. */
export type Program = (context: ProgramContext) => Promise<number>;
