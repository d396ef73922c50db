/** `Name: value` lines with the values under each other. */
import { printable } from './table.ts';

export type Field = readonly [name: string, value: string];

export function fields(entries: readonly Field[]): string {
	const width = Math.max(...entries.map(([name]) => name.length)) + 2;
	return entries.map(([name, value]) => `${`${name}:`.padEnd(width)} ${printable(value) || '<none>'}\n`).join('');
}
