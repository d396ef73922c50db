/** `npm run fuzz -- wire`: altered inputs for every decoder that is handed bytes from outside. */
import { randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { readOptions, wholeNumber } from '../../command-line.ts';
import type { Campaign, Outcome } from '../campaign.ts';
import type { Range, RangeResult } from './worker.ts';

const USAGE = `  --minutes N    how long (default 1)
  --mutations N  how many at most (default: as many as the time allows)
  --seed S       replays a run (default random, always printed)
  --from I       the first mutation (default 0); with --mutations 1 it replays one
  --workers W    threads (default: one a core)
`;
/** A second of work, more or less. */
const RANGE_CASES = 5_000;
const PROGRESS_EVERY_MS = 5_000;
const FINDINGS_SHOWN_MAX = 20;
/** What a worker may hold more after a range than after its first one. */
const GROWTH_BYTES_MAX = 128 * 2 ** 20;
/** A range that takes this long hangs: its worker is ended, and the campaign with it. */
const RANGE_MS_MAX = 10 * 60_000;

interface Plan {
	readonly minutes: number;
	readonly mutations: number;
	readonly seed: number;
	readonly from: number;
	readonly workers: number;
	/** Receives progress and findings. */
	readonly tell: (line: string) => void;
}

function planOf(args: readonly string[]): Plan {
	const values = readOptions(args, {
		minutes: { type: 'string' },
		mutations: { type: 'string' },
		seed: { type: 'string', default: String(randomInt(2 ** 32)) },
		from: { type: 'string', default: '0' },
		workers: { type: 'string', default: String(availableParallelism()) },
	});
	const { minutes = values.mutations === undefined ? '1' : undefined, mutations } = values;
	return {
		minutes: minutes === undefined ? Number.POSITIVE_INFINITY : wholeNumber('minutes', minutes, 1),
		mutations: mutations === undefined ? Number.POSITIVE_INFINITY : wholeNumber('mutations', mutations, 1),
		seed: wholeNumber('seed', values.seed, 0),
		from: wholeNumber('from', values.from, 0),
		workers: wholeNumber('workers', values.workers, 1),
		tell: (line) => process.stderr.write(`${line}\n`),
	};
}

/** Hands out ranges to whichever worker is free, until time or mutations are over, it is interrupted, or a worker dies. */
async function fuzzDecoders(
	{ minutes, mutations, seed, from, workers, tell }: Plan,
	signal: AbortSignal,
): Promise<Outcome> {
	const startMs = performance.now();
	const endMs = startMs + minutes * 60_000;
	const end = from + mutations;
	const tally = new Tally(seed, tell);
	let next = from;
	tell(`wire: seed ${seed}, mutations from ${from}, ${workers} workers`);
	const take = (): Range | undefined => {
		if (next >= end || performance.now() >= endMs || signal.aborted) return undefined;
		const range = { seed, from: next, to: Math.min(next + RANGE_CASES, end) };
		next = range.to;
		return range;
	};
	await Promise.all(Array.from({ length: workers }, () => work(take, tally)));
	const wallMs = Math.round(performance.now() - startMs);
	const versions = { node: process.version, openssl: process.versions.openssl };
	return {
		passed: tally.findings === 0,
		summary: { ...tally.summary(wallMs), seed, from, wallMs, workers, ...versions },
	};
}

class Tally {
	findings = 0;
	readonly #seed: number;
	readonly #tell: (line: string) => void;
	readonly #startMs = performance.now();
	#toldMs = performance.now();
	#done = 0;
	#refused = 0;
	#growthBytes = 0;
	readonly #cheap = new Array<number>(32).fill(0);
	readonly #targets: Record<string, { cases: number; accepted: number }> = {};

	constructor(seed: number, tell: (line: string) => void) {
		this.#seed = seed;
		this.#tell = tell;
	}

	found(text: string): void {
		if (this.findings++ < FINDINGS_SHOWN_MAX) this.#tell(`finding: ${text}`);
	}

	/** `firstBytes`: what the worker held after its first range. */
	record(range: Range, result: RangeResult, firstBytes: number): void {
		this.#done += result.cases;
		this.#refused += result.refused;
		for (const [power, count] of result.cheapMicros.entries()) this.#cheap[power] = (this.#cheap[power] ?? 0) + count;
		for (const [name, { cases, accepted }] of Object.entries(result.ofTarget)) {
			const sum = (this.#targets[name] ??= { cases: 0, accepted: 0 });
			sum.cases += cases;
			sum.accepted += accepted;
		}
		for (const { index, text } of result.findings)
			this.found(`--seed ${this.#seed} --from ${index} --mutations 1\n${text}`);
		const growth = result.heapBytes - firstBytes;
		this.#growthBytes = Math.max(this.#growthBytes, growth);
		if (growth > GROWTH_BYTES_MAX)
			this.found(
				`${growth} bytes more are held after --seed ${this.#seed} --from ${range.from} than after the first range`,
			);
		this.#progress();
	}

	#progress(): void {
		const nowMs = performance.now();
		if (nowMs - this.#toldMs < PROGRESS_EVERY_MS) return;
		this.#toldMs = nowMs;
		const perSecond = Math.round((this.#done / (nowMs - this.#startMs)) * 1000);
		this.#tell(`${this.#done} mutations, ${perSecond}/s, ${this.findings} findings`);
	}

	summary(wallMs: number): Readonly<Record<string, unknown>> {
		return {
			mutations: this.#done,
			perSecond: Math.round((this.#done / wallMs) * 1000),
			findings: this.findings,
			refused: this.#refused,
			/** Calls refused before a signature was looked at: 99 % of them were done in this time. */
			cheapRefusalP99Ms: this.#cheapP99Ms(),
			growthBytes: this.#growthBytes,
			targets: this.#targets,
		};
	}

	#cheapP99Ms(): number {
		const all = this.#cheap.reduce((sum, count) => sum + count, 0);
		let seen = 0;
		const power = this.#cheap.findIndex((count) => (seen += count) >= all * 0.99);
		return 2 ** power / 1000;
	}
}

/** One worker, from its first range to its last. */
function work(take: () => Range | undefined, tally: Tally): Promise<void> {
	return new Promise((resolve, reject) => {
		const worker = new Worker(new URL('./worker.ts', import.meta.url), {
			resourceLimits: { maxOldGenerationSizeMb: 1024 },
		});
		let range: Range | undefined;
		let firstBytes: number | undefined;
		let timer: NodeJS.Timeout | undefined;
		const over = (): void => void worker.terminate().then(() => resolve(), reject);
		const feed = (): void => {
			clearTimeout(timer);
			range = take();
			if (range === undefined) return over();
			worker.postMessage(range);
			timer = setTimeout(() => {
				tally.found(`no end of the range --seed ${range?.seed} --from ${range?.from} --mutations ${RANGE_CASES}`);
				over();
			}, RANGE_MS_MAX);
		};
		worker.on('message', (result: RangeResult) => {
			firstBytes ??= result.heapBytes;
			if (range !== undefined) tally.record(range, result, firstBytes);
			feed();
		});
		worker.on('error', (error) => {
			clearTimeout(timer);
			tally.found(
				`in the range --seed ${range?.seed} --from ${range?.from} --mutations ${RANGE_CASES}: ${error.stack}`,
			);
			resolve();
		});
		feed();
	});
}

export const wireCampaign: Campaign = { usage: USAGE, run: (args, signal) => fuzzDecoders(planOf(args), signal) };
