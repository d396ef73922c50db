/**
 * `npm test [-- FILTER…] [--grep TEXT]`: every spec of the repository, one after the other, ending with
 * `N passed, N failed, N skipped`. In CI (CI=true) a skipped test is a failure. `npm run test:adversarial` runs every test
 * of what an adversary may try, and with them the attacks that take too long for every run.
 */
import { globSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import Mocha from 'mocha';
import { LINES } from '../hostd/test/adversarial/lines.ts';

const { values, positionals } = parseArgs({
	allowPositionals: true,
	options: {
		grep: { type: 'string' },
		bail: { type: 'boolean', default: false },
		adversarial: { type: 'boolean', default: false },
	},
});

const specs = globSync(['{sdk,hostd,beectl,examples,scripts}/**/*.spec.ts'], {
	exclude: (name) => name === 'node_modules' || name === 'dist',
})
	.map(String)
	.filter((file) => !file.includes('node_modules/'));
const files = (values.adversarial ? adversarial() : specs)
	.filter((file) => positionals.length === 0 || positionals.some((part) => file.includes(part)))
	.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));

const mocha = new Mocha({ reporter: 'spec', timeout: 10_000, bail: values.bail, checkLeaks: false });
// Mocha's check mark is coloured in CI even where no terminal is.
if (!process.stdout.isTTY) Mocha.reporters.Base.symbols.ok = '✔';
if (values.grep !== undefined) mocha.grep(values.grep);
for (const file of files) mocha.addFile(file);
await mocha.loadFilesAsync();

let passed = 0;
let failed = 0;
let skipped = 0;
const runner = mocha.run(() => {
	const inCi = process.env['CI'] === 'true';
	if (inCi && skipped > 0) console.log(`\nIn CI a skipped test is a failure: ${skipped} skipped.`);
	if (passed + failed + skipped === 0) console.log('\nNo test matched.');
	console.log(`\n${passed} passed, ${failed} failed, ${skipped} skipped`);
	process.exit(failed > 0 || passed + skipped === 0 || (inCi && skipped > 0) ? 1 : 0);
});
runner.on('pass', () => passed++);
runner.on('fail', () => failed++);
runner.on('pending', () => skipped++);

/** Cores first, whole systems last: the first red line is then the most telling one. */
function rank(file: string): number {
	if (file.includes('/core/')) return 0;
	if (file.includes('e2e')) return 3;
	return file.startsWith('examples') || file.startsWith('scripts') ? 2 : 1;
}

function adversarial(): string[] {
	const named = new Set(LINES.flatMap(({ tests }) => tests.map(([file]) => file)));
	// Tests that several specs share are in a file of their own, beside those.
	const shared = [...named].filter((file) => !/\.(spec|attack)\.ts$/.test(file)).map(dirname);
	const attacks = globSync('hostd/test/adversarial/*.{spec,attack}.ts').map(String);
	return [...new Set([...specs.filter((file) => named.has(file) || shared.includes(dirname(file))), ...attacks])];
}
