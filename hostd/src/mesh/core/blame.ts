/**
 * How much a machine has overdone it: too many messages, whatever was in them. Half of it is forgotten in ten seconds, so
 * that a burst is forgiven and a flood is not.
 */
const HALF_LIFE_MS = 10_000;
const MACHINES_MAX = 4096;

export interface Blame {
	add(machine: string, nowMs: number): void;
	of(machine: string, nowMs: number): number;
}

export function createBlame(): Blame {
	const known = new Map<string, { readonly amount: number; readonly atMs: number }>();
	const of = (machine: string, nowMs: number): number => {
		const entry = known.get(machine);
		return entry === undefined ? 0 : entry.amount * 2 ** (-Math.max(0, nowMs - entry.atMs) / HALF_LIFE_MS);
	};
	return {
		of,
		add(machine, nowMs) {
			const amount = of(machine, nowMs) + 1;
			known.delete(machine);
			known.set(machine, { amount, atMs: nowMs });
			const [oldest] = known.keys();
			if (known.size > MACHINES_MAX && oldest !== undefined) known.delete(oldest);
		},
	};
}
