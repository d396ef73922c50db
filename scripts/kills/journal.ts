/** What replicas have written down, read as it grows, and which of them live. */
import { closeSync, openSync, readSync, writeFileSync } from 'node:fs';

export interface JournalLine {
	readonly atMs: number;
	readonly message: string;
	readonly pid: number;
	readonly group: number;
	/** Of the pod's host. */
	readonly socket: string;
	readonly fields: Readonly<Record<string, unknown>>;
}

/** One process of a replica: a pod that is started again in place is another one. */
export interface Running {
	readonly pid: number;
	/** Process group of its container. */
	readonly group: number;
	readonly socket: string;
	readonly workload: string;
	readonly slot: number;
	readonly gen: number;
	readonly replicaId: string;
	ready: boolean;
	/** Of its first readiness. */
	readyAtMs: number | undefined;
	/** Killed or stopped by the campaign. */
	isHit: boolean;
}

export class Journal {
	readonly path: string;
	readonly #file: number;
	readonly #buffer = Buffer.alloc(256 * 1024);
	readonly #runs = new Map<number, Running>();
	readonly #listeners: ((line: JournalLine, run: Running | undefined) => void)[] = [];
	readonly #timer: NodeJS.Timeout;
	#offset = 0;
	#rest = '';

	constructor(path: string) {
		this.path = path;
		writeFileSync(path, '');
		this.#file = openSync(path, 'r');
		this.#timer = setInterval(() => this.read(), 20);
	}

	onLine(listener: (line: JournalLine, run: Running | undefined) => void): void {
		this.#listeners.push(listener);
	}

	/** Processes that have joined and live. */
	running(): Running[] {
		for (const { pid } of this.#runs.values()) if (!isAlive(pid)) this.#runs.delete(pid);
		return [...this.#runs.values()];
	}

	close(): void {
		clearInterval(this.#timer);
		closeSync(this.#file);
	}

	read(): void {
		for (;;) {
			const length = readSync(this.#file, this.#buffer, 0, this.#buffer.length, this.#offset);
			if (length === 0) return;
			this.#offset += length;
			const lines = (this.#rest + this.#buffer.toString('utf8', 0, length)).split('\n');
			this.#rest = lines.pop() ?? '';
			for (const line of lines) this.#take(line);
		}
	}

	#take(text: string): void {
		const fields = JSON.parse(text) as Record<string, unknown>;
		const { time, message, pid, group, socket } = fields as Record<string, string> & { pid: number; group: number };
		const line = { atMs: Date.parse(time ?? ''), message: message ?? '', pid, group, socket: socket ?? '', fields };
		if (message === 'campaign: runs') {
			const { workload, slot, gen, replicaId } = fields as unknown as Running;
			const run = { pid, group, socket: line.socket, workload, slot, gen, replicaId };
			this.#runs.set(pid, { ...run, ready: false, readyAtMs: undefined, isHit: false });
		}
		const run = this.#runs.get(pid);
		if (run !== undefined && message === 'campaign: ready') {
			run.ready = true;
			run.readyAtMs ??= line.atMs;
		}
		if (run !== undefined && message === 'campaign: not ready') run.ready = false;
		for (const listener of this.#listeners) listener(line, run);
	}
}

function isAlive(pid: number): boolean {
	try {
		process.kill(pid, 0);
		return true;
	} catch {
		return false;
	}
}
