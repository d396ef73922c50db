/** The Podman runtime under the contract of all runtimes, on a Podman of its own. Needs root; required where CI is set. */
import { describe, it } from 'mocha';
import { PodmanRuntime } from '../podman/index.ts';
import { runtimeContract } from './contract.ts';
import type { RuntimeHarness } from './harness.ts';
import { PodmanWorld, podmanMissing } from './podman-world.ts';

const IMAGE = 'localhost/beemesh/probe:1';

async function podmanHarness(): Promise<RuntimeHarness> {
	const world = new PodmanWorld();
	await world.buildProbeImage(IMAGE);
	return {
		image: IMAGE,
		open: async () => new PodmanRuntime({ socket: world.socket, spawn: { args: world.args }, instance: 'contract' }),
		probe: (...args) => ({ command: ['/bin/probe'], args }),
		serve: (port) => ({
			image: IMAGE,
			command: ['/bin/sh', '-c'],
			args: [`echo serving; while :; do printf hello | nc -l -p ${port}; done`],
		}),
		unusable: () => new PodmanRuntime({ socket: `${world.folder}/nobody.sock` }),
		close: () => world.close(),
	};
}

const missing = await podmanMissing();
if (missing === undefined) {
	runtimeContract('podman', podmanHarness);
} else {
	describe('podman runtime keeps the contract', () => {
		it('on a Podman of its own', function () {
			if (process.env['CI']) throw new Error(missing);
			console.log(`      skipped: ${missing}`);
			this.skip();
		});
	});
}
