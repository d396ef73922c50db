/** Aligned columns, as kubectl prints them. */

export interface Column<T> {
	readonly title: string;
	value(row: T): string;
}

export function table<T>(columns: readonly Column<T>[], rows: readonly T[]): string {
	const lines = [columns.map(({ title }) => title), ...cellsOf(columns, rows)];
	return aligned(lines, widthsOf(lines));
}

export function cellsOf<T>(columns: readonly Column<T>[], rows: readonly T[]): readonly (readonly string[])[] {
	return rows.map((row) => columns.map((column) => printable(column.value(row)) || '<none>'));
}

/** How wide each column has to be for these lines. */
export function widthsOf(lines: readonly (readonly string[])[]): readonly number[] {
	return (lines[0] ?? []).map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)));
}

export function aligned(lines: readonly (readonly string[])[], widths: readonly number[]): string {
	return lines
		.map((line) => line.map((cell, i) => cell.padEnd((widths[i] ?? 0) + 3)).join(''))
		.map((line) => `${line.trimEnd()}\n`)
		.join('');
}

/** What comes from elsewhere never moves the cursor. */
export function printable(text: string): string {
	// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it takes out
	return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ');
}
