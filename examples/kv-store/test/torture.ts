/**
 * Is a real kv-store linearizable while its processes are killed and paused? Starts a cluster, lets clients loose,
 * breaks replicas by a seeded plan, heals everything, reads every key a last time, and checks the whole history.
 */
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Call, checkLinearizable } from '@beemesh/sdk/testing';
import { type Cluster, type ClusterReplica, startCluster } from './cluster.ts';
import { type Random, seededRandom } from './random.ts';
import { type RecordedCall, readFinally, runTortureClient } from './torture-client.ts';

export interface TortureOptions {
	readonly seed: number;
	/** How long faults go on. */
	readonly durationMs: number;
	readonly clients: number;
	/** Told of each fault as it happens. */
	readonly say: (what: string) => void;
}

export interface TortureReport {
	readonly seed: number;
	readonly calls: number;
	readonly acknowledgedWrites: number;
	readonly refused: number;
	readonly unknown: number;
	readonly kills: number;
	readonly pauses: number;
	/** The longest time without any acknowledged write, milliseconds. */
	readonly longestGapMs: number;
	readonly isLinearizable: boolean;
	/** Where it is not: the key, calls that cannot all be true, and the file with the whole history and the faults. */
	readonly contradiction?: { readonly key: string | undefined; readonly calls: readonly Call[]; readonly file: string };
}

const KEYS_AT_A_TIME = 3;
const CALLS_PER_KEY_SET = 400;
/** Generous: on a busy machine a start alone can take seconds, and what is checked is what was promised, not how fast. */
const READY_MS = 90_000;

export async function torture(options: TortureOptions): Promise<TortureReport> {
	const random = seededRandom(options.seed);
	// Every other round compacts its log all the time.
	const cluster = await startCluster(3, { args: options.seed % 2 === 0 ? [] : ['--snapshot-after', '16'] });
	try {
		await cluster.ready(READY_MS);
		const history: RecordedCall[] = [];
		const marks: unknown[] = [];
		const record = (call: RecordedCall): void => void history.push(call);
		const keys = (): string[] => {
			const set = Math.floor(history.length / CALLS_PER_KEY_SET);
			return Array.from({ length: KEYS_AT_A_TIME }, (_, i) => `torture/${set}/${i}`);
		};
		const stop = new AbortController();
		const clients = Array.from({ length: options.clients }, (_, i) =>
			runTortureClient({
				name: `c${i}`,
				urls: cluster.urls,
				random: seededRandom(options.seed * 1000 + i),
				keys,
				record,
				timeoutMs: 1500,
				signal: stop.signal,
			}),
		);
		const say = (what: string): void => {
			marks.push({ fault: what, atNs: Number(process.hrtime.bigint()) });
			options.say(what);
		};
		const faults = await breakThings(cluster, random, { ...options, say });
		await cluster.ready(READY_MS);
		stop.abort();
		await Promise.all(clients);
		for (const key of new Set(history.map((call) => call.key))) await readFinally(cluster.urls, key, record);
		const { contradiction, ...report } = summary(history);
		const result = { seed: options.seed, ...faults, ...report };
		return contradiction === undefined
			? result
			: { ...result, contradiction: { ...contradiction, file: await keep([...marks, ...history]) } };
	} finally {
		await cluster.close();
	}
}

type Fault = 'kill one' | 'kill the leader' | 'pause one' | 'pause the leader' | 'kill two' | 'kill all';
const PLAN: readonly Fault[] = [
	'kill the leader',
	'pause the leader',
	'kill one',
	'pause one',
	'kill the leader',
	'pause the leader',
	'kill two',
	'kill all',
];

async function breakThings(cluster: Cluster, random: Random, { durationMs, say }: TortureOptions) {
	const end = Date.now() + durationMs;
	const count = { kills: 0, pauses: 0 };
	for (let turn = 0; Date.now() < end; turn++) {
		// The plan in order at first, so that even a short run has every kind.
		const fault = turn < PLAN.length ? (PLAN[turn] as Fault) : random.pick(PLAN);
		const victims = await victimsOf(fault, cluster, random);
		say(`${fault}: ${victims.map(({ url }) => url).join(', ')}`);
		if (fault.startsWith('pause')) {
			for (const victim of victims) victim.pause();
			count.pauses += victims.length;
			await delay(random.between(300, 2500));
			for (const victim of victims) victim.resume();
			say('resumed');
		} else {
			await Promise.all(victims.map((victim) => victim.kill()));
			count.kills += victims.length;
			await delay(random.between(100, 1200));
			for (const victim of victims) victim.start();
			say('started again');
		}
		await cluster.ready(READY_MS);
		await delay(random.between(100, 600));
	}
	return count;
}

async function victimsOf(fault: Fault, cluster: Cluster, random: Random): Promise<readonly ClusterReplica[]> {
	if (fault.endsWith('leader')) return [await cluster.leader(READY_MS)];
	if (fault === 'kill all') return cluster.replicas;
	const spared = random.below(cluster.replicas.length);
	if (fault === 'kill two') return cluster.replicas.filter((_, i) => i !== spared);
	return [random.pick(cluster.replicas)];
}

/** Writes the evidence down, one JSON line each. */
async function keep(lines: readonly unknown[]): Promise<string> {
	const file = join(await mkdtemp(join(tmpdir(), 'kv-torture-')), 'history.jsonl');
	await writeFile(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
	return file;
}

function summary(history: readonly Call[]) {
	const report = checkLinearizable(history);
	const writes = history.filter(({ op, outcome, result }) => op !== 'get' && outcome === 'ok' && result !== false);
	const times = writes.map(({ returnNs }) => returnNs).sort((a, b) => a - b);
	const gaps = times.slice(1).map((time, i) => time - (times[i] ?? time));
	return {
		calls: history.length,
		acknowledgedWrites: writes.length,
		refused: history.filter(({ outcome }) => outcome === 'fail').length,
		unknown: history.filter(({ outcome }) => outcome === 'unknown').length,
		longestGapMs: Math.round(gaps.reduce((a, b) => Math.max(a, b), 0) / 1e6),
		isLinearizable: report.isLinearizable,
		contradiction: report.isLinearizable ? undefined : { key: report.key, calls: report.stuckAt ?? [] },
	};
}
