/** Command lines: what is wrong with one is said in a way that shows how to correct it. */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { parseAddress } from './address.ts';
import type { HttpAddress } from './server.ts';

/** A mistake on the command line. */
export class UsageError extends Error {}

export function parseFlags<const O extends NonNullable<ParseArgsConfig['options']>>(
	argv: readonly string[],
	options: O,
) {
	return usage(() => parseArgs({ args: [...argv], options }).values);
}

/** The address that `--NAME` gives. */
export function addressFlag(name: string, text: string | undefined, example: string): HttpAddress {
	if (text === undefined)
		throw new UsageError(`--${name} is missing; say where to serve, such as --${name} ${example}`);
	return usage(() => parseAddress(text), `--${name}: `);
}

function usage<T>(read: () => T, prefix = ''): T {
	try {
		return read();
	} catch (error) {
		throw new UsageError(`${prefix}${error instanceof Error ? error.message : String(error)}`);
	}
}
