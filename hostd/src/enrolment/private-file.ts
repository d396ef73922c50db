/** Files that hold secrets: for their owner alone, and never half written. */
import { rename, rm, stat, writeFile } from 'node:fs/promises';
import { MeshError } from '@beemesh/sdk/errors';

/** Throws `unauthorized` when anybody but its owner can read or write it. */
export async function requirePrivate(path: string): Promise<void> {
	const { mode } = await stat(path);
	if ((mode & 0o077) === 0) return;
	throw new MeshError(
		'unauthorized',
		`${path} can be read by others (mode ${(mode & 0o777).toString(8)}); run: chmod 600 ${path}`,
	);
}

/** Replaces the file as a whole, 0600. */
export async function writePrivate(path: string, bytes: Uint8Array): Promise<void> {
	const fresh = `${path}.${process.pid}.new`;
	try {
		await writeFile(fresh, bytes, { mode: 0o600, flush: true });
		await rename(fresh, path);
	} catch (error) {
		await rm(fresh, { force: true });
		throw error;
	}
}
