/** One container of the memory runtime: runs its program, keeps its log lines and its end. */
import { exitReason } from '../exit-reason.ts';
import type { ContainerState, LogLine, LogOptions } from '../runtime.ts';
import type { Program, ProgramContext } from './program.ts';

export interface MemoryContainerOptions {
	readonly name: string;
	readonly image: string;
	readonly program: Program;
	readonly env: Readonly<Record<string, string>>;
	readonly argv: readonly string[];
	readonly volume: (path: string) => Map<string, string>;
	readonly now: () => number;
	readonly onExit: (container: MemoryContainer, exitCode: number, reason: string) => void;
}

export class MemoryContainer {
	readonly name: string;
	readonly image: string;
	readonly options: MemoryContainerOptions;
	readonly #lines: LogLine[] = [];
	readonly #changed = new Set<() => void>();
	#terminate = new AbortController();
	#kill = new AbortController();
	#state: ContainerState = { state: 'waiting', reason: 'ContainerCreating' };
	/** Counts starts, so that a program that was cut off cannot speak for its successor. */
	#run = 0;

	constructor(options: MemoryContainerOptions) {
		this.name = options.name;
		this.image = options.image;
		this.options = options;
	}

	get state(): ContainerState {
		return this.#state;
	}

	get isRunning(): boolean {
		return this.#state.state === 'running';
	}

	start(): void {
		const run = ++this.#run;
		this.#terminate = new AbortController();
		this.#kill = new AbortController();
		this.#state = { state: 'running', startedAtMs: this.options.now(), pid: run };
		this.options
			.program(this.context(run))
			.catch((error: unknown) => {
				this.#write(run, 'stderr', String(error));
				return 1;
			})
			.then((exitCode) => this.#end(run, exitCode, exitReason(exitCode)));
	}

	/** What a program sees; `exec` runs another program with the same view. */
	context(run = this.#run): ProgramContext {
		return {
			env: this.options.env,
			argv: this.options.argv,
			terminated: this.#terminate.signal,
			killed: this.#kill.signal,
			volume: this.options.volume,
			stdout: (line) => this.#write(run, 'stdout', line),
			stderr: (line) => this.#write(run, 'stderr', line),
		};
	}

	terminate(): void {
		this.#terminate.abort();
	}

	kill(reason = 'SIGKILL'): void {
		if (!this.isRunning) return;
		this.#kill.abort();
		this.#end(this.#run, 137, reason);
	}

	/** Resolves when the state or the log changes. */
	changed(): Promise<void> {
		return new Promise((resolve) => {
			const once = () => {
				this.#changed.delete(once);
				resolve();
			};
			this.#changed.add(once);
		});
	}

	async *logs(options: LogOptions): AsyncGenerator<LogLine> {
		let index = options.tail === undefined ? 0 : Math.max(0, this.#lines.length - options.tail);
		const aborted = new Promise<void>((resolve) => options.signal?.addEventListener('abort', () => resolve()));
		for (;;) {
			for (; index < this.#lines.length; index++) {
				const line = this.#lines[index];
				if (options.signal?.aborted || !line) return;
				yield line;
			}
			if (!options.follow || options.signal?.aborted || !this.isRunning) return;
			await Promise.race([this.changed(), aborted]);
		}
	}

	#end(run: number, exitCode: number, reason: string): void {
		if (run !== this.#run || !this.isRunning) return;
		this.#state = { state: 'exited', exitCode, reason, finishedAtMs: this.options.now() };
		this.options.onExit(this, exitCode, reason);
		this.#notify();
	}

	#write(run: number, stream: LogLine['stream'], line: string): void {
		if (run !== this.#run || !this.isRunning) return;
		this.#lines.push({ stream, timeMs: this.options.now(), line });
		this.#notify();
	}

	#notify(): void {
		for (const once of [...this.#changed]) once();
	}
}
