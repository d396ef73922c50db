/**
 * Manifest texts to typed workloads. Everything is looked at before anything is said: all errors of all files come
 * back together, each with its file, document and field.
 */
import { encodeManifest } from '@beemesh/sdk/identity';
import type { Container, Manifest, WorkloadKind } from '@beemesh/sdk/wire';
import * as v from 'valibot';
import { checkWorkload } from './check.ts';
import { tellIssue } from './issues.ts';
import { judgeKind } from './kinds.ts';
import { deployment, statefulSet } from './workload-schema.ts';
import { parseYaml } from './yaml.ts';

export interface ManifestSource {
	/** File name, or `stdin`. */
	readonly name: string;
	readonly text: string;
}

export interface LoadedWorkload {
	/** `kv.yaml: document 2 (StatefulSet/kv)`. */
	readonly from: string;
	readonly manifest: Manifest;
	/** As the manifest says; undefined when it leaves the count alone. */
	readonly replicas: number | undefined;
}

export interface Loaded {
	readonly workloads: readonly LoadedWorkload[];
	readonly errors: readonly string[];
	readonly warnings: readonly string[];
}

/** `namespace`: for documents that name none; a document that names another is an error. */
export function loadManifests(sources: readonly ManifestSource[], namespace?: string): Loaded {
	const workloads: LoadedWorkload[] = [];
	const errors: string[] = [];
	const warnings: string[] = [];
	const firstPlace = new Map<string, string>();
	for (const { name, text } of sources) {
		const documents = parseYaml(text);
		if (documents.length === 0) errors.push(`${name}: holds no document`);
		for (const { number, value, errors: unreadable } of documents) {
			const from = `${name}: document ${number}${titleOf(value)}`;
			const told = unreadable.length > 0 ? { errors: unreadable, warnings: [] } : readDocument(value, namespace);
			errors.push(...told.errors.map((error) => `${from}: ${error}`));
			warnings.push(...told.warnings.map((warning) => `${from}: ${warning}`));
			if (!('manifest' in told) || told.manifest === undefined) continue;
			const { kind, metadata, spec } = told.manifest;
			const key = `${kind}/${metadata.namespace}/${metadata.name}`;
			const first = firstPlace.get(key);
			if (first === undefined) firstPlace.set(key, `${name}: document ${number}`);
			else errors.push(`${from}: metadata.name: the same workload is already in ${first}`);
			workloads.push({ from, manifest: told.manifest, replicas: spec.replicas });
		}
	}
	return { workloads, errors, warnings };
}

interface Read {
	readonly manifest?: Manifest;
	readonly errors: readonly string[];
	readonly warnings: readonly string[];
}

function readDocument(value: unknown, namespace: string | undefined): Read {
	if (!isObject(value)) return { errors: ['must be an object with apiVersion, kind, metadata and spec'], warnings: [] };
	const judged = judgeKind(value);
	if (judged.verdict === 'refuse') return { errors: [judged.error], warnings: [] };
	if (judged.verdict === 'skip') return { errors: [], warnings: [judged.warning] };
	const result = parseWorkload(value.kind as WorkloadKind, withoutNulls(value));
	const told = (result.issues ?? []).map(tellIssue);
	const errors = told.filter(({ severity }) => severity === 'error').map(({ text }) => text);
	const warnings = told.filter(({ severity }) => severity === 'warning').map(({ text }) => text);
	if (!result.typed || errors.length > 0) return { errors, warnings };
	const parsed = withoutUndefined(result.output) as typeof result.output;
	const given = parsed.metadata.namespace;
	if (given !== undefined && namespace !== undefined && given !== namespace) {
		errors.push(`metadata.namespace: is "${given}", but -n says "${namespace}"`);
	}
	const { pod, findings, ignored } = resolvePod(claimedBy(parsed), parsed);
	const { metadata, apiVersion } = parsed;
	const meta = { ...metadata, namespace: given ?? namespace ?? 'default' };
	const template = { ...parsed.spec.template, spec: pod };
	// One literal per kind, so that the compiler ties kind and spec.
	const manifest =
		parsed.kind === 'Deployment'
			? ({ apiVersion, kind: 'Deployment', metadata: meta, spec: { ...parsed.spec, template } } as Manifest)
			: ({ apiVersion, kind: 'StatefulSet', metadata: meta, spec: { ...parsed.spec, template } } as Manifest);
	errors.push(...findings, ...checkWorkload(manifest).map(({ path, message }) => `${path}: ${message}`));
	warnings.push(...ignored);
	if (errors.length === 0) {
		try {
			encodeManifest(manifest);
		} catch (error) {
			errors.push((error as Error).message);
		}
	}
	return errors.length > 0 ? { errors, warnings } : { manifest, errors, warnings };
}

