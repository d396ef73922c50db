/**
 * From what the machine has to what pods may use. Pure; `reader.ts` supplies the facts.
 */
import type { Resources } from '@beemesh/sdk/wire';
import { subtractResources } from './accountant.ts';

/** What the kernel says. Limits are of the control groups this process is in; undefined where there is none. */
export interface MachineFacts {
	/** Processors this process may run on (affinity included). */
	readonly cores: number;
	readonly cpuLimitMillis: number | undefined;
	readonly memoryBytes: number;
	readonly memoryLimitBytes: number | undefined;
	/** Size of the file system that holds the state directory, less what others already use. */
	readonly diskBytes: number;
}

/** Kept back for the system and hostd itself. */
export const DEFAULT_SYSTEM_RESERVE: Resources = {
	cpuMillis: 100,
	memoryBytes: 256 * 1024 * 1024,
	diskBytes: 1024 * 1024 * 1024,
};

/** The tighter of hardware and control group. */
export function capacityOf(facts: MachineFacts): Resources {
	return {
		cpuMillis: Math.floor(Math.min(facts.cores * 1000, facts.cpuLimitMillis ?? Number.POSITIVE_INFINITY)),
		memoryBytes: Math.floor(Math.min(facts.memoryBytes, facts.memoryLimitBytes ?? Number.POSITIVE_INFINITY)),
		diskBytes: Math.floor(facts.diskBytes),
	};
}

/** Capacity less the reserve; never negative. */
export function allocatableOf(facts: MachineFacts, reserve: Resources = DEFAULT_SYSTEM_RESERVE): Resources {
	return subtractResources(capacityOf(facts), reserve);
}

/** cgroup v2 `cpu.max`: `<quota> <period>` or `max <period>`. Undefined for no limit, or a text of another shape. */
export function parseCpuMax(text: string): number | undefined {
	const match = /^(\d+)\s+(\d+)/.exec(text.trim());
	if (match === null) return undefined;
	const [quota, period] = [Number(match[1]), Number(match[2])];
	return period > 0 ? Math.floor((quota * 1000) / period) : undefined;
}

/** cgroup `memory.max` (v2) or `memory.limit_in_bytes` (v1): bytes or `max`. v1 spells no limit as a huge number. */
export function parseMemoryMax(text: string): number | undefined {
	const bytes = /^\d+$/.test(text.trim()) ? Number(text.trim()) : undefined;
	return bytes !== undefined && bytes < 2 ** 60 ? bytes : undefined;
}

/** Paths of a process's control groups from `/proc/self/cgroup`, by controller; `''` is the unified hierarchy (v2). */
export function parseProcCgroup(text: string): ReadonlyMap<string, string> {
	const paths = new Map<string, string>();
	for (const line of text.split('\n')) {
		const match = /^\d+:([^:]*):(\/.*)$/.exec(line);
		if (match === null) continue;
		for (const controller of (match[1] as string).split(',')) paths.set(controller, match[2] as string);
	}
	return paths;
}

/** A group and all its parents, innermost first: a limit on any of them binds. */
export function withParents(path: string): readonly string[] {
	const parts = path.split('/').filter((part) => part !== '');
	return [...parts.map((_, i) => `/${parts.slice(0, parts.length - i).join('/')}`), '/'];
}
