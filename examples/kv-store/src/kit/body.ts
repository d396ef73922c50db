/** Reads a request's body with a limit that holds before the bytes are kept, whether or not the length is announced. */
import type { IncomingMessage } from 'node:http';
import { badRequest, Problem } from './problem.ts';

export async function readBody(req: IncomingMessage, bytesMax: number): Promise<Uint8Array> {
	const announced = Number(req.headers['content-length'] ?? 0);
	if (announced > bytesMax) throw tooLarge(bytesMax);
	const chunks: Buffer[] = [];
	let length = 0;
	try {
		// The socket must outlive a refusal: it carries the answer. Node discards the rest of the body.
		for await (const chunk of req.iterator({ destroyOnReturn: false })) {
			length += (chunk as Buffer).length;
			if (length > bytesMax) throw tooLarge(bytesMax);
			chunks.push(chunk as Buffer);
		}
	} catch (error) {
		if (error instanceof Problem) throw error;
		badRequest('the request ended before its body did');
	}
	return Buffer.concat(chunks, length);
}

function tooLarge(bytesMax: number): Problem {
	return new Problem(413, 'too_large', `the body is larger than ${bytesMax} bytes`, { facts: { limit: bytesMax } });
}
