/** One worker: runs the ranges of cases that it is sent, and answers each with what it found. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parentPort } from 'node:worker_threads';
import { CaseRandom } from '../random.ts';
import { Cases, hex } from './case.ts';

export interface Range {
	readonly seed: number;
	readonly from: number;
	readonly to: number;
}

export interface RangeResult {
	readonly cases: number;
	/** By target: how many cases, and how many of them were accepted. */
	readonly ofTarget: Readonly<Record<string, { cases: number; accepted: number }>>;
	readonly refused: number;
	/** Calls that were refused before any signature, by the power of two of microseconds that they took. */
	readonly cheapMicros: readonly number[];
	readonly findings: readonly { readonly index: number; readonly text: string }[];
	/** Live memory after the range. */
	readonly heapBytes: number;
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const FINDINGS_MAX = 20;

export async function runRange(cases: Cases, { seed, from, to }: Range): Promise<RangeResult> {
	const ofTarget: Record<string, { cases: number; accepted: number }> = {};
	const cheapMicros: number[] = new Array<number>(32).fill(0);
	const findings: { index: number; text: string }[] = [];
	let refused = 0;
	for (let index = from; index < to; index++) {
		const run = cases.run(new CaseRandom(seed, index));
		const outcome = run instanceof Promise ? await run : run;
		const name = cases.targets[outcome.target]?.name ?? '';
		const count = (ofTarget[name] ??= { cases: 0, accepted: 0 });
		count.cases++;
		if (outcome.verdict === 'refused') refused++;
		if (outcome.verdict === 'accepted') count.accepted++;
		if (outcome.isCheap) {
			const micros = Math.ceil(Math.log2(Math.max(1, outcome.tookMs * 1000)));
			cheapMicros[micros] = (cheapMicros[micros] ?? 0) + 1;
		}
		if (outcome.finding !== undefined && findings.length < FINDINGS_MAX)
			findings.push({ index, text: `${name}: ${outcome.finding.what}\n  input: ${hex(outcome.finding.mutant)}` });
	}
	collect();
	const { heapUsed, arrayBuffers } = process.memoryUsage();
	return { cases: to - from, ofTarget, refused, cheapMicros, findings, heapBytes: heapUsed + arrayBuffers };
}

if (parentPort !== null) {
	const port = parentPort;

	const cases = await Cases.create();
	port.on('message', (range: Range) => {
		void runRange(cases, range).then((result) => port.postMessage(result));
	});
}
