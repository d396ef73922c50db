import { isMeshError } from '../errors.ts';
import type { LogFields, Logger } from './types.ts';

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LEVELS)[number];

/** Receives one finished line without its newline. */
export type LogSink = (line: string) => void;

/**
 * A logger of JSON lines (`json`) or of readable ones (`text`). Fields named like secrets are never written by callers;
 * errors are flattened to code and message.
 */
export function createLogger(options: {
	readonly level: LogLevel;
	readonly format: 'json' | 'text';
	readonly sink: LogSink;
	readonly nowMs: () => number;
	readonly fields?: LogFields;
}): Logger {
	const least = LEVELS.indexOf(options.level);
	const write = (level: LogLevel, message: string, fields: LogFields = {}): void => {
		if (LEVELS.indexOf(level) < least) return;
		const all = Object.entries({ ...options.fields, ...fields }).map(([key, value]) => [key, plain(value)] as const);
		const time = new Date(options.nowMs()).toISOString();
		options.sink(
			options.format === 'json'
				? JSON.stringify({ time, level, message, ...Object.fromEntries(all) })
				: `${time} ${level.padEnd(5)} ${message}${all.map(([key, value]) => ` ${key}=${text(value)}`).join('')}`,
		);
	};
	return {
		debug: (message, fields) => write('debug', message, fields),
		info: (message, fields) => write('info', message, fields),
		warn: (message, fields) => write('warn', message, fields),
		error: (message, fields) => write('error', message, fields),
		with: (fields) => createLogger({ ...options, fields: { ...options.fields, ...fields } }),
	};
}

function plain(value: unknown): unknown {
	if (isMeshError(value)) return `${value.code}: ${value.message}`;
	if (value instanceof Error) return value.message;
	if (typeof value === 'bigint') return Number(value);
	if (value instanceof Uint8Array) return `${value.byteLength} bytes`;
	return value;
}

function text(value: unknown): string {
	if (typeof value === 'string') return /[\s"=]/.test(value) || value === '' ? JSON.stringify(value) : value;
	return JSON.stringify(value) ?? 'undefined';
}
