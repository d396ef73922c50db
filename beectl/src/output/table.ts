/** Aligned columns, as kubectl prints them. */

export interface Column<T> {
	readonly title: string;
	value(row: T): string;
}

export function table<T>(columns: readonly Column<T>[], rows: readonly T[]): string {
	const cells = rows.map((row) => columns.map((column) => printable(column.value(row)) || '<none>'));
	const widths = columns.map(({ title }, i) => Math.max(title.length, ...cells.map((line) => line[i]?.length ?? 0)));
	return [columns.map(({ title }) => title), ...cells]
		.map((line) =>
			line
				.map((cell, i) => cell.padEnd((widths[i] ?? 0) + 3))
				.join('')
				.trimEnd(),
		)
		.map((line) => `${line}\n`)
		.join('');
}

/** What comes from elsewhere never moves the cursor. */
export function printable(text: string): string {
	// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it takes out
	return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ');
}
