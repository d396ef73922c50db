/**
 * Which labels of a machine count where workloads choose their hosts. One that the mesh's root has certified does. What a
 * machine says of itself counts only under a prefix that says so: whoever asks for such a label knows whose word it is, and
 * no captured machine can attract a workload that asks for another. Hosts that bid, hosts that judge bids, and whoever
 * hands out the workload share these functions.
 */
import { LABELS_MAX } from './fields.ts';

export type Labels = Readonly<Record<string, string>>;

/** Labels that a machine may give itself begin with it. */
export const SELF_DECLARED = 'self-declared.beemesh.io/';

export function isSelfDeclared(key: string): boolean {
	return key.startsWith(SELF_DECLARED);
}

/** Labels that count: the certified ones, and what is declared under its prefix as far as there is room. */
export function effectiveLabels(certified: Labels, declared: Labels): Labels {
	const own = Object.entries(declared).filter(([key]) => isSelfDeclared(key) && !Object.hasOwn(certified, key));
	return Object.fromEntries([...Object.entries(certified), ...own].slice(0, LABELS_MAX));
}

/** What of a selector these labels do not meet, in words; undefined when they meet all of it. */
export function unmetSelector(selector: Labels, labels: Labels): string | undefined {
	for (const [key, wanted] of Object.entries(selector)) {
		const found = Object.hasOwn(labels, key) ? labels[key] : undefined;
		if (found === wanted) continue;
		const where = isSelfDeclared(key) ? 'the host declares no such label' : 'the host is certified for no such label';
		return `nodeSelector: needs ${key}=${wanted}, ${found === undefined ? where : `the host has ${found}`}`;
	}
	return undefined;
}

/** The part of a selector that a certificate alone must meet: for whoever has not heard what the machine says of itself. */
export function certifiedPart(selector: Labels): Labels {
	return Object.fromEntries(Object.entries(selector).filter(([key]) => !isSelfDeclared(key)));
}
