/**
 * Scripts as cockroachdb/datadriven writes them: comments, then per directive a command line, lines of input, `----`, and
 * what is expected, up to an empty line. Output with empty lines in it stands between two pairs of `----`.
 */

export interface Argument {
	readonly key: string;
	/** Of `key=value` and `key=(a,b)`; empty for a bare word. */
	readonly values: readonly string[];
}

export interface Directive {
	/** Of its command, counted from 1. */
	readonly line: number;
	readonly command: string;
	readonly args: readonly Argument[];
	readonly input: string;
	readonly expected: string;
}

const SEPARATOR = '----';

/** Throws for a command that nothing is expected of. */
export function parseScript(text: string): Directive[] {
	const lines = text.split('\n');
	const directives: Directive[] = [];
	for (let at = 0; at < lines.length; ) {
		const head = lines[at] as string;
		if (head.trim() === '' || head.startsWith('#')) {
			at++;
			continue;
		}
		const separatorAt = lines.indexOf(SEPARATOR, at);
		if (separatorAt < 0) throw new Error(`line ${at + 1}: no ${SEPARATOR} after \`${head}\``);
		const isLong = lines[separatorAt + 1] === SEPARATOR;
		const beginAt = separatorAt + (isLong ? 2 : 1);
		const endAt = isLong ? endOfLong(lines, beginAt) : endOf(lines, beginAt);
		directives.push({
			line: at + 1,
			...parseCommand(head),
			input: lines.slice(at + 1, separatorAt).join('\n'),
			expected: lines.slice(beginAt, endAt).join('\n'),
		});
		at = endAt + (isLong ? 2 : 0);
	}
	return directives;
}

function endOf(lines: readonly string[], beginAt: number): number {
	const at = lines.indexOf('', beginAt);
	return at < 0 ? lines.length : at;
}

function endOfLong(lines: readonly string[], beginAt: number): number {
	for (let at = beginAt; at < lines.length; at++) if (lines[at] === SEPARATOR && lines[at + 1] === SEPARATOR) return at;
	return lines.length;
}

/** `add-nodes 3 voters=(1, 2) index=2` */
export function parseCommand(line: string): Pick<Directive, 'command' | 'args'> {
	const words = line.match(/[^\s=()]+(=(\([^)]*\)|[^\s]*))?/g) ?? [];
	const [command = '', ...rest] = words;
	const args = rest.map((word): Argument => {
		const [, key = word, value] = /^([^=]+)=(.*)$/s.exec(word) ?? [];
		if (value === undefined) return { key, values: [] };
		const list = /^\((.*)\)$/s.exec(value)?.[1];
		return { key, values: list === undefined ? [value] : list.split(',').map((part) => part.trim()) };
	});
	return { command, args };
}
