/** One worker: runs the ranges of cases that it is sent, and answers each with what it found. */
import { parentPort, workerData } from 'node:worker_threads';
import { javascriptBackend, nativeBackend } from '../../../sdk/src/identity/suite/index.ts';
import { CaseRandom } from '../random.ts';
import { kindNames, runCase } from './kinds.ts';

export interface Range {
	readonly from: number;
	readonly to: number;
}

export interface RangeResult {
	readonly cases: number;
	/** By place in `kindNames`. */
	readonly casesOfKind: readonly number[];
	readonly disagreements: readonly { readonly index: number; readonly text: string }[];
}

function runRange(seed: number, { from, to }: Range): RangeResult {
	if (nativeBackend === undefined) throw new Error('there is nothing to compare without the native backend');
	const backends = { native: nativeBackend, javascript: javascriptBackend };
	const casesOfKind = kindNames.map(() => 0);
	const disagreements: { index: number; text: string }[] = [];
	for (let index = from; index < to; index++) {
		const { kind, disagreement } = runCase(new CaseRandom(seed, index), index, backends);
		casesOfKind[kind] = (casesOfKind[kind] ?? 0) + 1;
		if (disagreement !== undefined) disagreements.push({ index, text: disagreement });
	}
	return { cases: to - from, casesOfKind, disagreements };
}

parentPort?.on('message', (range: Range) => parentPort?.postMessage(runRange(workerData.seed, range)));
