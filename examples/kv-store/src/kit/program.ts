/**
 * The frame of a program: mistakes on the command line end it with 2 and advice, failures with 1 and one line, never a
 * stack trace; SIGTERM and SIGINT ask it to stop, and a second one stops it at once.
 */
import { isMeshError } from '@beemesh/sdk';
import { createLogger, type Logger } from '@beemesh/sdk/telemetry';
import { UsageError } from './flags.ts';

/** `main` gets a signal that aborts when the process is asked to stop, and may fail as `cancelled` because of it. */
export async function runProgram(name: string, main: (stop: AbortSignal) => Promise<void>): Promise<never> {
	const stop = stopSignal();
	try {
		await main(stop);
		process.exit(0);
	} catch (error) {
		if (stop.aborted && isMeshError(error, 'cancelled')) process.exit(0);
		console.error(`${name}: ${error instanceof Error ? error.message : String(error)}`);
		if (!(error instanceof UsageError)) process.exit(1);
		console.error('Try --help.');
		process.exit(2);
	}
}

function stopSignal(): AbortSignal {
	const stop = new AbortController();
	for (const name of ['SIGTERM', 'SIGINT'] as const) {
		process.on(name, () => {
			if (stop.signal.aborted) process.exit(130);
			stop.abort(name);
		});
	}
	return stop.signal;
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
