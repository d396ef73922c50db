#!/usr/bin/env node
/**
 * Starts beectl: what was built, or, in a checkout that was not, the sources. Plain JavaScript that any Node reads, so
 * that one that is too old can be told so, or replaced by the Node 24 that the checkout installs.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const NODE_MAJOR = 24;
const here = join(dirname(fileURLToPath(import.meta.url)), '..');
const built = ['dist/bundle/main.mjs', 'dist/main.js'].map((file) => join(here, file)).find(existsSync);
const isNodeNewEnough = Number(process.versions.node.split('.')[0]) >= NODE_MAJOR;

if (built !== undefined && isNodeNewEnough) {
	await import(pathToFileURL(built).href);
} else {
	const node = isNodeNewEnough ? process.execPath : installedNode(here);
	if (node === undefined) {
		process.stderr.write(
			`error: beectl needs Node ${NODE_MAJOR} or newer, this is ${process.versions.node}; install it, or run \`npm install\` in the checkout\n`,
		);
		process.exit(1);
	}
	const args = built === undefined ? ['--conditions=source', join(here, 'src/main.ts')] : [built];
	const child = spawn(node, [...args, ...process.argv.slice(2)], { stdio: 'inherit' });
	// Ctrl-C reaches both; the child decides what it means.
	process.on('SIGINT', () => {});
	process.on('SIGTERM', () => child.kill('SIGTERM'));
	child.on('error', (error) => {
		process.stderr.write(`error: cannot start ${node}: ${error.message}\n`);
		process.exitCode = 1;
	});
	child.on('close', (code, signal) => {
		process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1);
	});
}

/** The Node that npm installed, here or in a folder above. */
function installedNode(from) {
	const file = join(from, 'node_modules/.bin/node');
	if (existsSync(file)) return file;
	return dirname(from) === from ? undefined : installedNode(dirname(from));
}
