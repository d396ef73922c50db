/** How scripts read their command line: `--help`, defaults, and complaints that say what would be right. */
import { type ParseArgsConfig, parseArgs } from 'node:util';

/** What was typed cannot be meant: its message and the usage are printed, and the exit code is 2. */
export class UsageError extends Error {}

/** Runs a script to its exit code. Throws whatever `main` throws but a {@link UsageError}. */
export async function runScript(usage: string, main: (args: readonly string[]) => Promise<number>): Promise<void> {
	const args = process.argv.slice(2);
	if (args.includes('--help') || args.includes('-h')) {
		process.stdout.write(usage);
		return;
	}
	try {
		process.exitCode = await main(args);
	} catch (error) {
		if (!(error instanceof UsageError)) throw error;
		process.stderr.write(`${error.message}\n\n${usage}`);
		process.exitCode = 2;
	}
}

/** The values of options. Throws {@link UsageError} for what is no option, and for words that belong to none. */
export function readOptions<const O extends NonNullable<ParseArgsConfig['options']>>(
	args: readonly string[],
	options: O,
) {
	try {
		return parseArgs({ args: [...args], options }).values;
	} catch (error) {
		throw new UsageError(error instanceof Error ? error.message : String(error));
	}
}

/** A whole number of at least `min`. Throws {@link UsageError}, naming the option. */
export function wholeNumber(name: string, text: string, min: number): number {
	const value = Number(text);
	if (text !== '' && Number.isSafeInteger(value) && value >= min) return value;
	throw new UsageError(`--${name} must be a whole number of at least ${min}, got "${text}"`);
}

/** Aborted by the first Ctrl-C or SIGTERM: what runs ends in its own way and says how far it came. */
export function interruption(): AbortSignal {
	const controller = new AbortController();
	for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort(new Error(name)));
	return controller.signal;
}
