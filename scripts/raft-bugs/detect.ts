/**
 * Looks for what is wrong with the core as it was loaded, quickest first: scripts, tests of core, log and sessions, then
 * simulated groups. Ends with one JSON line: by what it was found, or null.
 */
import { existsSync, globSync } from 'node:fs';
import { join } from 'node:path';
import Mocha from 'mocha';
import { simulate } from '../../sdk/src/raft/sim/index.ts';
import { CHURN, DEAF } from '../../sdk/src/raft/sim/mutants.ts';
import { findScripts, runScripts, SCRIPTS_FOLDER } from '../raft-scripts/run.ts';

const root = join(import.meta.dirname, '../..');
const SPECS = [
	'sdk/src/raft/core/test/*.spec.ts',
	'sdk/src/raft/test/sessions.spec.ts',
	'sdk/src/raft/test/kv.spec.ts',
];
const SEEDS = Number(process.env['BEEMESH_BUG_SEEDS'] ?? 1000);
const NODES = 5;

async function find(): Promise<string | null> {
	if (existsSync(SCRIPTS_FOLDER) && isBroken(() => runScripts(findScripts([SCRIPTS_FOLDER])).differing > 0))
		return 'scripts';
	if ((await failures()) > 0) return 'tests';
	// Plain groups first, then many short terms, then leaders that do not notice that they are deposed.
	for (const settings of [undefined, CHURN, DEAF]) {
		for (let seed = 1; seed <= SEEDS; seed++) {
			const options = { seed, nodes: NODES, ...(settings === undefined ? {} : { settings }) };
			if (isBroken(() => simulate(options).violation !== undefined)) return `simulation, seed ${seed}`;
		}
	}
	return null;
}

/** A core that throws is found out, too. */
function isBroken(check: () => boolean): boolean {
	try {
		return check();
	} catch {
		return true;
	}
}

async function failures(): Promise<number> {
	const mocha = new Mocha({ reporter: class {} as never, timeout: 5_000, bail: true });
	for (const file of globSync(SPECS, { cwd: root })) mocha.addFile(join(root, file));
	await mocha.loadFilesAsync();
	return new Promise((resolve) => void mocha.run(resolve));
}

process.stdout.write(`${JSON.stringify({ by: await find() })}\n`);
process.exit(0);
