/** Reads manifest texts from files, folders and standard input. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MeshError } from '@beemesh/sdk/errors';
import type { ManifestSource } from './load.ts';
import { YAML_LIMITS } from './yaml.ts';

const MANIFEST_FILE = /\.(ya?ml|json)$/;

/** `-` is standard input; of a folder, its *.yaml, *.yml and *.json files in order of name. */
export async function readSources(
	paths: readonly string[],
	stdin: AsyncIterable<Uint8Array | string>,
): Promise<readonly ManifestSource[]> {
	const sources: ManifestSource[] = [];
	for (const path of paths) {
		if (path === '-') sources.push({ name: 'stdin', text: await readAll(stdin) });
		else if (/^https?:\/\//.test(path))
			throw new MeshError('invalid_input', `${path}: addresses are not fetched; download it and pass the file`);
		else for (const file of await filesOf(path)) sources.push({ name: file, text: await readLimited(file) });
	}
	return sources;
}

async function filesOf(path: string): Promise<readonly string[]> {
	const found = await stat(path).catch((cause: NodeJS.ErrnoException) => {
		throw new MeshError(
			'invalid_input',
			`${path}: ${cause.code === 'ENOENT' ? 'no such file or folder' : cause.message}`,
			{ cause },
		);
	});
	if (!found.isDirectory()) return [path];
	const names = (await readdir(path)).filter((name) => MANIFEST_FILE.test(name)).sort();
	if (names.length === 0)
		throw new MeshError('invalid_input', `${path}: the folder has no *.yaml, *.yml or *.json file`);
	return names.map((name) => join(path, name));
}

async function readLimited(file: string): Promise<string> {
	const { size } = await stat(file);
	if (size > YAML_LIMITS.bytesMax)
		throw new MeshError('invalid_input', `${file}: has ${size} bytes, the limit is ${YAML_LIMITS.bytesMax}`);
	return await readFile(file, 'utf8');
}

async function readAll(stdin: AsyncIterable<Uint8Array | string>): Promise<string> {
	const chunks: Buffer[] = [];
	let size = 0;
	for await (const chunk of stdin) {
		const bytes = Buffer.from(chunk as Uint8Array);
		size += bytes.byteLength;
		if (size > YAML_LIMITS.bytesMax)
			throw new MeshError('invalid_input', `stdin: more than ${YAML_LIMITS.bytesMax} bytes`);
		chunks.push(bytes);
	}
	return Buffer.concat(chunks).toString('utf8');
}
