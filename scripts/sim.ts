/**
 * `npm run sim -- raft --seeds N --nodes 5`: seeded runs of whole groups in virtual time. Progress goes to stderr, the
 * outcome is one JSON line on stdout, and every violation names the seed that replays it (`--seed S`). With `--mutate` it
 * plants bugs in the core and says which of them scripts, tests and simulation notice.
 */
import { type SimulationResult, simulate } from '../sdk/src/raft/sim/index.ts';
import { readOptions, runScript, UsageError, wholeNumber } from './command-line.ts';
import { BUGS } from './raft-bugs/bugs.ts';
import { plantAll } from './raft-bugs/campaign.ts';

const USAGE = `npm run sim -- raft [options]
  --seeds N   how many seeds to run (default 1000)
  --from S    the first of them (default 1)
  --seed S    one seed only, to replay it
  --nodes N   members at the start (default 5)
  --mutate    plant bugs in the core instead, one at a time, and say which were caught; --seeds for each (default 1000)
  --only TEXT with --mutate: only bugs with this in their name
`;
const PROGRESS_EVERY_MS = 500;

function tell(result: SimulationResult): void {
	const { seed, violation } = result;
	if (violation === undefined) return;
	process.stderr.write(`seed ${seed}, at ${violation.atMs} ms: ${violation.message}\n`);
}

/** Exits 1 when a bug was missed. */
async function mutate(seeds: number, grep: string | undefined): Promise<number> {
	if (!BUGS.some(({ name }) => name.includes(grep ?? '')))
		throw new UsageError(`no bug has "${grep}" in its name; they stand in scripts/raft-bugs/bugs.ts`);
	const startMs = performance.now();
	const report = await plantAll({ seeds, grep, say: (what) => process.stderr.write(`${what}\n`) });
	const seconds = Math.round((performance.now() - startMs) / 1000);
	process.stdout.write(`${JSON.stringify({ what: 'raft', ...report, seconds })}\n`);
	return report.missed.length > 0 ? 1 : 0;
}

await runScript(USAGE, async ([what, ...args]) => {
	if (what !== 'raft') throw new UsageError('say what to simulate: raft');
	const values = readOptions(args, {
		seeds: { type: 'string', default: '1000' },
		from: { type: 'string', default: '1' },
		seed: { type: 'string' },
		nodes: { type: 'string', default: '5' },
		mutate: { type: 'boolean', default: false },
		only: { type: 'string' },
	});
	if (values.only !== undefined && !values.mutate) throw new UsageError('--only goes with --mutate');
	if (values.mutate) return mutate(wholeNumber('seeds', values.seeds, 1), values.only);
	const nodes = wholeNumber('nodes', values.nodes, 1);
	const first = wholeNumber('from', values.seed ?? values.from, 1);
	const seeds = values.seed === undefined ? wholeNumber('seeds', values.seeds, 1) : 1;

	const startMs = performance.now();
	let reportedMs = startMs;
	let steps = 0;
	let calls = 0;
	let elections = 0;
	const violations: number[] = [];
	for (let seed = first; seed < first + seeds; seed++) {
		const result = simulate({ seed, nodes });
		steps += result.steps;
		calls += result.calls;
		elections += result.elections;
		if (result.violation !== undefined) violations.push(seed);
		tell(result);
		const nowMs = performance.now();
		if (nowMs - reportedMs < PROGRESS_EVERY_MS || !process.stderr.isTTY) continue;
		reportedMs = nowMs;
		process.stderr.write(`\r${seed - first + 1}/${seeds} seeds, ${steps} steps, ${violations.length} violations `);
	}
	if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
	const seconds = Math.round((performance.now() - startMs) / 100) / 10;
	const summary = { what: 'raft', nodes, from: first, seeds, steps, calls, elections, violations: violations.length };
	process.stdout.write(`${JSON.stringify({ ...summary, violatingSeeds: violations.slice(0, 20), seconds })}\n`);
	return violations.length > 0 ? 1 : 0;
});
