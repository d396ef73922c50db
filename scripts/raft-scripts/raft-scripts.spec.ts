/**
 * What etcd-io/raft has printed for scripts of its own, and for random ones, our core prints too. The scripts are not part
 * of the repository: their folder comes from `BEEMESH_RAFT_SCRIPTS`, or lies beside the checkout as `shared/raft-scripts`.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { findScripts, runScripts, SCRIPTS_FOLDER } from './run.ts';
import { parseCommand, parseScript } from './script.ts';

describe('scripts of etcd-io/raft', () => {
	for (const [title, path, scripts] of [
		['interactions', 'etcd/testdata', 28],
		['quorums', 'etcd/quorum', 4],
		['configuration changes', 'etcd/confchange', 9],
		['random interactions', 'random', 242],
	] as const) {
		it(`${title}: not a byte differs but in the log`, function () {
			if (!existsSync(SCRIPTS_FOLDER)) {
				const missing = `no scripts at ${SCRIPTS_FOLDER}; set BEEMESH_RAFT_SCRIPTS`;
				if (process.env['CI']) throw new Error(missing);
				console.log(`      skipped: ${missing}`);
				this.skip();
			}
			this.timeout(60_000);
			const { first, ...counts } = runScripts(findScripts([join(SCRIPTS_FOLDER, path)]));
			expect(first).to.equal(null);
			expect(counts.scripts).to.equal(scripts);
			expect(counts.differing).to.equal(0);
		});
	}

	it('are read with comments, arguments of three kinds, input, and output with empty lines', () => {
		const text = '# why\nadd-nodes 3 voters=(1, 2) index=2\nv1\nv2\n----\n----\none\n\ntwo\n----\n----\n\nok\n----\n';
		expect(parseScript(text)).to.deep.equal([
			{
				line: 2,
				command: 'add-nodes',
				args: [
					{ key: '3', values: [] },
					{ key: 'voters', values: ['1', '2'] },
					{ key: 'index', values: ['2'] },
				],
				input: 'v1\nv2',
				expected: 'one\n\ntwo',
			},
			{ line: 13, command: 'ok', args: [], input: '', expected: '' },
		]);
		expect(parseCommand('vote cfg=(1) votes=(_)').args[1]).to.deep.equal({ key: 'votes', values: ['_'] });
		expect(() => parseScript('\npropose 1 a\n')).to.throw('line 2: no ---- after `propose 1 a`');
	});
});
