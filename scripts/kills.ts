/**
 * `npm run kills -- [--kills N] [--seed N]`: kills random replicas of real hosts while the owner's key is gone, and checks
 * from outside that each is replaced, in time, and that nobody is ever admitted twice or too many. Progress and the seed go
 * to stderr, the outcome is one JSON line on stdout; exits 1 when something does not hold.
 */
import { interruption, readOptions, runScript, wholeNumber } from './command-line.ts';
import { campaign } from './kills/campaign.ts';

/** Histories grow with each kill: fifteen replicas on two cores are to be killed, not starved. */
const PAUSE_MS = 1_500;

const USAGE = `npm run kills -- [options]
  --kills N   how many replicas to kill (default 200)
  --seed S    which ones, and when (default random, always printed)
`;

await runScript(USAGE, async (args) => {
	const values = readOptions(args, {
		kills: { type: 'string', default: '200' },
		seed: { type: 'string', default: String(Date.now() % 1_000_000) },
	});
	const signal = interruption();
	try {
		const report = await campaign({
			kills: wholeNumber('kills', values.kills, 1),
			seed: wholeNumber('seed', values.seed, 0),
			pauseMs: PAUSE_MS,
			signal,
			say: (what) => process.stderr.write(`${what}\n`),
		});
		process.stdout.write(`${JSON.stringify(report)}\n`);
		return report.ok ? 0 : 1;
	} catch (error) {
		if (!signal.aborted) throw error;
		process.stderr.write('interrupted: everything that ran is ended\n');
		return 130;
	}
});
