/** Joining without a host: other processes of this user and machine that name the same mesh. */
import { MeshError } from '../errors.ts';
import type { PodHost } from './host.ts';
import { openFileRegistry } from './local/file-registry.ts';
import { createLocalHost } from './local/host.ts';
import type { JoinOptions } from './types.ts';

const VOTERS = 3;
const NAME = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

export async function devHost(options: JoinOptions): Promise<PodHost> {
	const mesh = typeof options.dev === 'string' ? options.dev : 'default';
	const workload = options.workload ?? 'app';
	for (const [what, name] of [
		['dev mesh', mesh],
		['workload', workload],
	] as const) {
		if (!NAME.test(name))
			throw new MeshError('invalid_input', `the ${what} '${name}' is not a DNS label such as my-app`);
	}
	return createLocalHost({
		registry: await openFileRegistry(mesh),
		workload,
		data: options.data,
		voters: options.voters ?? VOTERS,
		listen: ['/ip4/127.0.0.1/udp/0/quic-v1'],
	});
}
