/**
 * Starts one container as a process group of its own that survives hostd. A shell of a few hundred kilobytes waits for
 * the command and writes its exit code into a file, so that a hostd that was away still learns how it ended.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { MeshError } from '@beemesh/sdk/errors';
import { exitReason } from '../exit-reason.ts';

/**
 * SIGTERM goes to the whole group: the shell has handlers for it and goes on waiting (a handler, unlike "ignore", is not
 * inherited by the command). When the command has ended, whatever it left in the group ends too, as in a container.
 */
const SUPERVISE = [
	'exit_file=$1; shift',
	'trap : TERM INT HUP QUIT USR1 USR2',
	'"$@"',
	'code=$?',
	'echo "$code" >"$exit_file.new" && mv "$exit_file.new" "$exit_file" && kill -9 0',
	'exit "$code"',
].join('\n');

export interface ProcessStart {
	readonly command: readonly string[];
	readonly cwd: string;
	readonly env: Readonly<Record<string, string>>;
	readonly exitFile: string;
	readonly descriptors: readonly [number, number];
}

export interface ExitRecord {
	readonly exitCode: number;
	readonly reason: string;
	readonly finishedAtMs: number;
}

/** Spawns the supervising shell; resolves when it runs. Its pid is also the process group of the container. */
export async function startSupervised(start: ProcessStart): Promise<ChildProcess & { readonly pid: number }> {
	rmSync(start.exitFile, { force: true });
	const child = spawn('/bin/sh', ['-c', SUPERVISE, 'beemesh-container', start.exitFile, ...start.command], {
		detached: true,
		cwd: start.cwd,
		env: { ...start.env },
		stdio: ['ignore', ...start.descriptors],
	});
	await new Promise<void>((resolve, reject) => {
		child.once('spawn', resolve);
		child.once('error', (cause) => {
			reject(new MeshError('internal', `cannot start ${start.command[0]}: ${cause.message}`, { applied: 'no', cause }));
		});
	});
	child.unref();
	return child as ChildProcess & { readonly pid: number };
}

/** The exit code that the shell, or hostd, has written down. */
export function readExit(exitFile: string): ExitRecord | undefined {
	try {
		const [code, reason] = readFileSync(exitFile, 'utf8').trim().split(' ');
		const exitCode = Number(code);
		if (code === undefined || code === '' || !Number.isInteger(exitCode)) return undefined;
		return { exitCode, reason: reason ?? exitReason(exitCode), finishedAtMs: Math.round(statSync(exitFile).mtimeMs) };
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
		throw error;
	}
}

/**
 * Writes down an end that the shell could not: it was killed together with the command. Where that fails, on a full
 * disk, this hostd still knows the end; one started later finds it unknown.
 */
export function writeExit(exitFile: string, exitCode: number, reason: string): ExitRecord {
	try {
		writeFileSync(`${exitFile}.new`, `${exitCode} ${reason}\n`, { mode: 0o600 });
		renameSync(`${exitFile}.new`, exitFile);
		return { exitCode, reason, finishedAtMs: Math.round(statSync(exitFile).mtimeMs) };
	} catch {
		return { exitCode, reason, finishedAtMs: Date.now() };
	}
}
