/**
 * `npm run torture -- [--minutes N] [--clients N] [--seed N]`: a real three-process kv-store under kills and pauses,
 * round after round of half a minute with a new seed each, every history checked for linearizability. Ends with one
 * JSON line; exits 1 at the first contradiction.
 */
import { parseArgs } from 'node:util';
import { type TortureReport, torture } from '../examples/kv-store/test/torture.ts';

const { values } = parseArgs({
	options: {
		minutes: { type: 'string', default: '5' },
		clients: { type: 'string', default: '6' },
		seed: { type: 'string', default: String(Date.now() % 1_000_000) },
	},
});
const totalMs = Number(values.minutes) * 60_000;
const clients = Number(values.clients);
const firstSeed = Number(values.seed);
if (!(totalMs > 0) || !Number.isInteger(clients) || clients < 1 || !Number.isInteger(firstSeed)) {
	console.error('torture-kv: --minutes is a number above 0, --clients a whole one from 1, --seed a whole one');
	process.exit(2);
}

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
process.exit(ok ? 0 : 1);
