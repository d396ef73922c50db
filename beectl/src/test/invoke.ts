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
		/** What a person types at each question; without any there is no terminal. */
		readonly answers?: readonly string[];
		readonly signal?: AbortSignal;
		/** Ctrl-C as soon as this was printed on stderr. */
		readonly interruptAt?: string;
	} = {},
): Promise<Invoked> {
	const out = recorder(options.isTty ?? false);
	const interrupt = new AbortController();
	const err = recorder(options.isTty ?? false, (text) => {
		if (options.interruptAt !== undefined && text.includes(options.interruptAt)) interrupt.abort();
	});
	const answers = [...(options.answers ?? [])];
	const code = await run({
		args,
		env: options.env ?? {},
		stdin: (async function* () {
			yield options.stdin ?? '';
		})(),
		out: out.terminal,
		err: err.terminal,
		prompt:
			options.answers === undefined
				? undefined
				: async (question) => {
						err.terminal.write(`${question}\n`);
						const answer = answers.shift();
						if (answer === undefined) throw new Error(`nobody answers "${question}"`);
						return answer;
					},
		signal: AbortSignal.any([interrupt.signal, ...(options.signal === undefined ? [] : [options.signal])]),
		nowMs: () => Date.now(),
	});
	return { code, out: out.text(), err: err.text() };
}

function recorder(
	isTty: boolean,
	onText: (text: string) => void = () => {},
): { readonly terminal: Terminal; text(): string } {
	let text = '';
	const terminal: Terminal = {
		isTty,
		hasColour: false,
		columns: () => 100,
		rows: () => 30,
		write: (more) => {
			text += more;
			onText(text);
		},
	};
	return { terminal, text: () => text };
}
