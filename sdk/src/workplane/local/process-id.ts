/** Names a process for as long as the machine runs: process IDs are reused, with their start time they are not. */
import { readFile } from 'node:fs/promises';
import * as v from 'valibot';

export const processSchema = v.object({ pid: v.number(), start: v.string() });
export type ProcessName = v.InferOutput<typeof processSchema>;

export async function currentProcess(): Promise<ProcessName> {
	return { pid: process.pid, start: await startOf(process.pid) };
}

export async function isAlive({ pid, start }: ProcessName): Promise<boolean> {
	if (pid <= 0) return false;
	try {
		process.kill(pid, 0);
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === 'EPERM';
	}
	return (await startOf(pid)) === start;
}

/** Field 22 of `/proc/<pid>/stat` (proc(5)), and empty for a zombie's sake when it has ended; empty elsewhere than on Linux. */
async function startOf(pid: number): Promise<string> {
	try {
		const text = await readFile(`/proc/${pid}/stat`, 'utf8');
		// The second field is the command in brackets, which may contain anything.
		const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
		return fields[0] === 'Z' ? '' : (fields[19] ?? '');
	} catch {
		return '';
	}
}
