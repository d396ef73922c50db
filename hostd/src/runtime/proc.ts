/** Reads Linux' /proc: is this still the process that was started, and what does its process group use? */
import { readdirSync, readFileSync } from 'node:fs';

export interface ProcessIdentity {
	readonly pid: number;
	/** Clock ticks between boot and the start of the process: tells a reused pid from the original. */
	readonly startTicks: number;
	/** Distinguishes this boot from another one in which the same pid started at the same tick. */
	readonly bootId: string;
}

interface ProcessStat {
	readonly state: string;
	readonly processGroup: number;
	readonly cpuTicks: number;
	readonly startTicks: number;
}

export interface GroupUsage {
	readonly cpuSeconds: number;
	readonly memoryBytes: number;
}

/** Linux reports times to user space in hundredths of a second on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;

let bootId: string | undefined;

function currentBootId(): string {
	bootId ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
	return bootId;
}

function readStat(pid: number): ProcessStat | undefined {
	let text: string;
	try {
		text = readFileSync(`/proc/${pid}/stat`, 'utf8');
	} catch {
		return undefined;
	}
	// The command name may contain spaces and brackets; the fields start after its last bracket (proc(5)).
	const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
	const number = (index: number) => Number(fields[index] ?? 0);
	return {
		state: fields[0] ?? 'X',
		processGroup: number(2),
		cpuTicks: number(11) + number(12) + number(13) + number(14),
		startTicks: number(19),
	};
}

/** The identity of a process that runs now; undefined when it has ended already. */
export function identify(pid: number): ProcessIdentity | undefined {
	const stat = readStat(pid);
	return stat && { pid, startTicks: stat.startTicks, bootId: currentBootId() };
}

/** Whether exactly this process still runs. A zombie has ended: only its exit code waits to be fetched. */
export function isAlive(identity: ProcessIdentity): boolean {
	if (identity.bootId !== currentBootId()) return false;
	const stat = readStat(identity.pid);
	return stat !== undefined && stat.startTicks === identity.startTicks && stat.state !== 'Z' && stat.state !== 'X';
}

/** CPU and resident memory of process groups; one pass over /proc for all of them. */
export function groupUsage(groups: ReadonlySet<number>): ReadonlyMap<number, GroupUsage> {
	const usage = new Map<number, { cpuSeconds: number; memoryBytes: number }>();
	for (const entry of readdirSync('/proc')) {
		if (!/^[0-9]+$/.test(entry)) continue;
		const stat = readStat(Number(entry));
		if (!stat || !groups.has(stat.processGroup)) continue;
		const sum = usage.get(stat.processGroup) ?? { cpuSeconds: 0, memoryBytes: 0 };
		sum.cpuSeconds += stat.cpuTicks / TICKS_PER_SECOND;
		sum.memoryBytes += residentBytes(entry);
		usage.set(stat.processGroup, sum);
	}
	return usage;
}

function residentBytes(pid: string): number {
	try {
		return Number(/^VmRSS:\s+([0-9]+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
	} catch {
		return 0;
	}
}

/** Signals a whole process group; a group that is gone is what the caller wanted. */
export function signalGroup(processGroup: number, signal: NodeJS.Signals): void {
	try {
		process.kill(-processGroup, signal);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
	}
}
