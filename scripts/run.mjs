// Runs a script of this repository with the Node it needs, installing what is missing first. Plain JavaScript for
// any Node >= 18, because on a fresh machine this is the first thing that runs.
// Usage: node scripts/run.mjs <script.ts> [arguments]
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const node = join(root, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
const mark = join(root, 'node_modules', '.beemesh-installed');
const lockHash = () =>
	createHash('sha256')
		.update(readFileSync(join(root, 'package-lock.json')))
		.digest('hex');
const installed = existsSync(node) && existsSync(mark) && readFileSync(mark, 'utf8') === lockHash();

if (!installed) {
	process.stderr.write('Installing dependencies (npm install) …\n');
	const npm = spawnSync('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error'], {
		cwd: root,
		stdio: ['ignore', process.stderr, process.stderr],
	});
	if (npm.status !== 0 || !existsSync(node)) {
		process.stderr.write('npm install failed: see its output above, then run the same command again.\n');
		process.exit(1);
	}
	// After the installation: npm may complete the lock file for this platform.
	writeFileSync(mark, lockHash());
}

const [script, ...args] = process.argv.slice(2);
const child = spawn(
	node,
	['--conditions=source', '--disable-warning=ExperimentalWarning', join(root, script), ...args],
	{
		stdio: 'inherit',
		env: { ...process.env, PATH: `${join(root, 'node_modules', '.bin')}:${process.env.PATH}` },
	},
);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 1)));
