/** Plants each bug in a process of its own, two at a time, and asks there what finds it. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BUGS, type Bug } from './bugs.ts';

const run = promisify(execFile);
const LANES = 2;
/** A bug that keeps a test from ending, or from ever having enough memory, is found by that. */
const BUG_MS = 120_000;
const HEAP_MIB = 512;

export interface BugsReport {
	readonly bugs: number;
	readonly caught: number;
	readonly missed: readonly string[];
	/** How many were found by scripts, by tests, by simulation, and by not coming to an end. */
	readonly by: Readonly<Record<string, number>>;
}

export interface BugsOptions {
	readonly say: (what: string) => void;
	/** Simulated groups for each kind of settings. */
	readonly seeds: number;
	/** Only those with this in their name. */
	readonly grep?: string | undefined;
}

export async function plantAll({ say, seeds, grep = '' }: BugsOptions): Promise<BugsReport> {
	const chosen = BUGS.filter(({ name }) => name.includes(grep));
	const queue = [...chosen];
	const missed: string[] = [];
	const by: Record<string, number> = {};
	const work = async (): Promise<void> => {
		for (let bug = queue.shift(); bug !== undefined; bug = queue.shift()) {
			const finder = await findBug(bug, seeds);
			say(`${finder === null ? 'MISSED' : 'caught'}  ${bug.name}${finder === null ? '' : ` (${finder})`}`);
			if (finder === null) {
				missed.push(bug.name);
				continue;
			}
			const kind = finder.split(',')[0] as string;
			by[kind] = (by[kind] ?? 0) + 1;
		}
	};
	await Promise.all(Array.from({ length: LANES }, work));
	return { bugs: chosen.length, caught: chosen.length - missed.length, missed, by };
}

async function findBug({ name }: Bug, seeds: number): Promise<string | null> {
	const at = (file: string): string => join(import.meta.dirname, file);
	const env = { ...process.env, BEEMESH_BUG: name, BEEMESH_BUG_SEEDS: String(seeds) };
	const args = [`--max-old-space-size=${HEAP_MIB}`, '--conditions=source', '--import', at('plant.ts'), at('detect.ts')];
	try {
		const { stdout } = await run(process.execPath, args, { env, timeout: BUG_MS, killSignal: 'SIGKILL' });
		return (JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as { by: string | null }).by;
	} catch (error) {
		const { killed, signal } = error as { killed?: boolean; signal?: string };
		if (killed || signal === 'SIGABRT') return 'no end';
		throw new Error(`'${name}' could not be planted: ${(error as Error).message}`, { cause: error });
	}
}
