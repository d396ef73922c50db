/** Several workloads at once: each to its end, then every failure together. */
import { EXIT, exitCodeOf, Failure } from '../cli/exit.ts';

export async function runAll<T>(
	items: readonly T[],
	run: (item: T) => Promise<void>,
	titleOf: (item: T) => string,
): Promise<void> {
	const settled = await Promise.allSettled(items.map(run));
	const failures = settled.flatMap((result, i) => {
		const item = items[i] as T;
		return result.status === 'rejected' ? [{ title: titleOf(item), error: result.reason as Error }] : [];
	});
	if (failures.length === 0) return;
	const codes = new Set(failures.map(({ error }) => exitCodeOf(error)));
	const [code] = codes;
	throw new Failure(
		codes.size === 1 && code !== undefined ? code : EXIT.failed,
		failures.map(({ title, error }) => `${title}: ${error.message}`).join('\n'),
		{ cause: failures[0]?.error },
	);
}
