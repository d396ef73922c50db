/** Reads the operator's policy file, once at start. Who can write it decides what containers may do to this machine. */
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { MeshError } from '@beemesh/sdk/errors';
import { parsePolicy } from './allowances.ts';
import { HostPolicy } from './host-policy.ts';

const BYTES_MAX = 1024 * 1024;

/** Throws `invalid_input` when there is a file that cannot be trusted, read or understood. */
export async function loadHostPolicy(config: {
	readonly policy?: string | undefined;
	readonly stateDir: string;
	readonly socket: string;
	readonly podmanSocket?: string | undefined;
}): Promise<HostPolicy> {
	const { policy, stateDir, socket, podmanSocket } = config;
	const own = [stateDir, dirname(socket), podmanSocket, policy].filter((path) => path !== undefined);
	if (policy === undefined) return new HostPolicy({ protectedPaths: own });
	return new HostPolicy({ protectedPaths: own, content: parsePolicy(await readTrusted(policy), policy) });
}

async function readTrusted(path: string): Promise<string> {
	let file: FileHandle;
	try {
		file = await open(path, 'r');
	} catch (cause) {
		throw new MeshError('invalid_input', `cannot read the policy file ${path}: ${(cause as Error).message}`, { cause });
	}
	try {
		const { mode, uid, size } = await file.stat();
		const me = process.geteuid?.() ?? 0;
		const wrong = (what: string, help: string) =>
			new MeshError('invalid_input', `the policy file ${path} ${what}: ${help}`);
		if ((mode & 0o170_000) !== 0o100_000) throw wrong('is no file', 'name a file of JSON');
		if (uid !== me && uid !== 0) {
			throw wrong(`belongs to user ${uid}`, `it must be root's or of the user that hostd runs as: chown ${me} ${path}`);
		}
		if ((mode & 0o022) !== 0) throw wrong('can be written by other users', `chmod go-w ${path}`);
		if (size > BYTES_MAX) throw wrong(`has ${size} bytes`, `the limit is ${BYTES_MAX}`);
		return await file.readFile('utf8');
	} finally {
		await file.close();
	}
}
