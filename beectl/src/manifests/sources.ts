/** Reads manifest texts from files, folders and standard input. */
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
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
		if (path === '-') sources.push({ name: 'stdin', text: await readLimited('stdin', stdin) });
		else if (/^https?:\/\//.test(path))
			throw new MeshError('invalid_input', `${path}: addresses are not fetched; download it and pass the file`);
		else for (const file of await filesOf(path)) sources.push({ name: file, text: await readFileLimited(file) });
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
	const names = (await readdir(path, { withFileTypes: true }))
		.filter((entry) => MANIFEST_FILE.test(entry.name) && !entry.isDirectory())
		.map(({ name }) => name)
		.sort();
	if (names.length === 0)
		throw new MeshError('invalid_input', `${path}: the folder has no *.yaml, *.yml or *.json file`);
	return names.map((name) => join(path, name));
}

/** As a stream: what a pipe or a device holds has no size before it was read. */
async function readFileLimited(file: string): Promise<string> {
	try {
		return await readLimited(file, createReadStream(file));
	} catch (cause) {
		if (cause instanceof MeshError) throw cause;
		throw new MeshError('invalid_input', `${file}: ${(cause as Error).message}`, { cause });
	}
}

async function readLimited(name: string, stream: AsyncIterable<Uint8Array | string>): Promise<string> {
	const chunks: Buffer[] = [];
	let size = 0;
	for await (const chunk of stream) {
		const bytes = Buffer.from(chunk as Uint8Array);
		size += bytes.byteLength;
		if (size > YAML_LIMITS.bytesMax)
			throw new MeshError('invalid_input', `${name}: has more than ${YAML_LIMITS.bytesMax} bytes`);
		chunks.push(bytes);
	}
	return Buffer.concat(chunks).toString('utf8');
}
