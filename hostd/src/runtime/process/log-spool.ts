/**
 * The log of one container. The container writes into plain spool files that stay writable when hostd is gone;
 * hostd moves whole lines from there into a log with a time per line, and bounds both.
 *
 * Files: `spool/<name>.stdout`, `spool/<name>.stderr` (raw), `spool/<name>.consumed` (how far each was read),
 * `<name>.log` and `<name>.log.1` (lines as `<unix ms> <stream> <text>`).
 */
import {
	appendFileSync,
	closeSync,
	fstatSync,
	ftruncateSync,
	mkdirSync,
	openSync,
	readFileSync,
	readSync,
	renameSync,
	statSync,
	writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { StringDecoder } from 'node:string_decoder';
import type { LogLine } from '../runtime.ts';

const STREAMS = ['stdout', 'stderr'] as const;
type Stream = (typeof STREAMS)[number];

/** A log file is rotated at this size; one older file is kept. */
const LOG_BYTES_MAX = 10 * 1024 * 1024;
/** A fully read spool above this size is emptied. */
const SPOOL_BYTES_KEPT = 1024 * 1024;
/** A spool that outgrows hostd is dropped up to here, so that a chatty container cannot fill the disk. */
const SPOOL_BYTES_MAX = 64 * 1024 * 1024;
/** Longer lines are cut. */
const LINE_BYTES_MAX = 64 * 1024;
const CHUNK_BYTES = 256 * 1024;
/** Read per pump and stream, so that one container cannot hold the event loop. */
const PUMP_BYTES_MAX = 4 * 1024 * 1024;

export class LogSpool {
	readonly #folder: string;
	readonly #name: string;
	readonly #files: Readonly<Record<Stream, number>>;
	readonly #consumed: Record<Stream, number> = { stdout: 0, stderr: 0 };
	readonly #listeners = new Set<(line: LogLine) => void>();
	/** Lines that could not be written since the last one that could. */
	#lost: { readonly lines: number; readonly why: string } | undefined;
	#closed = false;

	constructor(folder: string, name: string) {
		this.#folder = folder;
		this.#name = name;
		mkdirSync(join(folder, 'spool'), { recursive: true, mode: 0o700 });
		// Appending matters: after hostd empties the spool, the container goes on at the new end.
		const open = (stream: Stream) => openSync(join(folder, 'spool', `${name}.${stream}`), 'a+', 0o600);
		this.#files = { stdout: open('stdout'), stderr: open('stderr') };
		this.#readConsumed();
	}

	/** File descriptors for the container's stdout and stderr. */
	get descriptors(): readonly [number, number] {
		return [this.#files.stdout, this.#files.stderr];
	}

	/** Moves complete lines into the log; with `final`, also a last line without its newline. */
	pump(final = false): void {
		if (this.#closed) return;
		const lines: LogLine[] = [];
		for (const stream of STREAMS) this.#pumpStream(stream, final, lines);
		if (lines.length === 0) return;
		this.#keep(lines);
		for (const line of lines) for (const listener of [...this.#listeners]) listener(line);
	}

	/** All lines that are kept, oldest first. */
	read(tail?: number): LogLine[] {
		const lines: LogLine[] = [];
		for (const path of [`${this.#logPath}.1`, this.#logPath]) {
			for (const text of readIfPresent(path).split('\n')) {
				const line = parseLine(text);
				if (line) lines.push(line);
			}
		}
		return tail === undefined ? lines : lines.slice(Math.max(0, lines.length - tail));
	}

	subscribe(listener: (line: LogLine) => void): Disposable {
		this.#listeners.add(listener);
		return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
	}

	close(): void {
		if (this.#closed) return;
		this.#closed = true;
		for (const stream of STREAMS) closeSync(this.#files[stream]);
	}

	get #logPath(): string {
		return join(this.#folder, `${this.#name}.log`);
	}

	get #consumedPath(): string {
		return join(this.#folder, 'spool', `${this.#name}.consumed`);
	}

	#readConsumed(): void {
		try {
			const saved = JSON.parse(readIfPresent(this.#consumedPath) || '{}') as Partial<Record<Stream, number>>;
			for (const stream of STREAMS) this.#consumed[stream] = saved[stream] ?? 0;
		} catch {
			// A torn file after a crash: the spool is read again from its start, lines may appear twice.
		}
	}

	#pumpStream(stream: Stream, final: boolean, lines: LogLine[]): void {
		const file = this.#files[stream];
		const stat = fstatSync(file);
		if (stat.size < this.#consumed[stream]) this.#consumed[stream] = 0;
		// Every pod is looked at many times a second, and most have nothing to say.
		if (stat.size === this.#consumed[stream]) return;
		// The last write's time is the truth for lines that waited while no hostd ran.
		const timeMs = Math.round(Math.min(Date.now(), stat.mtimeMs));
		if (stat.size - this.#consumed[stream] > SPOOL_BYTES_MAX) {
			const dropped = stat.size - this.#consumed[stream];
			ftruncateSync(file, 0);
			this.#consumed[stream] = 0;
			lines.push({ stream, timeMs, line: `[${dropped} bytes of log dropped: written faster than they can be kept]` });
			return;
		}
		const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
		for (let total = 0; final || total < PUMP_BYTES_MAX; ) {
			const bytes = readSync(file, chunk, 0, CHUNK_BYTES, this.#consumed[stream]);
			const isLast = final && bytes < CHUNK_BYTES;
			const taken = takeLines(chunk.subarray(0, bytes), isLast, (line) => lines.push({ stream, timeMs, line }));
			if (taken === 0) break;
			this.#consumed[stream] += taken;
			total += taken;
		}
		// Nothing to wait for between the comparison and the cut: a line lost here needs a write in microseconds.
		if (this.#consumed[stream] > SPOOL_BYTES_KEPT && fstatSync(file).size === this.#consumed[stream]) {
			ftruncateSync(file, 0);
			this.#consumed[stream] = 0;
		}
	}

	/** A full disk costs log lines, never the pod or hostd: they are counted, and the log says so when it goes on. */
	#keep(lines: readonly LogLine[]): void {
		const gap =
			this.#lost === undefined
				? ''
				: `${lines[0]?.timeMs} stderr [${this.#lost.lines} lines of log lost: ${this.#lost.why}]\n`;
		try {
			this.#append(gap + lines.map((line) => `${line.timeMs} ${line.stream} ${line.line}\n`).join(''));
			this.#lost = undefined;
			writeFileSync(this.#consumedPath, JSON.stringify(this.#consumed));
		} catch (error) {
			this.#lost = { lines: (this.#lost?.lines ?? 0) + lines.length, why: (error as Error).message };
		}
	}

	#append(text: string): void {
		appendFileSync(this.#logPath, text, { mode: 0o600 });
		if (statSync(this.#logPath).size > LOG_BYTES_MAX) renameSync(this.#logPath, `${this.#logPath}.1`);
	}
}

/** Reports the lines in `bytes` and returns how many bytes they took. */
function takeLines(bytes: Buffer, final: boolean, report: (line: string) => void): number {
	let start = 0;
	for (;;) {
		const end = bytes.indexOf(10, start);
		if (end >= 0) {
			report(decode(bytes.subarray(start, Math.min(end, start + LINE_BYTES_MAX))));
			start = end + 1;
			continue;
		}
		const rest = bytes.length - start;
		if (rest > LINE_BYTES_MAX || (final && rest > 0)) {
			const cut = Math.min(rest, LINE_BYTES_MAX);
			report(decode(bytes.subarray(start, start + cut)));
			start += cut;
			continue;
		}
		return start;
	}
}

/** UTF-8, without a replacement character for a sequence that the cut split. */
function decode(bytes: Buffer): string {
	return new StringDecoder('utf8').write(bytes).replace(/\r$/, '');
}

function parseLine(text: string): LogLine | undefined {
	const match = /^([0-9]+) (stdout|stderr) (.*)$/s.exec(text);
	if (!match) return undefined;
	return { timeMs: Number(match[1]), stream: match[2] as Stream, line: match[3] ?? '' };
}

function readIfPresent(path: string): string {
	try {
		return readFileSync(path, 'utf8');
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
		throw error;
	}
}
