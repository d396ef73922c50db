/** `npm run check`: proves and never edits. Types, cores' purity, lint and format, import directions, unused code, publishability. */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const failures: string[] = [];

run('types', 'tsc', ['-p', 'tsconfig.json']);
run('cores are pure', 'tsc', ['-p', 'tsconfig.core.json']);
run('lint and format', 'biome', ['check', '--error-on-warnings']);
importDirections();
run('unused code', 'knip', ['--no-progress']);
publishability();

if (failures.length > 0) {
	console.error(`\ncheck failed: ${failures.join(', ')}`);
	process.exit(1);
}
console.log('\ncheck passed');

/** dependency-cruiser reports success when it understood nothing, so its count of modules is held against the tree. */
function importDirections(): void {
	const rooms = ['sdk/src', 'hostd/src', 'beectl/src', 'examples/kv-store/src', 'examples/web-frontend/src'];
	const files = rooms.flatMap((room) => globSync(`${room}/**/*.ts`, { cwd: root }));
	const result = spawnSync(
		bin('depcruise'),
		['--config', '.dependency-cruiser.cjs', '--output-type', 'err-long', ...rooms],
		{
			cwd: root,
			encoding: 'utf8',
		},
	);
	const output = `${result.stdout}${result.stderr}`;
	const cruised = Number(/(\d+) modules/.exec(output)?.[1] ?? 0);
	report('import directions', result.status === 0 && cruised >= files.length, output);
}

function publishability(): void {
	for (const name of ['sdk', 'hostd', 'beectl']) {
		if (globSync(`${name}/dist/**/*.d.ts`, { cwd: root }).length === 0) {
			report(`${name} is publishable`, false, 'nothing built: run `npm run build` first');
			continue;
		}
		run(`${name} is publishable`, 'publint', ['--strict', name]);
	}
}

function run(title: string, command: string, args: readonly string[]): void {
	const result = spawnSync(bin(command), args, { cwd: root, encoding: 'utf8' });
	report(title, result.status === 0, `${result.stdout}${result.stderr}`);
}

function report(title: string, ok: boolean, output: string): void {
	console.log(`${ok ? '✓' : '✗'} ${title}`);
	if (ok) return;
	failures.push(title);
	console.log(output.trimEnd());
}

function bin(name: string): string {
	return join(root, 'node_modules/.bin', name);
}
