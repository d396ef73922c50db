/** Runs beectl in this process and keeps what it printed. */

import type { ExitCode } from '../cli/exit.ts';
import { run } from '../cli/run.ts';
import type { Terminal } from '../output/terminal.ts';

export interface Invoked {
	readonly code: ExitCode;
	readonly out: string;
	readonly err: string;
}

export async function invoke(
	args: readonly string[],
	options: {
		readonly stdin?: string;
		readonly env?: Record<string, string>;
		readonly isTty?: boolean;
		readonly signal?: AbortSignal;
	} = {},
): Promise<Invoked> {
	const out = recorder(options.isTty ?? false);
	const err = recorder(options.isTty ?? false);
	const code = await run({
		args,
		env: options.env ?? {},
		stdin: (async function* () {
			yield options.stdin ?? '';
		})(),
		out: out.terminal,
		err: err.terminal,
		signal: options.signal ?? new AbortController().signal,
		nowMs: () => Date.now(),
	});
	return { code, out: out.text(), err: err.text() };
}

function recorder(isTty: boolean): { readonly terminal: Terminal; text(): string } {
	let text = '';
	const terminal: Terminal = {
		isTty,
		hasColour: false,
		columns: () => 100,
		rows: () => 30,
		write: (more) => {
			text += more;
		},
	};
	return { terminal, text: () => text };
}
