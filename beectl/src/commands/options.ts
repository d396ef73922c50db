/** Options that several verbs share, and how they are read. */

import type { Cli } from '../cli/command.ts';
import { EXIT, Failure } from '../cli/exit.ts';
import { type Input, type OptionSpecs, usageError } from '../cli/input.ts';
import { type Loaded, loadManifests, readSources } from '../manifests/index.ts';
import { paint } from '../output/terminal.ts';

export const NAMESPACE: OptionSpecs = {
	namespace: { type: 'string', short: 'n', value: 'NAME', help: 'namespace [default: default]' },
};
export const ALL_NAMESPACES: OptionSpecs = {
	...NAMESPACE,
	'all-namespaces': { type: 'boolean', short: 'A', help: 'all namespaces' },
};
export const FILES: OptionSpecs = {
	filename: {
		type: 'string',
		short: 'f',
		multiple: true,
		value: 'PATH',
		help: 'file, folder, or - for standard input; repeatable',
	},
};
export const WAIT: OptionSpecs = {
	wait: { type: 'boolean', help: 'wait until it is done, showing progress' },
	timeout: {
		type: 'string',
		value: 'TIME',
		help: 'give up after this, e.g. 30s or 5m; what runs goes on [default: 60s with --wait]',
	},
};

export const NO_PASSPHRASE: OptionSpecs = {
	'no-passphrase': { type: 'boolean', help: 'do not encrypt it: whoever reads the file has it' },
};

const WAIT_TIMEOUT_MS = 60_000;

/** For commands that take options only. */
export function noMore({ positionals: [word] }: Input): void {
	if (word !== undefined) throw usageError(`unexpected "${word}"`);
}

/** How long to wait; undefined: not at all. */
export function waitMs(input: Input): number | undefined {
	return input.flag('wait') ? (input.durationMs('timeout') ?? WAIT_TIMEOUT_MS) : undefined;
}

/** `namespace` undefined: all of them. */
export function namespaceOf(input: Input): string | undefined {
	if (!input.flag('all-namespaces')) return input.text('namespace') ?? 'default';
	if (input.text('namespace') !== undefined) throw usageError('-A and -n exclude each other');
	return undefined;
}

/** Reads and checks all manifests; prints warnings. Throws a usage {@link Failure} that lists every error. */
export async function manifestsOf(input: Input, cli: Cli): Promise<Loaded['workloads']> {
	const paths = input.texts('filename');
	if (paths.length === 0) throw usageError('name at least one file with -f');
	if (input.positionals.length > 0) throw usageError(`unexpected "${input.positionals[0]}"; name files with -f`);
	const { workloads, errors, warnings } = loadManifests(await readSources(paths, cli.stdin), input.text('namespace'));
	for (const warning of warnings) cli.err.write(`${paint(cli.err, 'yellow', 'warning')}: ${warning}\n`);
	if (errors.length > 0) throw new Failure(EXIT.usage, errors.join('\n'));
	if (workloads.length === 0) throw new Failure(EXIT.usage, `${paths.join(', ')}: holds no Deployment or StatefulSet`);
	return workloads;
}
