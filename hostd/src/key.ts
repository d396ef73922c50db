/** This machine's key: made once, kept 0600 in the state folder. The only secret of a host. */
import { randomBytes } from 'node:crypto';
import { link, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MeshError } from '@beemesh/sdk/errors';
import { createKeyPair, type KeyPair } from '@beemesh/sdk/identity';

/** The key in this folder, which exists; the key is made when there is none. Throws `unauthorized` when others can read it. */
export async function loadMachineKey(stateDir: string): Promise<KeyPair> {
	const path = join(stateDir, 'machine.key');
	const fresh = join(stateDir, `machine.key.${process.pid}`);
	await writeFile(fresh, randomBytes(32), { mode: 0o600 });
	// link fails when the key exists, so two processes that start at once agree on one.
	await link(fresh, path).catch((error: NodeJS.ErrnoException) => {
		if (error.code !== 'EEXIST') throw error;
	});
	await rm(fresh);
	const { mode } = await stat(path);
	if ((mode & 0o077) !== 0) {
		throw new MeshError(
			'unauthorized',
			`${path} can be read by others (mode ${(mode & 0o777).toString(8)}); run: chmod 600 ${path}`,
		);
	}
	const seed = await readFile(path);
	if (seed.byteLength !== 32)
		throw new MeshError('corrupt', `${path} is not a machine key: it has ${seed.byteLength} bytes, not 32`);
	return createKeyPair(new Uint8Array(seed));
}
