/** A program as one file, with its lazy parts and the native QUIC addon beside it. */
import { copyFileSync, existsSync, globSync, mkdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { build } from 'esbuild';

const root = join(import.meta.dirname, '..');

/** Makes `main.mjs` in a folder that it empties first. */
export async function bundle(entry: string, out: string): Promise<void> {
	rmSync(out, { recursive: true, force: true });
	mkdirSync(out, { recursive: true });
	await build({
		entryPoints: { main: entry },
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
