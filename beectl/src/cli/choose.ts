/** Which command a command line means. */
import { nearest } from '../manifests/index.ts';
import type { Command, CommandGroup } from './command.ts';
import { EXIT, Failure } from './exit.ts';
import { GLOBAL_OPTIONS } from './help.ts';
import { usageError } from './input.ts';

export interface Chosen {
	readonly command: Command | CommandGroup;
	/** What is left for it. */
	readonly args: readonly string[];
}

/** `get …`, or `mesh init …`. A group without a verb is chosen itself. */
export function chosen(commands: readonly (Command | CommandGroup)[], words: readonly string[]): Chosen {
	const [name = '', ...rest] = words;
	const command = commands.find((each) => each.name === name);
	if (command === undefined) {
		const known = commands.map((each) => each.name);
		const meant = nearest(name, known);
		throw usageError(`there is no command "${name}"${meant === undefined ? '' : `; did you mean "${meant}"?`}`);
	}
	if (!('commands' in command)) return { command, args: rest };
	const { leading, name: verb, rest: args } = split(rest);
	if (verb === undefined) return { command, args: leading };
	const found = command.commands.find((each) => each.name === `${command.name} ${verb}`);
	if (found === undefined) {
		const say = `there is no "${command.name} ${verb}"; say ${listOf(verbsOf(command))}`;
		throw new Failure(EXIT.usage, `${say} (see \`beectl ${command.name} --help\`)`);
	}
	return { command: found, args: [...leading, ...args] };
}

export function verbsOf(group: CommandGroup): readonly string[] {
	return group.commands.map(({ name }) => name.slice(group.name.length + 1));
}

export function listOf(words: readonly string[]): string {
	return `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

/** Options may stand before the command: `beectl --host PATH get pods`. */
export function split(args: readonly string[]): {
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
