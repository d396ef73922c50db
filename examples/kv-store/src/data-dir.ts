/** The replica's own directory: made if missing, and proved writable before anything depends on it. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export async function prepareDataDir(dir: string): Promise<void> {
	try {
		await mkdir(dir, { recursive: true });
		// By writing, not by asking: permissions, read-only mounts and full disks all show here.
		const probe = join(dir, `.writable-${process.pid}`);
		await writeFile(probe, '');
		await rm(probe);
	} catch (error) {
		const code = (error as NodeJS.ErrnoException).code ?? String(error);
		throw new Error(`cannot write to the data directory ${dir} (${code}); give this process a directory of its own`);
	}
}