function parseWorkload(kind: WorkloadKind, input: unknown) {
	return kind === 'Deployment' ? v.safeParse(deployment, input) : v.safeParse(statefulSet, input);
}

function claimedBy(parsed: Parsed): ReadonlySet<string> {
	if (parsed.kind !== 'StatefulSet') return new Set();
	return new Set(parsed.spec.volumeClaimTemplates?.map(({ metadata }) => metadata.name));
}

type Parsed = v.InferOutput<typeof deployment> | v.InferOutput<typeof statefulSet>;

const FS_GROUP = 'spec.template.spec.securityContext.fsGroup';

/**
 * Says outright what Kubernetes implies: the pod's securityContext is the default of its containers', and a claim
 * template takes the place of a volume of the same name.
 */
function resolvePod(claimed: ReadonlySet<string>, { spec }: Parsed) {
	// Warned of where they are wishes; hosts refuse fields that they do not know.
	const { securityContext = {}, affinity: _affinity, topologySpreadConstraints: _spread, ...rest } = spec.template.spec;
	const { fsGroup, ...inherited } = securityContext;
	const findings: string[] = [];
	const ignored: string[] = [];
	if (fsGroup !== undefined) {
		const persistent = claimed.size > 0 || rest.volumes?.some((volume) => volume.persistentVolumeClaim !== undefined);
		if (persistent) findings.push(`${FS_GROUP}: persistent volumes of another group are not served by this version`);
		else ignored.push(`${FS_GROUP}: ignored: there is no persistent volume`);
	}
	const fold = <C extends Pick<Container, 'securityContext'>>(container: C): C =>
		Object.keys(inherited).length === 0
			? container
			: { ...container, securityContext: { ...inherited, ...container.securityContext } };
	const pod = {
		...rest,
		...(rest.volumes === undefined ? {} : { volumes: rest.volumes.filter(({ name }) => !claimed.has(name)) }),
		containers: rest.containers.map(fold),
		...(rest.initContainers === undefined ? {} : { initContainers: rest.initContainers.map(fold) }),
	};
	return { pod, findings, ignored };
}

function titleOf(value: unknown): string {
	if (!isObject(value) || typeof value.kind !== 'string') return '';
	const name = isObject(value.metadata) ? value.metadata.name : undefined;
	return typeof name === 'string' ? ` (${value.kind.trim()}/${name})` : ` (${value.kind.trim()})`;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A field that is null is absent, as in Kubernetes. */
function withoutNulls(value: unknown): unknown {
	return dropFields(value, (child) => child === null);
}

/** Fields that were ignored came out as undefined. */
function withoutUndefined(value: unknown): unknown {
	return dropFields(value, (child) => child === undefined);
}

function dropFields(value: unknown, drop: (child: unknown) => boolean): unknown {
	if (Array.isArray(value)) return value.map((child) => dropFields(child, drop));
	if (!isObject(value)) return value;
	return Object.fromEntries(
		Object.entries(value)
			.filter(([, child]) => !drop(child))
			.map(([key, child]) => [key, dropFields(child, drop)]),
	);
}
