/**
 * `npm run build`: `dist/` of every package for publishing (types and modules), and the bundles that run: hostd, beectl
 * and both examples, each one file with the native QUIC addon beside it.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, globSync, mkdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

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
for (const { entry, outdir } of bundles) {
	const out = join(root, outdir);
	rmSync(out, { recursive: true, force: true });
	mkdirSync(out, { recursive: true });
	await build({
		entryPoints: { main: join(root, entry) },
		outdir: out,
		outExtension: { '.js': '.mjs' },
		chunkNames: 'chunk-[hash]',
		bundle: true,
		splitting: true,
		format: 'esm',
		platform: 'node',
		target: 'node24',
		conditions: ['source', 'node'],
		minifySyntax: true,
		legalComments: 'none',
		logLevel: 'warning',
		// cpu-features is an optional native add-on of ssh2 (remote Docker over ssh), which nothing here uses.
		external: ['cpu-features', '*.node'],
		// What CommonJS dependencies take for granted.
		define: { __dirname: 'import.meta.dirname' },
		banner: {
			js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
		},
	});
	copyAddon(out);
}

/** The QUIC addon's loader looks for `libp2p-quic.<platform>.node` beside the file it runs from. */
function copyAddon(out: string): void {
	const scope = join(root, 'node_modules/@chainsafe');
	for (const file of globSync('libp2p-quic-*/libp2p-quic.*.node', { cwd: scope })) {
		copyFileSync(join(scope, file), join(out, basename(file)));
	}
	if (!existsSync(dirname(out))) throw new Error(`nothing was built in ${out}`);
}

function run(command: string, args: readonly string[]): void {
	const { status } = spawnSync(join(root, 'node_modules/.bin', command), args, { stdio: 'inherit', cwd: root });
	if (status !== 0) process.exit(status ?? 1);
}
