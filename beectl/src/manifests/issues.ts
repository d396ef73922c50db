/** Schema issues as Kubernetes users know them: `spec.template.spec.containers[0].image: required`. */
import type * as v from 'valibot';
import { IGNORED, UNKNOWN } from './fields.ts';

export interface Told {
	readonly severity: 'error' | 'warning';
	readonly text: string;
}

export function tellIssue(issue: v.BaseIssue<unknown>): Told {
	const path = pathOf(issue.path ?? []);
	if (issue.expected === IGNORED) return { severity: 'warning', text: `${path}: ${issue.message}` };
	if (issue.expected?.startsWith(UNKNOWN)) {
		const field = String(issue.path?.at(-1)?.key ?? '');
		const meant = nearest(field, issue.expected.slice(UNKNOWN.length).split(' '));
		const hint = meant === undefined ? '' : `; did you mean "${meant}"?`;
		return { severity: 'error', text: `strict decoding error: unknown field "${path}"${hint}` };
	}
	return { severity: 'error', text: path === '' ? issue.message : `${path}: ${issue.message}` };
}

function pathOf(items: readonly { readonly key?: unknown }[]): string {
	let path = '';
	for (const { key } of items) {
		if (typeof key === 'number') path += `[${key}]`;
		else if (/^[A-Za-z0-9_$-]+$/.test(String(key))) path += path === '' ? String(key) : `.${key}`;
		else path += `[${key}]`;
	}
	return path;
}

/** The known name at most two typing errors away, if any. */
export function nearest(word: string, known: readonly string[]): string | undefined {
	const ranked = known
		.map((name) => ({ name, distance: editDistance(word.toLowerCase(), name.toLowerCase()) }))
		.sort((a, b) => a.distance - b.distance);
	const best = ranked[0];
	return best !== undefined && best.distance <= Math.min(2, Math.floor(best.name.length / 2)) ? best.name : undefined;
}

/** Levenshtein's distance. */
function editDistance(a: string, b: string): number {
	let row = Array.from({ length: b.length + 1 }, (_, j) => j);
	for (let i = 1; i <= a.length; i++) {
		const next = [i];
		for (let j = 1; j <= b.length; j++) {
			const substitute = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
			next.push(Math.min(substitute, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
		}
		row = next;
	}
	return row[b.length] ?? 0;
}
