/** What an image name means where there are no images: a table of commands from hostd's configuration. */
import { accessSync, constants } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { MeshError } from '@beemesh/sdk/errors';
import type { ResolvedContainer } from '../container.ts';

/** Stands in for an image under the process runtime. */
export interface ProcessImage {
	/** The image's entrypoint. */
	readonly command: readonly string[];
	/** The image's default arguments. */
	readonly args?: readonly string[] | undefined;
	readonly cwd?: string | undefined;
	readonly env?: Readonly<Record<string, string>> | undefined;
}

export type ProcessImages = Readonly<Record<string, ProcessImage>>;

/** Finds an image; a missing tag means `latest`, as everywhere. */
export function findImage(images: ProcessImages, name: string): ProcessImage | undefined {
	const tagged = /(:[^/]+|@[^/]+)$/.test(name) ? name : `${name}:latest`;
	for (const candidate of [name, tagged, tagged.replace(/:latest$/, '')]) {
		if (Object.hasOwn(images, candidate)) return images[candidate];
	}
	return undefined;
}

/** The command line of a container: `command` replaces the image's entrypoint, `args` its default arguments. */
export function commandLine(container: ResolvedContainer, image: ProcessImage | undefined, field: string): string[] {
	if (container.command && container.command.length > 0) return [...container.command, ...(container.args ?? [])];
	if (!image) throw unknownImage(container.image, field);
	return [...image.command, ...(container.args ?? image.args ?? [])];
}

export function unknownImage(name: string, field: string): MeshError {
	return new MeshError(
		'not_found',
		`${field}.image: the process runtime has no image '${name}'. Add it to hostd's configuration, ` +
			`"images": {"${name}": {"command": ["/path/to/program"]}}, give the container an absolute command, ` +
			'or run hostd with --runtime podman',
	);
}

/** Refuses a program that cannot be executed before anything is made. Returns nothing: the shell looks it up again. */
export function checkExecutable(program: string, path: string, field: string): void {
	const candidates = program.includes('/')
		? [program]
		: path.split(delimiter).map((folder) => join(folder || '.', program));
	const found = candidates.some((candidate) => {
		try {
			accessSync(candidate, constants.X_OK);
			return true;
		} catch {
			return false;
		}
	});
	if (found) return;
	const where = isAbsolute(program) ? 'no such executable' : `not found in PATH ${path}`;
	throw new MeshError('invalid_input', `${field}.command[0]: '${program}': ${where}`);
}
