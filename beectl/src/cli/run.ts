/** One invocation of beectl, from arguments to exit code. Knows no process: what it needs is handed in. */
import { apply } from '../commands/apply.ts';
import { remove, scale } from '../commands/change.ts';
import { describe } from '../commands/describe.ts';
import { get } from '../commands/get.ts';
import { inspect } from '../commands/inspect.ts';
import { logs } from '../commands/logs.ts';
import { mesh } from '../commands/mesh/index.ts';
import { owner } from '../commands/owner.ts';
import { version } from '../commands/version.ts';
import { connectHost, type HostClient } from '../host/client.ts';
import { paint, type Terminal } from '../output/terminal.ts';
import { readOwnerKey } from '../owner/key-file.ts';
import { createOwner, type Owner } from '../owner/owner.ts';
import { type Prompt, passphrasesFrom } from '../secrets/passphrase.ts';
import { trustedMesh } from '../trust/known-mesh.ts';
import { VERSION } from '../version.ts';
import { type Chosen, chosen, listOf, split, verbsOf } from './choose.ts';
import type { Cli, Command, CommandGroup } from './command.ts';
import { EXIT, type ExitCode, exitCodeOf, Failure } from './exit.ts';
import { commandHelp, GLOBAL_OPTIONS, groupHelp, toolHelp } from './help.ts';
import { parseInput, UsageError, usageError } from './input.ts';
import { locate } from './locate.ts';

const COMMANDS: readonly (Command | CommandGroup)[] = [
	apply,
	get,
	describe,
	logs,
	scale,
	remove,
	owner,
	mesh,
	inspect,
	version,
];

export interface System {
	/** Without node and script. */
	readonly args: readonly string[];
	readonly env: Readonly<Record<string, string | undefined>>;
	readonly stdin: AsyncIterable<Uint8Array | string>;
	readonly out: Terminal;
	readonly err: Terminal;
	/** Asks for passphrases. */
	readonly prompt: Prompt;
	/** Aborted by Ctrl-C. */
	readonly signal: AbortSignal;
	nowMs(): number;
}

export async function run(system: System): Promise<ExitCode> {
	const { out, err, signal } = system;
	let hint = '';
	const clients = new Map<string, Promise<HostClient>>();
	try {
		const { leading, name, rest } = split(system.args);
		if (leading.includes('--version')) return print(out, `beectl ${VERSION}\n`);
		if (name === undefined) {
			if (leading.includes('--help') || leading.includes('-h')) return print(out, toolHelp(COMMANDS));
			err.write(toolHelp(COMMANDS));
			return EXIT.usage;
		}
		if (name === 'help') {
			const [topic] = rest;
			if (topic === undefined) return print(out, toolHelp(COMMANDS));
			hint = ' (see `beectl --help`)';
			return print(out, helpOf(chosen(COMMANDS, rest)));
		}
		hint = ' (see `beectl --help`)';
		const { command, args } = chosen(COMMANDS, [name, ...rest]);
		hint = ` (see \`beectl ${command.name} --help\`)`;
		if ('commands' in command) return explainGroup(command, args, out);
		const input = parseInput([...leading, ...args], { ...command.options, ...GLOBAL_OPTIONS });
		if (input.flag('help')) return print(out, commandHelp(command));
		const { socket, files, passphraseFile } = locate(input, system.env);
		const passphrases = passphrasesFrom(passphraseFile, system.prompt);
		let owner: Promise<Owner> | undefined;
		const cli: Cli = {
			...system,
			socket,
			files,
			passphrases,
			connect(as = 'owner') {
				const known = clients.get(as);
				if (known !== undefined) return known;
				const client = (as === 'owner' ? cli.owner() : Promise.resolve(createOwner(cli.nowMs()))).then((whose) =>
					connectHost({
						...{ socket, signal, owner: whose },
						nowMs: () => cli.nowMs(),
						trust: (genesis) => trustedMesh(cli, genesis),
					}),
				);
				clients.set(as, client);
				return client;
			},
			owner: () => (owner ??= readOwnerKey(files.owner, passphrases)),
		};
		await command.run(input, cli);
		return EXIT.ok;
	} catch (error) {
		const isInterrupted = signal.aborted && !(error instanceof Failure);
		if (isInterrupted) return EXIT.interrupted;
		const code = exitCodeOf(error);
		for (const line of (error as Error).message.split('\n')) {
			err.write(
				line.startsWith('  ')
					? `${line}\n`
					: `${paint(err, 'red', 'error')}: ${line}${error instanceof UsageError ? hint : ''}\n`,
			);
		}
		if (code === EXIT.failed && !(error instanceof Failure) && system.env.BEEMESH_DEBUG)
			err.write(`${(error as Error).stack}\n`);
		return code;
	} finally {
		for (const client of clients.values()) await client.then((open) => open.close()).catch(() => {});
	}
}

function print(terminal: Terminal, text: string): ExitCode {
	terminal.write(text);
	return EXIT.ok;
}

/** A group alone does nothing: it explains itself. */
function explainGroup(group: CommandGroup, args: readonly string[], out: Terminal): ExitCode {
	if (args.includes('--help') || args.includes('-h')) return print(out, groupHelp(group));
	throw usageError(`say ${listOf(verbsOf(group))}`);
}

function helpOf({ command }: Chosen): string {
	return 'commands' in command ? groupHelp(command) : commandHelp(command);
}
