/** `deployment/web`, `po kv-0`: which resource a command line means. */

import { EXIT, Failure } from '../cli/exit.ts';
import { usageError } from '../cli/input.ts';
import type { MeshState, WorkloadState } from '../host/inventory.ts';

const KINDS = ['pod', 'deployment', 'statefulset', 'host'] as const;
export type Kind = (typeof KINDS)[number];
export type WorkloadKindWord = Extract<Kind, 'deployment' | 'statefulset'>;

const ALIASES: Readonly<Record<Kind, readonly string[]>> = {
	pod: ['pods', 'po'],
	deployment: ['deployments', 'deploy', 'deployment.apps', 'deployments.apps'],
	statefulset: ['statefulsets', 'sts', 'statefulset.apps', 'statefulsets.apps'],
	host: ['hosts', 'ho', 'node', 'nodes', 'no'],
};

export interface Reference {
	readonly kind: Kind;
	/** Undefined: all of the kind. */
	readonly name: string | undefined;
}

export function kindOf(word: string): Kind {
	const found = KINDS.find((kind) => kind === word.toLowerCase() || ALIASES[kind].includes(word.toLowerCase()));
	if (found === undefined)
		throw usageError(`there is no resource "${word}"; known are pods, deployments, statefulsets and hosts`);
	return found;
}

/** `KIND`, `KIND NAME...`, or `KIND/NAME...`. */
export function referencesOf(words: readonly string[], allowed: readonly Kind[] = KINDS): readonly Reference[] {
	const [first, ...rest] = words;
	if (first === undefined) throw usageError(`name a resource: ${allowed.join(', ')}`);
	const checked = (word: string): Kind => {
		const kind = kindOf(word);
		if (!allowed.includes(kind)) throw usageError(`this does not work on a ${kind}, but on ${allowed.join(' or ')}`);
		return kind;
	};
	if (first.includes('/')) {
		return words.map((word) => {
			const [kind = '', name = '', ...more] = word.split('/');
			if (name === '' || more.length > 0) throw usageError(`"${word}" is not KIND/NAME`);
			return { kind: checked(kind), name };
		});
	}
	const kind = checked(first);
	return rest.length === 0 ? [{ kind, name: undefined }] : rest.map((name) => ({ kind, name }));
}

export function workloadsOf(
	{ workloads }: MeshState,
	kind: WorkloadKindWord,
	namespace: string | undefined,
): readonly WorkloadState[] {
	return workloads.filter(
		({ charter }) =>
			charter.kind.toLowerCase() === kind && (namespace === undefined || charter.namespace === namespace),
	);
}

/** Throws `not found` (exit 3). */
export function workloadNamed(
	state: MeshState,
	kind: WorkloadKindWord,
	namespace: string,
	name: string,
): WorkloadState {
	const found = workloadsOf(state, kind, namespace).find(({ charter }) => charter.name === name);
	if (found === undefined) throw notFound(kind, name, namespace);
	return found;
}

export function notFound(kind: Kind, name: string, namespace?: string): Failure {
	const where = namespace === undefined ? '' : ` in namespace ${namespace}`;
	const whose = kind === 'host' ? ' in the mesh now' : `${where} of this owner`;
	return new Failure(EXIT.notFound, `there is no ${kind} "${name}"${whose}`);
}

/** As kubectl prints what it did. */
export function titleOf(kind: string, name: string): string {
	return `${kind.toLowerCase()}.apps/${name}`;
}
