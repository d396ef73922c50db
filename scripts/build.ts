/**
 * `npm run build`: `dist/` of every package for publishing (types and modules), and the bundles that run: hostd, beectl
 * and both examples, each one file with the native QUIC addon beside it.
 */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bundle } from './bundle.ts';

const root = join(import.meta.dirname, '..');
const { values } = parseArgs({ options: { 'bundles-only': { type: 'boolean', default: false } } });

if (!values['bundles-only']) {
	for (const name of ['sdk', 'hostd', 'beectl']) {
		rmSync(join(root, name, 'dist'), { recursive: true, force: true });
		run('tsc', ['-p', join(root, name, 'tsconfig.build.json')]);
	}
}

const bundles = [
	{ entry: 'hostd/src/main.ts', outdir: 'hostd/dist/bundle' },
	{ entry: 'beectl/src/main.ts', outdir: 'beectl/dist/bundle' },
	{ entry: 'examples/kv-store/src/main.ts', outdir: 'examples/kv-store/dist' },
	{ entry: 'examples/web-frontend/src/main.ts', outdir: 'examples/web-frontend/dist' },
];
for (const { entry, outdir } of bundles) await bundle(join(root, entry), join(root, outdir));

function run(command: string, args: readonly string[]): void {
	const { status } = spawnSync(join(root, 'node_modules/.bin', command), args, { stdio: 'inherit', cwd: root });
	if (status !== 0) process.exit(status ?? 1);
}
