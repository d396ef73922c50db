/** The runtime that an operator chose. Podman's client is loaded only where it is used: it is large. */
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import type { HostConfig } from '../config.ts';
import { ProcessRuntime } from './process/index.ts';
import type { Runtime } from './runtime.ts';

export async function openRuntime(config: HostConfig): Promise<Runtime> {
	if (config.runtime === 'process') return new ProcessRuntime({ stateDir: config.stateDir, images: config.images });
	const { PodmanRuntime } = await import('./podman/index.ts');
	return new PodmanRuntime({
		// Several hosts may share one Podman, as in the quickstart; the state folder is what tells them apart.
		instance: createHash('sha256').update(resolve(config.stateDir)).digest('hex').slice(0, 16),
		...(config.podmanSocket === undefined ? {} : { socket: config.podmanSocket }),
	});
}
