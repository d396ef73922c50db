/** The runtime that an operator chose. Podman's client is loaded only where it is used: it is large. */
import type { HostConfig } from '../config.ts';
import type { HostPolicy } from '../policy/index.ts';
import { ProcessRuntime } from './process/index.ts';
import type { Runtime } from './runtime.ts';

/** `instance` tells this host's pods from those of others on the same Podman. */
export async function openRuntime(config: HostConfig, instance: string, policy: HostPolicy): Promise<Runtime> {
	if (config.runtime === 'process') {
		return new ProcessRuntime({ stateDir: config.stateDir, images: config.images, policy });
	}
	const { PodmanRuntime } = await import('./podman/index.ts');
	return new PodmanRuntime({
		instance,
		policy,
		...(config.podmanSocket === undefined ? {} : { socket: config.podmanSocket }),
	});
}
