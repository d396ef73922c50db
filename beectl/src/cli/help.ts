/** What `--help` prints, made from the commands themselves. */
import type { Command, CommandGroup } from './command.ts';
import type { OptionSpecs } from './input.ts';

export const GLOBAL_OPTIONS: OptionSpecs = {
	host: {
		type: 'string',
		value: 'PATH',
		help: "the host's socket [BEEMESH_HOST; default: /run/beemesh/hostd.sock as root, else below $XDG_RUNTIME_DIR]",
	},
	owner: {
		type: 'string',
		value: 'FILE',
		help: "the owner's key [BEEMESH_OWNER; default: ~/.config/beemesh/owner.key]",
	},
	mesh: {
		type: 'string',
		value: 'FILE',
		help: "the mesh's root file, where its operator works [BEEMESH_MESH; default: ~/.config/beemesh/mesh.json]",
	},
	'mesh-genesis': {
		type: 'string',
		value: 'FILE',
		help: 'the only mesh to accept, as its invitation [BEEMESH_GENESIS; default: the one made here or met before]',
	},
	'passphrase-file': {
		type: 'string',
		value: 'FILE',
		help: 'holds the passphrase of the secret that is needed [BEEMESH_PASSPHRASE_FILE; default: asked for]',
	},
	help: { type: 'boolean', short: 'h', help: 'this text' },
};

const EXIT_CODES = `Exit codes:
  0  done
  1  failed
  2  wrong usage, or a manifest that is not valid
  3  not found
  4  host not reachable, or not done within the timeout
  130  interrupted by Ctrl-C`;

export function toolHelp(commands: readonly (Command | CommandGroup)[]): string {
	return `beectl: the owner's tool for Beemesh: Kubernetes manifests in, running workloads out

Usage: beectl COMMAND [options]

Commands:
${rows(commands.map(({ name, summary }) => [name, summary]))}

Options of all commands:
${optionRows(GLOBAL_OPTIONS)}

${EXIT_CODES}

Start here:
${rows([
	['beectl owner create', 'make the key that owns your workloads'],
	['beectl apply -f app.yaml --wait', 'place a Deployment or StatefulSet and watch it become ready'],
	['beectl get pods -o wide', 'see what runs where'],
	['beectl COMMAND --help', 'more about one command'],
])}
`;
}

export function groupHelp(group: CommandGroup): string {
	const sections = [
		`beectl ${group.name}: ${group.summary}`,
		`Usage:\n  beectl ${group.name} COMMAND [options]`,
		...(group.notes === undefined ? [] : [group.notes]),
		`Commands:\n${rows(group.commands.map(({ name, summary }) => [name.slice(group.name.length + 1), summary]))}`,
		`Options of all commands:\n${optionRows(GLOBAL_OPTIONS)}`,
		exampleText(group.examples),
		`More about one command: \`beectl ${group.name} COMMAND --help\``,
		EXIT_CODES,
	];
	return `${sections.join('\n\n')}\n`;
}

export function commandHelp(command: Command): string {
	const sections = [
		`beectl ${command.name}: ${command.summary}`,
		`Usage:\n${command.usage.map((line) => `  beectl ${line}`).join('\n')}`,
		...(command.notes === undefined ? [] : [command.notes]),
		`Options:\n${optionRows({ ...command.options, ...GLOBAL_OPTIONS })}`,
		exampleText(command.examples),
		EXIT_CODES,
	];
	return `${sections.join('\n\n')}\n`;
}

function exampleText(examples: Command['examples']): string {
	return `Examples:\n${examples.map(([line, does]) => `  # ${does}\n  beectl ${line}`).join('\n')}`;
}

function optionRows(specs: OptionSpecs): string {
	return rows(
		Object.entries(specs).map(([name, { short, value, help }]) => [
			`${short === undefined ? '    ' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`,
			help,
		]),
	);
}

function rows(entries: readonly (readonly [string, string])[]): string {
	const width = Math.max(...entries.map(([left]) => left.length)) + 2;
	return entries.map(([left, right]) => `  ${left.padEnd(width)}${right}`).join('\n');
}
