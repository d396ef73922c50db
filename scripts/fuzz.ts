/**
 * `npm run fuzz -- CAMPAIGN [options]`: random inputs that replay from a seed. Progress, the seed and every finding go
 * to stderr, the outcome is one JSON line on stdout, and a finding makes the exit code 1.
 */
import { type Campaign, UsageError } from './fuzz/campaign.ts';
import { suiteCampaign } from './fuzz/suite/campaign.ts';
import { wireCampaign } from './fuzz/wire/campaign.ts';

const campaigns: ReadonlyMap<string, Campaign> = new Map([
	// The suite's two backends against each other.
	['suite', suiteCampaign],
	// Altered inputs for every decoder.
	['wire', wireCampaign],
]);

function usage(problem: string): never {
	const lines = [...campaigns].map(([name, { usage }]) => `npm run fuzz -- ${name} [options]\n${usage}`);
	process.stderr.write(`${problem}\n${lines.join('\n')}`);
	process.exit(2);
}

const [name = '', ...args] = process.argv.slice(2);
const campaign = campaigns.get(name);
if (campaign === undefined) usage(`say what to fuzz: ${[...campaigns.keys()].join(', ')}`);
try {
	const { passed, summary } = await campaign.run(args);
	process.stdout.write(`${JSON.stringify({ campaign: name, ...summary })}\n`);
	process.exitCode = passed ? 0 : 1;
} catch (error) {
	if (error instanceof UsageError) usage(error.message);
	throw error;
}
