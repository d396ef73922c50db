/**
 * The frame of a program: mistakes on the command line end it with 2 and advice, failures at the start with 1 and one
 * line, never a stack trace; SIGTERM and SIGINT ask it to stop, and a second one stops it at once.
 */
import { createLogger, type Logger } from '@beemesh/sdk/telemetry';
import { UsageError } from './flags.ts';

export async function runProgram(name: string, main: () => Promise<void>): Promise<void> {
	try {
		await main();
	} catch (error) {
		const message = error instanceof Error ? error.message : String(error);
		if (error instanceof UsageError) {
			console.error(`${name}: ${message}\nTry --help.`);
			process.exit(2);
		}
		console.error(`${name}: ${message}`);
		process.exit(1);
	}
}

/** Resolves when `signal` aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
	return new Promise((resolve) => {
		if (signal.aborted) resolve();
		signal.addEventListener('abort', () => resolve(), { once: true });
	});
}

/** Log lines on standard error: readable on a terminal, JSON otherwise. */
export function programLog(name: string): Logger {
	return createLogger({
		level: 'info',
		format: process.stderr.isTTY ? 'text' : 'json',
		sink: (line) => process.stderr.write(`${line}\n`),
		nowMs: Date.now,
		fields: { app: name },
	});
}

/** Resolves with the reason when a signal asks the process to stop. */
export function stopRequested(): Promise<string> {
	return new Promise((resolve) => {
		for (const signal of ['SIGTERM', 'SIGINT'] as const) {
			process.once(signal, () => {
				process.once(signal, () => process.exit(130));
				resolve(signal);
			});
		}
	});
}
