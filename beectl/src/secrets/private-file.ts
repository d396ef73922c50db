/**
 * Files that only their owner may read: 0600 in a folder that was made 0700. Written whole or not at all, and never over
 * another file unless that is asked for.
 */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { MeshError } from '@beemesh/sdk/errors';

/** What a file is and how to name another one, for messages. */
export interface FileWords {
	/** `the owner key`. */
	readonly what: string;
	/** `--owner`. */
	readonly option: string;
	/** What to do when there is none: `make one with …`. */
	readonly missing: string;
}

const BYTES_MAX = 4 * 1024 * 1024;

/** Throws `conflict` when the file exists: what it holds cannot be made again. */
export async function createPrivateFile(file: string, text: string, words: FileWords): Promise<void> {
	await written(file, text, words, async (temporary) => {
		try {
			// Unlike a rename, a link never replaces.
			await link(temporary, file);
		} catch (cause) {
			if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
			throw new MeshError(
				'conflict',
				`${file} exists already and is left as it is; name another file with ${words.option}`,
				{ cause },
			);
		} finally {
			await rm(temporary, { force: true });
		}
	});
}

/** Replaces the file in one step: after a crash it is the old one or the new one. */
export async function replacePrivateFile(file: string, text: string, words: FileWords): Promise<void> {
	await written(file, text, words, (temporary) => rename(temporary, file));
}

/** Throws `not_found`, `unauthorized` (others can read it), or `invalid_input` (no file, or far too large). */
export async function readPrivateFile(file: string, words: FileWords): Promise<string> {
	const found = await stat(file).catch((cause: NodeJS.ErrnoException) => {
		if (cause.code !== 'ENOENT') throw unusable(file, words, cause);
		throw new MeshError(
			'not_found',
			`there is no ${bare(words)} at ${file}; ${words.missing}, or name another file with ${words.option}`,
			{ cause },
		);
	});
	if (!found.isFile())
		throw new MeshError('invalid_input', `${file} is not a file; name ${words.what} with ${words.option}`);
	if ((found.mode & 0o077) !== 0) {
		throw new MeshError(
			'unauthorized',
			`${file} can be read by others (mode ${(found.mode & 0o777).toString(8)}); run \`chmod 600 ${file}\``,
		);
	}
	if (found.size > BYTES_MAX)
		throw new MeshError(
			'invalid_input',
			`${file} has ${found.size} bytes; no ${bare(words)} has more than ${BYTES_MAX}`,
		);
	return readFile(file, 'utf8').catch((cause: Error) => {
		throw unusable(file, words, cause);
	});
}

async function written(
	file: string,
	text: string,
	words: FileWords,
	publish: (temporary: string) => Promise<void>,
): Promise<void> {
	const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
	try {
		await mkdir(dirname(file), { recursive: true, mode: 0o700 });
		const handle = await open(temporary, 'wx', 0o600);
		try {
			await handle.writeFile(text);
			await handle.sync();
		} finally {
			await handle.close();
		}
		await publish(temporary);
		// The name is safe only when its folder is.
		const folder = await open(dirname(file));
		await folder.sync().finally(() => folder.close());
	} catch (cause) {
		await rm(temporary, { force: true }).catch(() => {});
		throw cause instanceof MeshError ? cause : unusable(file, words, cause as Error);
	}
}

function unusable(file: string, words: FileWords, cause: Error): MeshError {
	return new MeshError('unauthorized', `cannot use ${words.what} ${file}: ${cause.message}`, { cause });
}

function bare({ what }: FileWords): string {
	return what.replace(/^the /, '');
}
