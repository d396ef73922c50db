/** `get --watch`: the table, and from then on one line for every row that is new, changed or gone. */
import { setTimeout as delay } from 'node:timers/promises';
import { aligned, widthsOf } from './table.ts';
import type { Terminal } from './terminal.ts';

/** The cells of a table as it was at one moment. */
export interface Grid {
	readonly titles: readonly string[];
	readonly rows: readonly (readonly string[])[];
	/** False: some of it could not be seen, so that what is missing may be there. */
	readonly isWhole: boolean;
}

/** Hosts answer from memory; a person sees a change within this. */
const LOOK_EVERY_MS = 500;

/** Ends when the signal aborts, or `look` fails: it rejects with that. */
export async function watchGrid(
	first: Grid,
	look: () => Promise<Grid>,
	out: Terminal,
	signal: AbortSignal,
): Promise<never> {
	let seen = byKey(first);
	let widths = widthsOf([first.titles, ...first.rows]);
	out.write(aligned([first.titles, ...first.rows], widths));
	for (;;) {
		await delay(LOOK_EVERY_MS, undefined, { signal });
		const grid = await look();
		const { lines, now } = changes(grid, seen);
		seen = now;
		// Columns only ever get wider, so that lines stay below each other.
		const needed = widthsOf([first.titles, ...lines]);
		widths = widths.map((width, i) => Math.max(width, needed[i] ?? 0));
		out.write(aligned(lines, widths));
	}
}

type Rows = ReadonlyMap<string, readonly string[]>;

/** The rows that differ from what was seen, in the order of the table, and then those that are gone. */
export function changes(
	grid: Grid,
	seen: Rows,
): { readonly lines: readonly (readonly string[])[]; readonly now: Rows } {
	const { titles, isWhole } = grid;
	const now = byKey(grid);
	// Time passing is no change.
	const facts = (cells: readonly string[] | undefined): string | undefined =>
		cells?.filter((_, i) => titles[i] !== 'AGE').join('\0');
	const lines = [...now].filter(([key, cells]) => facts(seen.get(key)) !== facts(cells)).map(([, cells]) => cells);
	const gone = [...seen].filter(([key]) => !now.has(key));
	if (!isWhole) return { lines, now: new Map([...now, ...gone]) };
	const afterName = titles.indexOf('NAME') + 1;
	return { lines: [...lines, ...gone.map(([, cells]) => [...cells.slice(0, afterName), 'gone'])], now };
}

/** A row is the same as before when its name and namespace are, and for pods the host: a pod has moved otherwise. */
function byKey({ titles, rows }: Grid): Rows {
	const parts = titles.flatMap((title, i) => (['NAMESPACE', 'NAME', 'HOST'].includes(title) ? [i] : []));
	return new Map(rows.map((cells) => [parts.map((i) => cells[i]).join('\0'), cells]));
}
