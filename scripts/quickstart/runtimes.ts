/** How a quickstart's hosts run the example images: as plain processes, or in Podman. */
import { join } from 'node:path';
import type { HostSettings } from './hosts.ts';

type RuntimeSettings = Pick<HostSettings, 'runtime' | 'images' | 'podmanSocket' | 'bind'>;

const EXAMPLES = ['kv-store', 'web-frontend'] as const;

export function processSettings(root: string, node: string): RuntimeSettings {
	const images = Object.fromEntries(
		EXAMPLES.map((name) => [
			`localhost/beemesh/${name}:dev`,
			{ command: [node, join(root, 'examples', name, 'dist/main.mjs')] },
		]),
	);
	return { runtime: 'process', images, podmanSocket: undefined, bind: '127.0.0.1' };
}
