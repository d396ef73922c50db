/** One change of a file at a time: two commands that read, change and replace it would lose one of the changes. */
import { open, readFile, rm } from 'node:fs/promises';
import { MeshError } from '@beemesh/sdk/errors';

/** Throws `conflict` while another process has the file. */
export async function withFileLock<T>(file: string, act: () => Promise<T>): Promise<T> {
	const lock = `${file}.lock`;
	const handle = await open(lock, 'wx', 0o600).catch(async (cause: NodeJS.ErrnoException) => {
		if (cause.code !== 'EEXIST')
			throw new MeshError('unauthorized', `cannot change ${file}: ${cause.message}`, { cause });
		const holder = await readFile(lock, 'utf8').catch(() => '');
		throw new MeshError(
			'conflict',
			`another beectl (process ${holder.trim() || 'unknown'}) is changing ${file}; try again when it is done, or remove ${lock} if it is no longer there`,
			{ cause },
		);
	});
	try {
		await handle.writeFile(`${process.pid}\n`);
		return await act();
	} finally {
		await handle.close();
		await rm(lock, { force: true });
	}
}
