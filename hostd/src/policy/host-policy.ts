/**
 * What this host runs for whom. Default deny: a pod gets what every pod may have, and what the operator's policy file
 * allows its owner. Each refusal is `invalid_input`, names the field, and says which key of the file would allow it.
 */
import { MeshError } from '@beemesh/sdk/errors';
import type { Manifest, OwnerId, Pod } from '@beemesh/sdk/wire';
import * as v from 'valibot';
import { allowancesOf, hostPathsOf, type PolicyContent } from './allowances.ts';
import { pathOf } from './fields.ts';
import { PROTECTED, resolveHostPath } from './host-paths.ts';
import { checkRules, type Rules } from './pod-rules.ts';
import { podShape, templateShape } from './pod-shape.ts';
import { refused } from './refusal.ts';

const TEMPLATE = 'spec.template';

export interface PodOrigin {
	/** Whose workload it is. Absent: it gets what every owner may have. */
	readonly owner?: OwnerId;
	/** Digests that the owner's charter names. Absent or empty: images go by any name. */
	readonly imageDigests?: readonly string[];
}

export interface HostPolicyOptions {
	/** @default nothing is allowed beyond the default */
	readonly content?: PolicyContent;
	/** Of this host, beside those that no host gives away: state and socket folders, Podman's socket, the policy file. */
	readonly protectedPaths?: readonly string[];
}

export class HostPolicy {
	readonly #content: PolicyContent;
	readonly #protectedPaths: readonly string[];

	constructor(options: HostPolicyOptions = {}) {
		this.#content = options.content ?? {};
		this.#protectedPaths = [...PROTECTED, ...(options.protectedPaths ?? [])];
	}

	/** Before anything is made of a workload: throws when no pod of it would be started here. */
	check(manifest: Manifest, origin: PodOrigin): void {
		// Signed by its owner, which says nothing of its form.
		const template: unknown = (manifest as Partial<Manifest> | undefined)?.spec?.template;
		checkRules(shaped(templateShape, template, TEMPLATE), this.#rules(origin), TEMPLATE);
	}

	/**
	 * The pod as a runtime may start it: made anew from its known fields alone, host paths resolved. Every runtime calls
	 * this first, and starts what it returns.
	 */
	async admit(pod: Pod, origin: PodOrigin): Promise<Pod> {
		const known = shaped(podShape, pod, '');
		const rules = this.#rules(origin);
		checkRules(known, rules, '');
		const { volumes } = known.spec;
		if (!volumes?.some(({ hostPath }) => hostPath)) return known;
		const context = {
			allowances: rules.allowances,
			protectedPaths: this.#protectedPaths,
			writablePaths: hostPathsOf(this.#content).flatMap(({ path, readOnly }) => (readOnly ? [] : [path])),
		};
		const resolved = await Promise.all(
			volumes.map(async (volume, index) => {
				if (!volume.hostPath) return volume;
				const path = await resolveHostPath(volume.hostPath, context, `spec.volumes[${index}].hostPath`);
				return { ...volume, hostPath: { ...volume.hostPath, path } };
			}),
		);
		return { ...known, spec: { ...known.spec, volumes: resolved } };
	}

	#rules({ owner, imageDigests }: PodOrigin): Rules {
		const isNamed = imageDigests !== undefined && imageDigests.length > 0;
		return { allowances: allowancesOf(this.#content, owner), imageDigests: isNamed ? imageDigests : undefined };
	}
}

function shaped<const S extends v.GenericSchema>(shape: S, value: unknown, root: string): v.InferOutput<S> {
	const parsed = v.safeParse(shape, value, { abortEarly: true });
	if (parsed.success) return parsed.output;
	const [issue] = parsed.issues;
	const field = pathOf(issue, root) || 'the pod';
	// A value that only weaker settings could have; everything else is not the policy's to allow, but wrong.
	if (issue.type === 'literal' || issue.type === 'never') throw refused(field, issue.message);
	throw new MeshError('invalid_input', `${field}: refused by this host's policy: ${issue.message}`);
}
