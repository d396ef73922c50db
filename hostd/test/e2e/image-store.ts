/** Images built once, seen by the Podman of every host without a copy: an additional image store. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mountsBelow } from '../../../scripts/mounts.ts';
import { command, tryCommand } from './commands.ts';

export interface ImageStore extends AsyncDisposable {
	/** Give it to `createNetwork` as `imageStore`. */
	readonly root: string;
}

/** `build` gets the podman options that choose this storage; Podman's pause image is made too. */
export async function createImageStore(
	build: (podmanArgs: readonly string[]) => Promise<unknown>,
): Promise<ImageStore> {
	const folder = mkdtempSync(join(tmpdir(), 'beemesh-images-'));
	const root = join(folder, 'root');
	const podmanArgs = [`--root=${root}`, `--runroot=${join(folder, 'run')}`, `--tmpdir=${join(folder, 'tmp')}`];
	const close = async () => {
		for (const mount of mountsBelow(folder).reverse()) await tryCommand(['umount', '--lazy', mount]);
		rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
	};
	try {
		await build(podmanArgs);
		await command('podman', ...podmanArgs, 'pod', 'create', '--name=pause');
		await command('podman', ...podmanArgs, 'pod', 'rm', '--force', 'pause');
	} catch (error) {
		await close();
		throw error;
	}
	return { root, [Symbol.asyncDispose]: close };
}
