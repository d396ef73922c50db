/** `npm run fuzz -- suite`: the native backend of the cryptographic suite against the JavaScript one. */
import { randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { nativeBackend } from '../../../sdk/src/identity/suite/index.ts';
import { readOptions, UsageError, wholeNumber } from '../../command-line.ts';
import type { Campaign, Outcome } from '../campaign.ts';
import { kindNames } from './kinds.ts';
import type { Range, RangeResult } from './worker.ts';

const USAGE = `  --cases N     how many comparisons (default 10000)
  --seed S      replays a run (default random, always printed)
  --from I      the first case (default 0); with --cases 1 it replays one
  --workers W   threads (default: one a core)
`;
// A multiple of 100, so that every range has the whole mix of kinds; under a second of work.
const RANGE_CASES = 200;
const PROGRESS_EVERY_MS = 5_000;
const DISAGREEMENTS_SHOWN_MAX = 20;

interface Plan {
	readonly cases: number;
	readonly seed: number;
	readonly from: number;
	readonly workers: number;
	/** Receives progress and findings. */
	readonly tell: (line: string) => void;
}

function planOf(args: readonly string[]): Plan {
	const values = readOptions(args, {
		cases: { type: 'string', default: '10000' },
		seed: { type: 'string', default: String(randomInt(2 ** 32)) },
		from: { type: 'string', default: '0' },
		workers: { type: 'string', default: String(availableParallelism()) },
	});
	return {
		cases: wholeNumber('cases', values.cases, 1),
		seed: wholeNumber('seed', values.seed, 0),
		from: wholeNumber('from', values.from, 0),
		workers: wholeNumber('workers', values.workers, 1),
		tell: (line) => process.stderr.write(`${line}\n`),
	};
}

/** Hands out ranges to whichever worker is free, until none is left, it is interrupted, or a worker dies. */
export async function compareBackends(
	{ cases, seed, from, workers: workersMax, tell }: Plan,
	signal?: AbortSignal,
): Promise<Outcome> {
	if (nativeBackend === undefined) {
		throw new UsageError(`Node ${process.version} has no native ML-DSA-65 and ML-KEM-768: there is nothing to compare`);
	}
	const startMs = performance.now();
	const end = from + cases;
	const workers = Math.min(workersMax, Math.ceil(cases / RANGE_CASES));
	const casesOfKind = kindNames.map(() => 0);
	let [next, done, disagreements, toldMs] = [from, 0, 0, startMs];
	tell(`suite: seed ${seed}, ${cases} cases from ${from}, ${workers} workers`);

	const take = (): Range | undefined => {
		if (next >= end || signal?.aborted) return undefined;
		const range = { from: next, to: Math.min(next + RANGE_CASES, end) };
		next = range.to;
		return range;
	};
	const record = (result: RangeResult): void => {
		done += result.cases;
		for (const [kind, count] of result.casesOfKind.entries()) casesOfKind[kind] = (casesOfKind[kind] ?? 0) + count;
		for (const { index, text } of result.disagreements) {
			if (disagreements++ < DISAGREEMENTS_SHOWN_MAX)
				tell(`disagreement: --seed ${seed} --from ${index} --cases 1\n${text}`);
		}
		const nowMs = performance.now();
		if (nowMs - toldMs < PROGRESS_EVERY_MS) return;
		toldMs = nowMs;
		const perSecond = (done / (nowMs - startMs)) * 1000;
		const leftMinutes = ((cases - done) / perSecond / 60).toFixed(1);
		tell(`${done}/${cases} cases, ${Math.round(perSecond)}/s, ${disagreements} disagreements, ${leftMinutes} min left`);
	};
	await Promise.all(Array.from({ length: workers }, () => work(seed, take, record)));

	const wallMs = Math.round(performance.now() - startMs);
	const mix = Object.fromEntries(kindNames.map((name, kind) => [name, casesOfKind[kind]]));
	const versions = { node: process.version, openssl: process.versions.openssl };
	return {
		passed: disagreements === 0,
		summary: { cases: done, disagreements, seed, from, wallMs, workers, mix, ...versions },
	};
}

/** One worker, from its first range to its last. */
function work(seed: number, take: () => Range | undefined, record: (result: RangeResult) => void): Promise<void> {
	return new Promise((resolve, reject) => {
		const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: { seed } });
		const feed = (): void => {
			const range = take();
			if (range === undefined) worker.terminate().then(() => resolve(), reject);
			else worker.postMessage(range);
		};
		worker.on('message', (result: RangeResult) => {
			record(result);
			feed();
		});
		worker.on('error', reject);
		feed();
	});
}

export const suiteCampaign: Campaign = { usage: USAGE, run: (args, signal) => compareBackends(planOf(args), signal) };
