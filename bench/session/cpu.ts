/** What work takes of the processor. */

export interface Quantiles {
	readonly p50Ms: number;
	readonly p99Ms: number;
	/** Of the thread that does the work alone: without what V8's threads did meanwhile. */
	readonly ownP99Ms: number;
}

const rounded = (value: number): number => Number(value.toFixed(3));

export interface Cpu {
	/** Of all threads. */
	readonly all: number;
	/** Of the thread that does the work. */
	readonly own: number;
}

export function quantiles(took: readonly Cpu[]): Quantiles {
	const at = (values: number[], quantile: number): number =>
		rounded(values.sort((a, b) => a - b)[Math.floor(values.length * quantile)] ?? 0);
	const [all, own] = [took.map((each) => each.all), took.map((each) => each.own)];
	return { p50Ms: at(all, 0.5), p99Ms: at(all, 0.99), ownP99Ms: at(own, 0.99) };
}

const nobodyWakes = new Int32Array(new SharedArrayBuffer(4));

/** The kernel adds up the time of a thread when it stops; while one runs, the sum can be a tick (4 ms) behind. */
function exactCpuUs(): Cpu {
	Atomics.wait(nobodyWakes, 0, 0, 0.5);
	const [all, own] = [process.cpuUsage(), process.threadCpuUsage()];
	return { all: all.user + all.system, own: own.user + own.system };
}

/**
 * User and system time: what the work took of the processor, not how long it took. Of all threads, and of our own: the
 * rest is V8's, which now and then marks the whole heap beside us.
 */
export async function cpuMs(work: () => Promise<void> | void): Promise<Cpu> {
	const before = exactCpuUs();
	await work();
	const after = exactCpuUs();
	return { all: (after.all - before.all) / 1000, own: (after.own - before.own) / 1000 };
}
