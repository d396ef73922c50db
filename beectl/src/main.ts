/** Where beectl starts: the one reader of arguments and environment. */
import { run } from './cli/run.ts';
import { terminalPrompt } from './output/prompt.ts';
import { terminalOf } from './output/terminal.ts';

const interrupt = new AbortController();
process.once('SIGINT', () => interrupt.abort());
process.once('SIGTERM', () => interrupt.abort());
// A reader that has seen enough (`beectl get pods | head -1`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

process.exitCode = await run({
	args: process.argv.slice(2),
	env: process.env,
	stdin: process.stdin,
	out: terminalOf(process.stdout, process.env),
	err: terminalOf(process.stderr, process.env),
	prompt: terminalPrompt(process.stderr, interrupt.signal),
	signal: interrupt.signal,
	nowMs: () => Date.now(),
});
