/**
 * Reads what this machine has: processors, memory, disk, and the control groups' limits (v2, and v1 where a
 * distribution still mounts it). Files that are missing mean no limit.
 */
import { readFile, statfs } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { type MachineFacts, parseCpuMax, parseMemoryMax, parseProcCgroup, withParents } from './core/allocatable.ts';

export interface ReaderOptions {
	/** The disk that counts is the one which holds this folder. */
	readonly stateDir: string;
	/** For tests: a folder that stands for `/`. */
	readonly root?: string;
}

export async function readMachineFacts({ stateDir, root = '' }: ReaderOptions): Promise<MachineFacts> {
	const groups = parseProcCgroup((await readText(`${root}/proc/self/cgroup`)) ?? '');
	const mount = `${root}/sys/fs/cgroup`;
	const unified = withParents(groups.get('') ?? '/');
	const v1 = (controller: string): readonly string[] => withParents(groups.get(controller) ?? '/');

	const cpuLimitMillis = least([
		...(await readAll(
			unified.map((path) => `${mount}${path}/cpu.max`),
			parseCpuMax,
		)),
		...(await readAll(
			v1('cpu').map((path) => `${mount}/cpu${path}`),
			parseCpuMax,
			readV1Quota,
		)),
	]);
	const memoryLimitBytes = least([
		...(await readAll(
			unified.map((path) => `${mount}${path}/memory.max`),
			parseMemoryMax,
		)),
		...(await readAll(
			v1('memory').map((path) => `${mount}/memory${path}/memory.limit_in_bytes`),
			parseMemoryMax,
		)),
	]);
	const disk = await statfs(stateDir);
	return {
		cores: availableParallelism(),
		cpuLimitMillis,
		memoryBytes: totalmem(),
		memoryLimitBytes,
		diskBytes: disk.bavail * disk.bsize,
	};
}

async function readAll(
	paths: readonly string[],
	parse: (text: string) => number | undefined,
	read: (path: string) => Promise<string | undefined> = readText,
): Promise<(number | undefined)[]> {
	return Promise.all(
		paths.map(async (path) => {
			const text = await read(path);
			return text === undefined ? undefined : parse(text);
		}),
	);
}

async function readText(path: string): Promise<string | undefined> {
	try {
		return await readFile(path, 'utf8');
	} catch {
		// Not Linux, no such controller, or not ours to read: no limit is known.
		return undefined;
	}
}

/** v1 keeps the two numbers of `cpu.max` in two files. */
async function readV1Quota(folder: string): Promise<string | undefined> {
	const [quota, period] = await Promise.all([
		readText(`${folder}/cpu.cfs_quota_us`),
		readText(`${folder}/cpu.cfs_period_us`),
	]);
	return quota === undefined || period === undefined ? undefined : `${quota.trim()} ${period.trim()}`;
}

function least(limits: readonly (number | undefined)[]): number | undefined {
	const known = limits.filter((limit) => limit !== undefined);
	return known.length === 0 ? undefined : Math.min(...known);
}
