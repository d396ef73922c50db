/** The owner's key on disk: one line of JSON, readable by its owner only. */
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { MeshError } from '@beemesh/sdk/errors';
import { createKeyPair, type KeyPair } from '@beemesh/sdk/identity';
import * as v from 'valibot';

const schema = v.strictObject({
	v: v.literal(1),
	type: v.literal('beemesh-owner'),
	seed: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{43}$/)),
});

/** Makes a new key. Never replaces one: what it owns would be lost. */
export async function createOwnerKey(file: string): Promise<KeyPair> {
	const key = createKeyPair();
	const line = JSON.stringify({ v: 1, type: 'beemesh-owner', seed: Buffer.from(key.seed).toString('base64url') });
	await mkdir(dirname(file), { recursive: true, mode: 0o700 }).catch((cause: Error) => {
		throw unusable(file, cause);
	});
	try {
		await writeFile(file, `${line}\n`, { mode: 0o600, flag: 'wx', flush: true });
	} catch (cause) {
		if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw unusable(file, cause as Error);
		throw new MeshError('conflict', `${file} exists already and is left as it is; name another file with --owner`, {
			cause,
		});
	}
	return key;
}

/** Throws `not_found` (no key yet), `unauthorized` (others can read it) or `invalid_input` (not a key). */
export async function readOwnerKey(file: string): Promise<KeyPair> {
	const found = await stat(file).catch((cause: NodeJS.ErrnoException) => {
		if (cause.code !== 'ENOENT') throw unusable(file, cause);
		throw new MeshError(
			'not_found',
			`there is no owner key at ${file}; make one with \`beectl owner create\`, or name another file with --owner`,
			{ cause },
		);
	});
	if (!found.isFile()) throw new MeshError('invalid_input', `${file} is not a file; name the owner key with --owner`);
	const { mode } = found;
	if ((mode & 0o077) !== 0) {
		throw new MeshError(
			'unauthorized',
			`${file} can be read by others (mode ${(mode & 0o777).toString(8)}); run \`chmod 600 ${file}\``,
		);
	}
	const parsed = v.safeParse(schema, parseJson(await readKey(file)));
	if (!parsed.success)
		throw new MeshError('invalid_input', `${file} is not an owner key as \`beectl owner create\` makes it`);
	return createKeyPair(Buffer.from(parsed.output.seed, 'base64url'));
}

async function readKey(file: string): Promise<string> {
	try {
		return await readFile(file, 'utf8');
	} catch (cause) {
		throw unusable(file, cause as Error);
	}
}

function unusable(file: string, cause: Error): MeshError {
	return new MeshError('unauthorized', `cannot use the owner key ${file}: ${cause.message}`, { cause });
}

function parseJson(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}
