/** `-o json|yaml|name`, and notes on stderr about what may be missing. */
import type { MachineId } from '@beemesh/sdk/wire';
import { stringify } from 'yaml';
import { usageError } from '../cli/input.ts';
import { counted } from './human.ts';
import type { Terminal } from './terminal.ts';

const OUTPUTS = ['table', 'wide', 'json', 'yaml', 'name'] as const;
export type Output = (typeof OUTPUTS)[number];

export function outputOf(text: string | undefined): Output {
	const found = OUTPUTS.find((output) => output === (text ?? 'table'));
	if (found === undefined || text === 'table')
		throw usageError(`-o: "${text}" is not one of ${OUTPUTS.slice(1).join(', ')}`);
	return found;
}

export function printData(out: Terminal, format: 'json' | 'yaml', data: unknown): void {
	// Through JSON, so that both formats say the same, and bytes do not become lists of numbers.
	const text = JSON.stringify(data, (_, value) => (value instanceof Uint8Array ? undefined : value), 2);
	out.write(format === 'json' ? `${text}\n` : stringify(JSON.parse(text)));
}

/** Best effort is said, not hidden. */
export function noteSilentHosts(err: Terminal, hostsSilent: readonly MachineId[]): void {
	if (hostsSilent.length === 0) return;
	const who = hostsSilent
		.slice(0, 3)
		.map((id) => `…${id.slice(-8)}`)
		.join(', ');
	err.write(
		`note: ${counted(hostsSilent.length, 'host')} did not answer in time (${who}${hostsSilent.length > 3 ? ', …' : ''}); the list may be missing their pods\n`,
	);
}
