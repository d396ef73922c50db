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

	#take(stream: LogLine['stream'], text: string, lines: LogLine[]): void {
		const parts = (this.#partial[stream] + text).split('\n');
		this.#partial[stream] = parts.pop() ?? '';
		for (const part of parts) {
			const space = part.indexOf(' ');
			const timeMs = Date.parse(part.slice(0, space));
			if (Number.isNaN(timeMs)) lines.push({ stream, timeMs: Date.now(), line: part });
			else lines.push({ stream, timeMs, line: part.slice(space + 1).replace(/\r$/, '') });
		}
	}
}
