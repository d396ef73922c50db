/** Arguments of one command: parsed by node:util, read by name. Everything wrong with them is a usage error. */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { EXIT, Failure } from './exit.ts';

interface OptionSpec {
	readonly type: 'string' | 'boolean';
	readonly short?: string;
	readonly multiple?: boolean;
	/** Placeholder of the value in `--help`. */
	readonly value?: string;
	readonly help: string;
}
export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

export interface Input {
	readonly positionals: readonly string[];
	text(name: string): string | undefined;
	texts(name: string): readonly string[];
	flag(name: string): boolean;
	/** A whole number ≥ `min`. */
	count(name: string, min: number): number | undefined;
	/** `500ms`, `60s`, `5m`, or seconds. */
	durationMs(name: string): number | undefined;
}

/** Wrong words on the command line, as opposed to in a manifest: the help says more. */
export class UsageError extends Failure {
	constructor(message: string, options?: ErrorOptions) {
		super(EXIT.usage, message, options);
	}
}

export function usageError(message: string): UsageError {
	return new UsageError(message);
}

export function parseInput(args: readonly string[], specs: OptionSpecs): Input {
	const options: NonNullable<ParseArgsConfig['options']> = {};
	for (const [name, { type, short, multiple }] of Object.entries(specs)) {
		options[name] = {
			type,
			...(short === undefined ? {} : { short }),
			...(multiple === undefined ? {} : { multiple }),
		};
	}
	const { values, positionals } = parse(withPlainFlags(args, specs), options);
	const text = (name: string): string | undefined => {
		const value = values[name];
		return typeof value === 'string' ? value : undefined;
	};
	return {
		positionals,
		text,
		texts: (name) => {
			const value = values[name];
			return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
		},
		flag: (name) => values[name] === true,
		count(name, min) {
			const value = text(name);
			if (value === undefined) return undefined;
			if (!/^\d{1,9}$/.test(value) || Number(value) < min)
				throw usageError(`--${name}: "${value}" is not a whole number of at least ${min}`);
			return Number(value);
		},
		durationMs(name) {
			const value = text(name);
			if (value === undefined) return undefined;
			const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(value);
			if (match === null) throw usageError(`--${name}: "${value}" is not a duration such as 500ms, 60s or 5m`);
			return (
				Number(match[1]) * { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[(match[2] ?? 's') as 'ms' | 's' | 'm' | 'h']
			);
		},
	};
}

function parse(args: readonly string[], options: NonNullable<ParseArgsConfig['options']>) {
	try {
		return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
	} catch (cause) {
		const [what = ''] = (cause as Error).message.split(/\.\s/);
		const option = /^Option '(--[a-z-]+)' argument is ambiguous/.exec(what)?.[1];
		throw new UsageError(
			option === undefined
				? what.replace(/\.$/, '')
				: `${option}: needs a value; one that starts with a dash is written ${option}=-…`,
			{ cause },
		);
	}
}

/** kubectl's users write `--wait=false`; parseArgs knows flags without values only. */
function withPlainFlags(args: readonly string[], specs: OptionSpecs): readonly string[] {
	const end = args.indexOf('--');
	return args.flatMap((arg, index) => {
		const match = /^--([a-z-]+)=(.*)$/s.exec(arg);
		if (match === null || (end >= 0 && index > end) || specs[match[1] ?? '']?.type !== 'boolean') return [arg];
		if (match[2] === 'true') return [`--${match[1]}`];
		if (match[2] === 'false') return [];
		throw usageError(`--${match[1]}: "${match[2]}" is neither true nor false`);
	});
}
