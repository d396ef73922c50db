/**
 * `npm run fuzz -- CAMPAIGN [options]`: random inputs that replay from a seed. Progress, the seed and every finding go
 * to stderr, the outcome is one JSON line on stdout, and a finding makes the exit code 1.
 */
import { interruption, runScript, UsageError } from './command-line.ts';
import type { Campaign } from './fuzz/campaign.ts';
import { suiteCampaign } from './fuzz/suite/campaign.ts';
import { wireCampaign } from './fuzz/wire/campaign.ts';

const campaigns: ReadonlyMap<string, Campaign> = new Map([
	// The suite's two backends against each other.
	['suite', suiteCampaign],
	// Altered inputs for every decoder.
	['wire', wireCampaign],
]);
const usage = [...campaigns].map(([name, { usage }]) => `npm run fuzz -- ${name} [options]\n${usage}`).join('\n');

await runScript(usage, async ([name = '', ...args]) => {
	const campaign = campaigns.get(name);
	if (campaign === undefined) throw new UsageError(`say what to fuzz: ${[...campaigns.keys()].join(', ')}`);
	const { passed, summary } = await campaign.run(args, interruption());
	process.stdout.write(`${JSON.stringify({ campaign: name, ...summary })}\n`);
	return passed ? 0 : 1;
});
