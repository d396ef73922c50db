/**
 * `npm run kills -- [--kills N] [--seed N]`: kills random replicas of real hosts while the owner's key is gone, and checks
 * from outside that each is replaced, in time, and that nobody is ever admitted twice or too many. Progress and the seed go
 * to stderr, the outcome is one JSON line on stdout; exits 1 when something does not hold.
 */
import { parseArgs } from 'node:util';
import { campaign } from './kills/campaign.ts';

const { values } = parseArgs({
	options: {
		kills: { type: 'string', default: '200' },
		seed: { type: 'string', default: String(Date.now() % 1_000_000) },
	},
});
const [kills, seed] = [Number(values.kills), Number(values.seed)];
if (!Number.isInteger(kills) || kills < 1 || !Number.isInteger(seed)) {
	process.stderr.write('kills: --kills is a whole number from 1, --seed a whole one\n');
	process.exit(2);
}
const interrupt = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupt.abort(new Error(name)));
const { signal } = interrupt;
try {
	const report = await campaign({ kills, seed, signal, say: (what) => process.stderr.write(`${what}\n`) });
	process.stdout.write(`${JSON.stringify(report)}\n`);
	process.exit(report.ok ? 0 : 1);
} catch (error) {
	if (!signal.aborted) throw error;
	process.stderr.write('interrupted: everything that ran is ended\n');
	process.exit(130);
}
