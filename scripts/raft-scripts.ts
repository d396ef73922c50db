/**
 * `npm run raft:scripts -- FOLDER…`: runs interaction, quorum and configuration-change scripts in the language of
 * etcd-io/raft against our Raft core, and compares byte for byte but for lines of the log. The first difference goes to
 * stderr, the outcome is one JSON line on stdout; exits 1 when anything differs.
 */
import { runScript, UsageError } from './command-line.ts';
import { findScripts, runScripts } from './raft-scripts/run.ts';

const USAGE = `npm run raft:scripts -- FOLDER…
  FOLDER   with .txt scripts, in it or in folders of it; or one such file
`;

await runScript(USAGE, async (args) => {
	const option = args.find((arg) => arg.startsWith('-'));
	if (option !== undefined) throw new UsageError(`${option} is no option of this`);
	if (args.length === 0) throw new UsageError('say where the scripts are');
	let files: string[];
	try {
		files = findScripts(args);
	} catch (error) {
		throw new UsageError((error as Error).message);
	}
	if (files.length === 0) throw new UsageError(`no .txt files in ${args.join(', ')}`);
	const result = runScripts(files);
	const { first } = result;
	if (first !== null) {
		const { file, line, directive, expected, actual } = first;
		process.stderr.write(`${file}:${line}: ${directive}\n--- expected\n${expected}\n--- actual\n${actual}\n`);
	}
	process.stdout.write(`${JSON.stringify(result)}\n`);
	return result.differing === 0 ? 0 : 1;
});
