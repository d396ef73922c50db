/** A program of this repository as a child process that a test starts, kills, pauses and starts again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export interface Program {
	readonly pid: number | undefined;
	start(): void;
	/** SIGKILL, and waits until the process is gone. */
	kill(): Promise<void>;
	pause(): void;
	resume(): void;
	/** SIGTERM, and waits for the exit; its code. */
	terminate(): Promise<number | null>;
	/** Waits until it ends by itself; its code. */
	ended(): Promise<number | null>;
	/** Its output so far, for messages of failed tests. */
	log(): string;
}

/** `main` is run by this Node, from source, after `imports`. It does not outlive the test's process. */
export function createProgram(main: string, args: readonly string[], imports: readonly string[] = []): Program {
	let child: ChildProcess | undefined;
	let exited: Promise<unknown> = Promise.resolve();
	let log = '';
	const abandon = (): void => void child?.kill('SIGKILL');
	return {
		get pid() {
			return child?.pid;
		},
		start() {
			const preloaded = imports.flatMap((file) => ['--import', file]);
			const started = spawn(process.execPath, ['--conditions=source', ...preloaded, main, ...args], {
				stdio: ['ignore', 'pipe', 'pipe'],
			});
			for (const stream of [started.stdout, started.stderr]) {
				stream.on('data', (chunk: Buffer) => {
					log = (log + chunk).slice(-20_000);
				});
			}
			child = started;
			process.once('exit', abandon);
			exited = once(started, 'exit').then(() => {
				if (child === started) child = undefined;
				process.off('exit', abandon);
			});
		},
		async kill() {
			child?.kill('SIGKILL');
			await exited;
		},
		pause: () => void child?.kill('SIGSTOP'),
		resume: () => void child?.kill('SIGCONT'),
		async terminate() {
			const running = child;
			running?.kill('SIGTERM');
			await exited;
			return running?.exitCode ?? null;
		},
		async ended() {
			const running = child;
			await exited;
			return running?.exitCode ?? null;
		},
		log: () => log,
	};
}

/** Polls, because what is waited for happens in other processes. */
export async function until(
	timeoutMs: number,
	done: () => Promise<boolean>,
	describeState: () => string,
): Promise<void> {
	const deadline = Date.now() + timeoutMs;
	while (!(await done())) {
		if (Date.now() > deadline) throw new Error(`not reached within ${timeoutMs} ms\n${describeState()}`);
		await delay(20);
	}
}

export async function freePort(): Promise<number> {
	const server = createServer().listen(0, '127.0.0.1');
	await once(server, 'listening');
	const address = server.address();
	server.close();
	await once(server, 'close');
	if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
	return address.port;
}
