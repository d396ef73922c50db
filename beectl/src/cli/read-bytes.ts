/** What a file or standard input holds, up to a limit. */
import { createReadStream } from 'node:fs';
import { MeshError } from '@beemesh/sdk/errors';

const BYTES_MAX = 1024 * 1024;

/** `-` is standard input. Throws `invalid_input` for what cannot be read, and for more than 1 MiB. */
export async function readBytes(path: string, stdin: AsyncIterable<Uint8Array | string>): Promise<Uint8Array> {
	const name = path === '-' ? 'standard input' : path;
	// As a stream: what a pipe or a device holds has no size before it was read.
	const stream: AsyncIterable<Uint8Array | string> = path === '-' ? stdin : createReadStream(path);
	const chunks: Uint8Array[] = [];
	let size = 0;
	try {
		for await (const chunk of stream) {
			const bytes = typeof chunk === 'string' ? new TextEncoder().encode(chunk) : chunk;
			size += bytes.byteLength;
			if (size > BYTES_MAX) throw new MeshError('invalid_input', `${name} has more than ${BYTES_MAX} bytes`);
			chunks.push(bytes);
		}
	} catch (cause) {
		if (cause instanceof MeshError) throw cause;
		const { code, message } = cause as NodeJS.ErrnoException;
		throw new MeshError('invalid_input', `${name}: ${code === 'ENOENT' ? 'no such file' : message}`, { cause });
	}
	return new Uint8Array(Buffer.concat(chunks));
}
