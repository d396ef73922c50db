/**
 * `npm test [-- FILTER…] [--grep TEXT]`: every spec of the repository, ending with `N passed, N failed, N skipped`. In CI
 * (CI=true) a skipped test is a failure. `npm run test:adversarial` runs every test of what an adversary may try, and with
 * them the attacks that take too long for every run. Whole systems, whose tests wait most of the time, run in a process
 * beside the rest, and are shown after it.
 */
import { globSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { LINES } from '../hostd/test/adversarial/lines.ts';
import { isBeside, startBeside, tell } from './test/beside.ts';
import { type Counts, runLane } from './test/lane.ts';

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

const systems = files.filter(isSystem);
const others = files.filter((file) => !isSystem(file));
if (isBeside) tell(await runLane(systems, values));
else if (systems.length === 0 || others.length === 0) end([await runLane(files, values)]);
else {
	const beside = startBeside(import.meta.filename, process.argv.slice(2));
	const counts = await runLane(others, values);
	end(values.bail && counts.failed > 0 ? [counts] : [counts, await beside.show()]);
}

function end(lanes: readonly Counts[]): void {
	const sum = (of: keyof Counts): number => lanes.reduce((total, counts) => total + counts[of], 0);
	const [passed, failed, skipped] = [sum('passed'), sum('failed'), sum('skipped')];
	const inCi = process.env['CI'] === 'true';
	if (inCi && skipped > 0) console.log(`\nIn CI a skipped test is a failure: ${skipped} skipped.`);
	if (passed + failed + skipped === 0) console.log('\nNo test matched.');
	console.log(`\n${passed} passed, ${failed} failed, ${skipped} skipped`);
	process.exit(failed > 0 || passed + skipped === 0 || (inCi && skipped > 0) ? 1 : 0);
}

/** Starts processes or containers. */
function isSystem(file: string): boolean {
	return rank(file) > 1 || file.includes('adversarial') || file.includes('podman');
}

/**
 * Cores first, whole systems last: the first red line is then the most telling one. At the very end the kills, which use
 * every processor that there is.
 */
function rank(file: string): number {
	if (file.includes('/core/')) return 0;
	if (file.includes('kills')) return 4;
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
