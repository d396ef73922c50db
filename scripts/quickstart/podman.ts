/** One Podman for all hosts of a quickstart: storage and API socket below its own folder, nothing of the system's. */
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { buildImages } from '../images.ts';
import { mountsBelow } from '../mounts.ts';
import type { HostSettings } from './hosts.ts';
import { RUN_DIR, start } from './processes.ts';

const START_TIMEOUT_MS = 20_000;
const FOLDER = join(RUN_DIR, 'podman');
const SOCKET = join(FOLDER, 'api.sock');
const STORAGE = [`--root=${FOLDER}/root`, `--runroot=${FOLDER}/run`, `--tmpdir=${FOLDER}/tmp`];

/** Starts the service and builds the images. Throws an error that says how to install what is missing. */
export async function podmanSettings(
	root: string,
	say: (text: string) => void,
): Promise<Pick<HostSettings, 'runtime' | 'images' | 'podmanSocket' | 'bind'>> {
	if (spawnSync('podman', ['--version']).status !== 0) {
		throw new Error('there is no podman here: apt-get install podman, or run without --runtime podman');
	}
	const names = await buildImages({ root, podmanArgs: STORAGE, say });
	say(`  images: ${names.join(', ')}`);
	const log = openSync(join(RUN_DIR, 'podman.log'), 'a', 0o600);
	const service = start('podman', 'podman', [...STORAGE, 'system', 'service', '--time=0', `unix://${SOCKET}`], log);
	closeSync(log);
	const until = Date.now() + START_TIMEOUT_MS;
	while (!existsSync(SOCKET)) {
		if (service.exitCode !== null || Date.now() > until) {
			throw new Error(`podman’s API did not start:\n${readFileSync(join(RUN_DIR, 'podman.log'), 'utf8')}`);
		}
		await delay(50);
	}
	return { runtime: 'podman', images: {}, podmanSocket: SOCKET, bind: '127.0.0.1' };
}

/** Removes every pod, container and volume of a quickstart's Podman, and what it has mounted. */
export function removePodmanStorage(): void {
	if (!existsSync(FOLDER)) return;
	for (const words of [
		['pod', 'rm', '--all', '--force', '--time=0'],
		['rm', '--all', '--force', '--time=0'],
		['volume', 'rm', '--all', '--force'],
	]) {
		spawnSync('podman', [...STORAGE, ...words], { timeout: 60_000 });
	}
	for (const mount of mountsBelow(FOLDER).reverse()) spawnSync('umount', ['--lazy', mount]);
}
