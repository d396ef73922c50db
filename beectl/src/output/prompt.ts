/** Asks a person for a secret without showing it. */
import { closeSync, openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { ReadStream } from 'node:tty';
import { MeshError } from '@beemesh/sdk/errors';
import type { Prompt } from '../secrets/passphrase.ts';

/** At the terminal itself, as ssh does: standard input may hold a manifest. Undefined where nobody would see the question. */
export function terminalPrompt(
	screen: { readonly isTTY?: boolean; write(text: string): unknown },
	signal: AbortSignal,
): Prompt {
	if (screen.isTTY !== true) return undefined;
	try {
		closeSync(openSync('/dev/tty', 'r+'));
	} catch {
		return undefined;
	}
	return (question) => ask(question, screen, signal);
}

async function ask(question: string, screen: { write(text: string): unknown }, signal: AbortSignal): Promise<string> {
	const keyboard = new ReadStream(openSync('/dev/tty', 'r+'));
	// As a terminal, readline takes each key and echoes to an output that shows nothing.
	const output = new Writable({ write: (_chunk, _encoding, done) => done() });
	const lines = createInterface({ input: keyboard, output, terminal: true });
	try {
		screen.write(question);
		return await new Promise((resolve, reject) => {
			const stop = () => reject(new MeshError('cancelled', 'interrupted; no passphrase was given'));
			signal.addEventListener('abort', stop, { once: true });
			lines.once('SIGINT', stop);
			lines.once('close', stop);
			lines.once('line', resolve);
		});
	} finally {
		screen.write('\n');
		lines.close();
		keyboard.destroy();
	}
}
