/** Where passphrases come from: a file, or a person at a terminal. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { MeshError } from '@beemesh/sdk/errors';

const CHARS_MIN = 8;
const BYTES_MAX = 4096;

/** Asks a person without showing the answer. Undefined where there is no terminal. */
export type Prompt = ((question: string) => Promise<string>) | undefined;

export interface Passphrases {
	/** For a secret that is made now. */
	forNew(what: string): Promise<string>;
	/** For a secret that is there; asked for once. Rejects without a file and without a terminal. */
	forExisting(what: string): Promise<string>;
}

/** `file`: of `--passphrase-file`, or of the environment. */
export function passphrasesFrom(file: string | undefined, prompt: Prompt): Passphrases {
	const ask = (what: string, orElse = ''): NonNullable<Prompt> => {
		if (prompt !== undefined) return prompt;
		throw new MeshError(
			'unauthorized',
			`${what} needs a passphrase and there is no terminal to ask at: name a file that holds it with --passphrase-file FILE or BEEMESH_PASSPHRASE_FILE${orElse}, or run this at a terminal`,
		);
	};
	const given = new Map<string, Promise<string>>();
	return {
		async forNew(what) {
			if (file !== undefined) return longEnough(await passphraseIn(file), file);
			const question = ask(what, ', make it without one with --no-passphrase');
			const passphrase = longEnough(await question(`New passphrase for ${what}: `), 'the passphrase');
			if ((await question('The same again: ')) !== passphrase)
				throw new MeshError('invalid_input', 'the two passphrases differ; nothing was made');
			return passphrase;
		},
		async forExisting(what) {
			const known = given.get(what);
			if (known !== undefined) return known;
			const passphrase = file === undefined ? ask(what)(`Passphrase for ${what}: `) : passphraseIn(file);
			given.set(what, passphrase);
			return passphrase;
		},
	};
}

async function passphraseIn(file: string): Promise<string> {
	const chunks: Buffer[] = [];
	try {
		const found = await stat(file);
		if (found.isFile() && (found.mode & 0o077) !== 0)
			throw new MeshError('unauthorized', `${file} can be read by others; run \`chmod 600 ${file}\``);
		// As a stream: what a pipe holds has no size before it was read.
		for await (const chunk of createReadStream(file, { end: BYTES_MAX })) chunks.push(chunk as Buffer);
	} catch (cause) {
		if (cause instanceof MeshError) throw cause;
		throw new MeshError('invalid_input', `cannot read the passphrase from ${file}: ${(cause as Error).message}`, {
			cause,
		});
	}
	const bytes = Buffer.concat(chunks);
	if (bytes.byteLength > BYTES_MAX)
		throw new MeshError('invalid_input', `${file} has more than ${BYTES_MAX} bytes; a passphrase is one line`);
	return bytes.toString('utf8').replace(/\r?\n$/, '');
}

function longEnough(passphrase: string, where: string): string {
	const chars = [...passphrase].length;
	if (chars < CHARS_MIN)
		throw new MeshError('invalid_input', `${where}: ${chars} characters are too few; take at least ${CHARS_MIN}`);
	return passphrase;
}
