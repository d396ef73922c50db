/** 200 random kills with the owner's key absent: everybody is replaced, in time, and nobody is admitted twice or too many. */
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { skipLoudly } from '../../hostd/test/e2e/commands.ts';
import { campaign } from './campaign.ts';

const KILLS = 200;
const PAUSE_MS = 300;

describe('end-to-end kills while the owner is away', function () {
	if (process.platform !== 'linux') {
		skipLoudly('process groups are looked for as Linux shows them');
		return;
	}
	this.timeout(600_000);

	it(`heals after ${KILLS} of them, with no slot and generation given twice and no member beyond the maximum`, async () => {
		const said: string[] = [];
		const seed = Date.now() % 1_000_000;
		const report = await campaign({ kills: KILLS, seed, pauseMs: PAUSE_MS, say: (what) => said.push(what) });
		const { violations, ...figures } = report;
		console.log(`      ${JSON.stringify(figures)}`);
		expect(violations, said.join('\n')).to.deep.equal([]);
		expect(report.kills).to.be.at.least(KILLS);
	});
});
