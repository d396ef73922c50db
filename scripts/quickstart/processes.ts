/**
 * The processes and folder of one quickstart. Everything it starts is written down first, so that the next quickstart
 * can clean up after one that was killed at any moment.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** Short, because a unix socket's path has at most 107 bytes. */
export const RUN_DIR = join(tmpdir(), `beemesh-quickstart-${userInfo().uid}`);
const PIDS_DIR = join(RUN_DIR, 'pids');

/** Start time of a process in clock ticks since boot; undefined when it is gone. With the pid it names one process. */
function startTimeOf(pid: number): string | undefined {
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
		const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
		return fields[0] === 'Z' ? undefined : fields[19];
	} catch {
		return undefined;
	}
}

/** Makes the run folder ours. Returns what an earlier, killed quickstart left behind, after ending it. */
export async function claimRunDir(removeStorage: () => void): Promise<{ readonly cleaned: number }> {
	let cleaned = 0;
	if (existsSync(RUN_DIR)) {
		const owner = recordedPid('quickstart');
		if (owner !== undefined) {
			throw new Error(`another quickstart runs already (pid ${owner}); stop it with Ctrl-C or \`kill ${owner}\``);
		}
		cleaned = await endEverything(removeStorage);
	}
	mkdirSync(PIDS_DIR, { recursive: true, mode: 0o700 });
	record('quickstart', process.pid);
	return { cleaned };
}

export function record(name: string, pid: number): void {
	writeFileSync(join(PIDS_DIR, name), `${pid} ${startTimeOf(pid) ?? ''}`);
}

function recordedPid(name: string): number | undefined {
	try {
		const [pid, startTime] = readFileSync(join(PIDS_DIR, name), 'utf8').split(' ');
		return startTimeOf(Number(pid)) === startTime ? Number(pid) : undefined;
	} catch {
		return undefined;
	}
}

/** Starts a process that outlives a hung-up terminal but not this quickstart. */
export function start(name: string, command: string, args: readonly string[], logFile: number): ChildProcess {
	const child = spawn(command, args, { stdio: ['ignore', logFile, logFile], detached: true });
	if (child.pid !== undefined) record(name, child.pid);
	return child;
}

/** Ends all recorded processes and what hosts left running, then removes the folder. Returns how many were ended. */
export async function endEverything(removeStorage: () => void): Promise<number> {
	const names = existsSync(PIDS_DIR) ? readdirSync(PIDS_DIR).filter((name) => name !== 'quickstart') : [];
	// Hosts need their Podman to take their pods down, so it goes last.
	const hosts = names.filter((name) => name !== 'podman').map(recordedPid);
	const ended = await end(hosts.filter((pid) => pid !== undefined));
	const orphans = podsOf(RUN_DIR);
	for (const pid of orphans) signal(pid, 'SIGKILL');
	await waitForEnd(orphans, 5_000);
	removeStorage();
	const podman = await end(names.includes('podman') ? [recordedPid('podman')].filter((pid) => pid !== undefined) : []);
	rmSync(RUN_DIR, { recursive: true, force: true });
	return ended + orphans.length + podman;
}

async function end(pids: readonly number[]): Promise<number> {
	for (const pid of pids) signal(pid, 'SIGTERM');
	if (!(await waitForEnd(pids, 20_000))) for (const pid of pids) signal(pid, 'SIGKILL');
	await waitForEnd(pids, 5_000);
	return pids.length;
}

/** Processes whose environment says that they are pods of hosts in this folder. */
function podsOf(dir: string): number[] {
	return readdirSync('/proc')
		.map(Number)
		.filter((pid) => Number.isInteger(pid) && pid !== process.pid)
		.filter((pid) => {
			try {
				return readFileSync(`/proc/${pid}/environ`, 'utf8')
					.split('\0')
					.some((entry) => entry.startsWith(`BEEMESH_SOCKET=${dir}/`));
			} catch {
				return false;
			}
		});
}

export function signal(pid: number, name: NodeJS.Signals): void {
	try {
		process.kill(pid, name);
	} catch {
		// It ended by itself.
	}
}

export async function waitForEnd(pids: readonly number[], timeoutMs: number): Promise<boolean> {
	const until = Date.now() + timeoutMs;
	while (pids.some((pid) => startTimeOf(pid) !== undefined)) {
		if (Date.now() > until) return false;
		await delay(50);
	}
	return true;
}
