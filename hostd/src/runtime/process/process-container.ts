/**
 * One container of the process runtime: its process, its log and how it ended. The facts that must outlive hostd
 * (which process, since when) go through `saved`; the exit code is in the exit file.
 */
import { constants } from 'node:os';
import { EXIT_CODE_UNKNOWN, exitReason } from '../exit-reason.ts';
import { identify, isAlive, type ProcessIdentity, signalGroup } from '../proc.ts';
import type { ContainerState } from '../runtime.ts';
import { LogSpool } from './log-spool.ts';
import { type ExitRecord, type ProcessStart, readExit, startSupervised, writeExit } from './supervisor.ts';

export interface SavedProcess {
	readonly identity: ProcessIdentity;
	readonly startedAtMs: number;
}

export interface ProcessContainerOptions {
	readonly name: string;
	readonly image: string;
	readonly folder: string;
	readonly exitFile: string;
	readonly saved?: SavedProcess;
	readonly memoryBytesMax?: number;
	/** Always called before the `onExit` of the same run. */
	readonly onStart: (container: ProcessContainer) => void;
	readonly onExit: (container: ProcessContainer, exit: ExitRecord) => void;
}

export class ProcessContainer {
	readonly name: string;
	readonly image: string;
	readonly log: LogSpool;
	readonly memoryBytesMax: number | undefined;
	readonly #exitFile: string;
	readonly #onStart: ProcessContainerOptions['onStart'];
	readonly #onExit: ProcessContainerOptions['onExit'];
	readonly #waiting = new Set<() => void>();
	#process: SavedProcess | undefined;
	/** Our own child reports its end by itself, and with its exit code; an adopted process has to be watched. */
	#isChild = false;
	#exit: ExitRecord | undefined;
	/** Why hostd itself killed the group, so that the record says so. */
	#killed: string | undefined;

	constructor(options: ProcessContainerOptions) {
		this.name = options.name;
		this.image = options.image;
		this.memoryBytesMax = options.memoryBytesMax;
		this.log = new LogSpool(options.folder, options.name);
		this.#exitFile = options.exitFile;
		this.#onStart = options.onStart;
		this.#onExit = options.onExit;
		this.#process = options.saved;
		if (options.saved && !isAlive(options.saved.identity)) this.#settle(false);
	}

	get saved(): SavedProcess | undefined {
		return this.#process;
	}

	/** Process group while it runs. */
	get processGroup(): number | undefined {
		return this.#process && !this.#exit ? this.#process.identity.pid : undefined;
	}

	get state(): ContainerState {
		if (this.#exit) return { state: 'exited', ...this.#exit };
		if (!this.#process) return { state: 'waiting', reason: 'ContainerCreating' };
		return { state: 'running', startedAtMs: this.#process.startedAtMs, pid: this.#process.identity.pid };
	}

	async start(start: Omit<ProcessStart, 'exitFile' | 'descriptors'>): Promise<void> {
		this.#exit = undefined;
		this.#killed = undefined;
		this.#process = undefined;
		const child = await startSupervised({ ...start, exitFile: this.#exitFile, descriptors: this.log.descriptors });
		const startedAtMs = Date.now();
		// A command that ends at once can take its shell along before /proc is read; then nothing is left to adopt.
		const identity = identify(child.pid) ?? { pid: child.pid, startTicks: 0, bootId: '' };
		this.#process = { identity, startedAtMs };
		this.#isChild = true;
		this.#onStart(this);
		const ended = (code: number | null, signal: NodeJS.Signals | null) =>
			this.#settle(true, code ?? 128 + constants.signals[signal ?? 'SIGKILL']);
		if (child.exitCode !== null || child.signalCode !== null) ended(child.exitCode, child.signalCode);
		else child.once('exit', ended);
	}

	/** Notices the end of a process that is not our child, and moves the log on. */
	poll(): void {
		if (this.#process && !this.#exit && !this.#isChild && !isAlive(this.#process.identity)) this.#settle(true);
		else this.log.pump();
	}

	signal(signal: NodeJS.Signals, reason: string = signal): void {
		if (!this.#process || this.#exit) return;
		if (signal === 'SIGKILL') this.#killed = reason;
		signalGroup(this.#process.identity.pid, signal);
	}

	/** Resolves true when the container has ended, false when the time is up first. */
	async exited(timeoutMs: number): Promise<boolean> {
		if (this.processGroup === undefined) return true;
		return new Promise((resolve) => {
			const timer = setTimeout(() => finish(false), timeoutMs);
			const ended = () => finish(true);
			const finish = (result: boolean) => {
				clearTimeout(timer);
				this.#waiting.delete(ended);
				resolve(result);
			};
			this.#waiting.add(ended);
		});
	}

	close(): void {
		this.log.close();
	}

	#settle(report: boolean, childExitCode?: number): void {
		if (this.#exit || !this.#process) return;
		let exit = readExit(this.#exitFile);
		if (!exit && this.#killed !== undefined) exit = writeExit(this.#exitFile, 137, this.#killed);
		if (!exit && childExitCode !== undefined)
			exit = writeExit(this.#exitFile, childExitCode, exitReason(childExitCode));
		exit ??= writeExit(this.#exitFile, EXIT_CODE_UNKNOWN, 'Unknown');
		// A command that handled SIGTERM late and ended by itself keeps its own exit code; a kill for memory does not.
		if (this.#killed === 'OOMKilled') exit = writeExit(this.#exitFile, 137, 'OOMKilled');
		this.#exit = exit;
		this.log.pump(true);
		for (const ended of [...this.#waiting]) ended();
		if (report) this.#onExit(this, exit);
	}
}
