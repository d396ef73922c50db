/**
 * A malicious peer: a process of its own that speaks the real protocols and plays one part wrongly. Reads what to try from
 * standard input, one line each, and writes how it went.
 */
import { createInterface } from 'node:readline';
import { decodeRecord, encodeRecord } from '@beemesh/sdk/wire';
import { ATTACKS } from './attacks.ts';

const BYTES_MAX = 16 * 1024 * 1024;

for await (const line of createInterface(process.stdin)) {
	const { attack, input } = decodeRecord(new Uint8Array(Buffer.from(line, 'base64')), BYTES_MAX) as {
		attack: keyof typeof ATTACKS;
		input: never;
	};
	const answer = await ATTACKS[attack](input).then(
		(result) => ({ result }),
		(error: Error) => ({ error: `${error.stack}` }),
	);
	process.stdout.write(`${Buffer.from(encodeRecord(answer)).toString('base64')}\n`);
}
process.exit(0);
