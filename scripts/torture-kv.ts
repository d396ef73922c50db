/**
 * `npm run torture -- [--minutes N] [--clients N] [--seed N]`: a real three-process kv-store under kills and pauses,
 * round after round of half a minute with a new seed each, every history checked for linearizability. Ends with one
 * JSON line; exits 1 at the first contradiction.
 */
import { type TortureReport, torture } from '../examples/kv-store/test/torture.ts';
import { readOptions, runScript, wholeNumber } from './command-line.ts';

const USAGE = `npm run torture -- [options]
  --minutes N   how long (default 5)
  --clients N   at once (default 6)
  --seed S      of the first round (default random, always printed)
`;

await runScript(USAGE, async (args) => {
	const values = readOptions(args, {
		minutes: { type: 'string', default: '5' },
		clients: { type: 'string', default: '6' },
		seed: { type: 'string', default: String(Date.now() % 1_000_000) },
	});
	const totalMs = wholeNumber('minutes', values.minutes, 1) * 60_000;
	const clients = wholeNumber('clients', values.clients, 1);
	const firstSeed = wholeNumber('seed', values.seed, 0);

	const end = Date.now() + totalMs;
	const reports: TortureReport[] = [];
	do {
		const seed = firstSeed + reports.length;
		console.log(`round ${reports.length + 1}, seed ${seed}`);
		const durationMs = Math.min(30_000, Math.max(1000, end - Date.now()));
		const report = await torture({ seed, durationMs, clients, say: (what) => console.log(`  ${what}`) });
		reports.push(report);
		console.log(`  ${JSON.stringify(report)}`);
	} while (Date.now() < end && reports.at(-1)?.isLinearizable === true);

	const sum = (field: 'calls' | 'acknowledgedWrites' | 'refused' | 'unknown' | 'kills' | 'pauses'): number =>
		reports.reduce((total, report) => total + report[field], 0);
	const ok = reports.every(({ isLinearizable }) => isLinearizable);
	console.log(
		JSON.stringify({
			ok,
			rounds: reports.length,
			firstSeed,
			calls: sum('calls'),
			acknowledgedWrites: sum('acknowledgedWrites'),
			refused: sum('refused'),
			unknown: sum('unknown'),
			kills: sum('kills'),
			pauses: sum('pauses'),
			longestGapMs: Math.max(...reports.map(({ longestGapMs }) => longestGapMs)),
			violations: reports.filter(({ isLinearizable }) => !isLinearizable).length,
		}),
	);
	return ok ? 0 : 1;
});
