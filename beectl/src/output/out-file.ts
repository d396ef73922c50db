/** Where text that others will carry goes: standard output, or a file that is not something else already. */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MeshError } from '@beemesh/sdk/errors';
import { type ArmorKind, armorKindOf } from '@beemesh/sdk/identity';
import type { Terminal } from './terminal.ts';

/** `path` undefined or `-`: standard output. Returns what to call the place. */
export async function writeArmored(
	out: Terminal,
	path: string | undefined,
	kind: ArmorKind,
	text: string,
): Promise<string> {
	if (path === undefined || path === '-') {
		out.write(text);
		return 'standard output';
	}
	await requireReplaceable(path, kind);
	const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
	try {
		await mkdir(dirname(path), { recursive: true });
		await writeFile(temporary, text, { mode: 0o600, flag: 'wx', flush: true });
		await rename(temporary, path);
	} catch (cause) {
		await rm(temporary, { force: true }).catch(() => {});
		throw new MeshError('invalid_input', `cannot write ${path}: ${(cause as Error).message}`, { cause });
	}
	return path;
}

/** A folder gets a file of this name in it. */
export async function fileIn(path: string, name: string): Promise<string> {
	return (await isFolder(path)) ? join(path, name) : path;
}

export async function isFolder(path: string): Promise<boolean> {
	if (path.endsWith('/')) return true;
	return stat(path).then(
		(found) => found.isDirectory(),
		() => false,
	);
}

/** An older file of the same kind may go; anything else was named by mistake. */
async function requireReplaceable(path: string, kind: ArmorKind): Promise<void> {
	const text = await readFile(path, 'latin1').catch((error: NodeJS.ErrnoException) => {
		if (error.code === 'ENOENT') return undefined;
		throw new MeshError('invalid_input', `cannot write ${path}: ${error.message}`, { cause: error });
	});
	if (text !== undefined && armorKindOf(text) !== kind)
		throw new MeshError('conflict', `${path} exists already and is something else; name another file with -o`);
}
