/** A folder of one test, as the home of a user. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Invoked, invoke } from './invoke.ts';

export interface Home extends AsyncDisposable {
	readonly path: string;
	at(...names: string[]): string;
	/** A private file in it. */
	write(name: string, content: string | Uint8Array): Promise<string>;
	/** `args` as words, or as one line that is split at blanks. */
	beectl(args: string | readonly string[], options?: Parameters<typeof invoke>[1]): Promise<Invoked>;
}

export async function createHome(env: Record<string, string> = {}): Promise<Home> {
	const path = await mkdtemp(join(tmpdir(), 'beectl-'));
	return {
		path,
		at: (...names) => join(path, ...names),
		async write(name, content) {
			await writeFile(join(path, name), content, { mode: 0o600 });
			return join(path, name);
		},
		beectl: (args, options = {}) =>
			invoke(typeof args === 'string' ? args.split(' ') : args, {
				...options,
				env: { HOME: path, BEEMESH_HOST: join(path, 'no.sock'), ...env, ...options.env },
			}),
		[Symbol.asyncDispose]: () => rm(path, { recursive: true }),
	};
}
