/** This machine's keys: made once, kept 0600 in the state folder. They never leave it. */
import { randomBytes } from 'node:crypto';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MeshError } from '@beemesh/sdk/errors';
import { createNodeKeys, NODE_SEED_BYTES, type NodeKeys } from '@beemesh/sdk/identity';
import { requirePrivate } from './private-file.ts';

/** The keys in this folder, which exists; made when there are none. Throws `unauthorized` when others can read them. */
export async function loadNodeKeys(stateDir: string): Promise<NodeKeys> {
	const path = join(stateDir, 'machine.key');
	const fresh = `${path}.${process.pid}`;
	await writeFile(fresh, randomBytes(NODE_SEED_BYTES), { mode: 0o600, flush: true });
	// link fails when the key exists, so two processes that start at once agree on one.
	await link(fresh, path).catch((error: NodeJS.ErrnoException) => {
		if (error.code !== 'EEXIST') throw error;
	});
	await rm(fresh);
	await requirePrivate(path);
	const seed = await readFile(path);
	if (seed.byteLength !== NODE_SEED_BYTES) {
		throw new MeshError(
			'corrupt',
			`${path} has ${seed.byteLength} bytes, not the ${NODE_SEED_BYTES} of a machine's keys; restore it, or remove it and enrol this machine anew`,
		);
	}
	return createNodeKeys(new Uint8Array(seed));
}
