/** Looks for words in the memory of another process of this user: what is nowhere in it cannot be taken from it. */
import { type FileHandle, open, readFile } from 'node:fs/promises';

const CHUNK_BYTES = 4 * 1024 * 1024;

/** Which of the words are in it. Throws where the system does not let us look. */
export async function wordsInMemory(pid: number, words: readonly string[]): Promise<string[]> {
	const found = new Set<string>();
	const memory = await open(`/proc/${pid}/mem`, 'r');
	try {
		for (const { start, end } of await regionsOf(pid)) {
			for await (const bytes of chunksOf(memory, start, end, Math.max(...words.map(({ length }) => length)))) {
				for (const word of words)
					if (bytes.includes(word) || bytes.includes(Buffer.from(word, 'utf16le'))) found.add(word);
			}
		}
	} finally {
		await memory.close();
	}
	return words.filter((word) => found.has(word));
}

/** What the process may write: heaps, stacks, buffers. */
async function regionsOf(pid: number): Promise<{ readonly start: number; readonly end: number }[]> {
	const maps = await readFile(`/proc/${pid}/maps`, 'utf8');
	return maps.split('\n').flatMap((line) => {
		const match = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line);
		return match === null
			? []
			: [{ start: Number.parseInt(match[1] ?? '', 16), end: Number.parseInt(match[2] ?? '', 16) }];
	});
}

/** Overlapping, so that no word is cut in two. */
async function* chunksOf(memory: FileHandle, start: number, end: number, overlap: number): AsyncGenerator<Buffer> {
	const buffer = Buffer.alloc(CHUNK_BYTES);
	for (let at = start; at < end; ) {
		const length = Math.min(CHUNK_BYTES, end - at);
		const read = await memory.read(buffer, 0, length, at).then(
			({ bytesRead }) => bytesRead,
			// A region that is reserved and not there.
			() => 0,
		);
		if (read === 0) return;
		yield buffer.subarray(0, read);
		if (at + read >= end) return;
		at += Math.max(1, read - 2 * overlap);
	}
}
