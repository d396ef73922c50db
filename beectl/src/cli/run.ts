/** One invocation of beectl, from arguments to exit code. Knows no process: what it needs is handed in. */
import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import type { KeyPair } from '@beemesh/sdk/identity';
import { apply } from '../commands/apply.ts';
import { remove, scale } from '../commands/change.ts';
import { describe } from '../commands/describe.ts';
import { get } from '../commands/get.ts';
import { logs } from '../commands/logs.ts';
import { owner } from '../commands/owner.ts';
import { version } from '../commands/version.ts';
import { connectHost, type HostClient } from '../host/client.ts';
import { nearest } from '../manifests/index.ts';
import { paint, type Terminal } from '../output/terminal.ts';
import { readOwnerKey } from '../owner/key-file.ts';
import { VERSION } from '../version.ts';
import type { Cli, Command } from './command.ts';
import { EXIT, type ExitCode, exitCodeOf, Failure } from './exit.ts';
import { commandHelp, GLOBAL_OPTIONS, toolHelp } from './help.ts';
import { type Input, parseInput, UsageError, usageError } from './input.ts';

const COMMANDS: readonly Command[] = [apply, get, describe, logs, scale, remove, owner, version];

export interface System {
	/** Without node and script. */
	readonly args: readonly string[];
	readonly env: Readonly<Record<string, string | undefined>>;
	readonly stdin: AsyncIterable<Uint8Array | string>;
	readonly out: Terminal;
	readonly err: Terminal;
	/** Aborted by Ctrl-C. */
	readonly signal: AbortSignal;
	nowMs(): number;
}

export async function run(system: System): Promise<ExitCode> {
	const { out, err, signal } = system;
	let hint = '';
	let client: Promise<HostClient> | undefined;
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
			return print(out, commandHelp(commandNamed(topic)));
		}
		hint = ' (see `beectl --help`)';
		const command = commandNamed(name);
		hint = ` (see \`beectl ${command.name} --help\`)`;
		const input = parseInput([...leading, ...rest], { ...command.options, ...GLOBAL_OPTIONS });
		if (input.flag('help')) return print(out, commandHelp(command));
		const { socket, ownerFile } = locate(input, system.env);
		let key: Promise<KeyPair> | undefined;
		const cli: Cli = {
			...system,
			socket,
			ownerFile,
			connect: () => (client ??= connectHost(socket, signal)),
			owner: () => (key ??= readOwnerKey(ownerFile)),
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
		await client?.then((open) => open.close()).catch(() => {});
	}
}

function print(terminal: Terminal, text: string): ExitCode {
	terminal.write(text);
	return EXIT.ok;
}

/** Options may stand before the command: `beectl --host PATH get pods`. */
function split(args: readonly string[]): {
	leading: readonly string[];
	name: string | undefined;
	rest: readonly string[];
} {
	for (let i = 0; i < args.length; i++) {
		const arg = args[i] ?? '';
		if (!arg.startsWith('-')) return { leading: args.slice(0, i), name: arg, rest: args.slice(i + 1) };
		// The value of the option.
		if (GLOBAL_OPTIONS[arg.slice(2)]?.type === 'string') i++;
	}
	return { leading: args, name: undefined, rest: [] };
}

function commandNamed(name: string): Command {
	const found = COMMANDS.find((command) => command.name === name);
	if (found !== undefined) return found;
	const meant = nearest(
		name,
		COMMANDS.map((command) => command.name),
	);
	throw usageError(`there is no command "${name}"${meant === undefined ? '' : `; did you mean "${meant}"?`}`);
}

/** A flag wins over the environment, that over the default. A variable that is empty counts as not set. */
function locate(input: Input, env: System['env']): { socket: string; ownerFile: string } {
	const { uid } = userInfo();
	// Where `hostd` listens unless it is told otherwise.
	const runtimeDir = uid === 0 ? '/run' : env.XDG_RUNTIME_DIR || `/tmp/beemesh-${uid}`;
	const configDir = env.XDG_CONFIG_HOME || join(env.HOME || homedir(), '.config');
	return {
		socket: input.text('host') ?? (env.BEEMESH_HOST || join(runtimeDir, 'beemesh', 'hostd.sock')),
		ownerFile: input.text('owner') ?? (env.BEEMESH_OWNER || join(configDir, 'beemesh', 'owner.key')),
	};
}
