/** Podman's log endpoint as lines: splits the multiplexed stream into frames, and its timestamps from the text. */
import type { LogLine } from '../runtime.ts';

const HEADER_BYTES = 8;

/** Decodes chunks of Docker's multiplexed stream (1 byte stream, 3 unused, 4 length big-endian, payload). */
export class LogDecoder {
	#rest: Buffer = Buffer.alloc(0);
	readonly #partial: Record<LogLine['stream'], string> = { stdout: '', stderr: '' };

	push(chunk: Buffer): LogLine[] {
		this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
		const lines: LogLine[] = [];
		while (this.#rest.length >= HEADER_BYTES) {
			const length = this.#rest.readUInt32BE(4);
			if (this.#rest.length < HEADER_BYTES + length) break;
			const stream = this.#rest[0] === 2 ? 'stderr' : 'stdout';
			const text = this.#rest.subarray(HEADER_BYTES, HEADER_BYTES + length).toString('utf8');
			this.#rest = this.#rest.subarray(HEADER_BYTES + length);
			this.#take(stream, text, lines);
		}
		return lines;
	}

	/**
	 * Each frame is one record: a time, a space, text. A long line comes as several records, each with its time, of which
	 * only the last ends in a newline.
	 */
	#take(stream: LogLine['stream'], record: string, lines: LogLine[]): void {
		const space = record.indexOf(' ');
		const parsedMs = Date.parse(record.slice(0, space));
		const timeMs = Number.isNaN(parsedMs) ? Date.now() : parsedMs;
		const text = Number.isNaN(parsedMs) ? record : record.slice(space + 1);
		this.#partial[stream] += text;
		if (!text.endsWith('\n')) return;
		const whole = this.#partial[stream].slice(0, -1);
		this.#partial[stream] = '';
		for (const line of whole.split('\n')) lines.push({ stream, timeMs, line: line.replace(/\r$/, '') });
	}
}
