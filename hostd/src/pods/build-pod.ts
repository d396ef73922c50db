/** From a workload's manifest to the plain v1 Pod of one slot, as Kubernetes' controllers would write it. Pure. */
import { MeshError } from '@beemesh/sdk/errors';
import type { Container, EnvVar, Manifest, Pod, PodTemplate, Volume } from '@beemesh/sdk/wire';

/** What only the host knows; a manifest that asks for an absent one is refused. */
export interface PodNames {
	/** `status.hostIP`. */
	readonly hostIp?: string;
	/** `status.podIP`: where others reach the pod. Without a network of its own that is the host. @default hostIp */
	readonly podIp?: string;
	/** `spec.nodeName`. */
	readonly nodeName?: string;
	/** `metadata.uid`. */
	readonly uid?: string;
}

const TEMPLATE = 'spec.template';

/** The name Kubernetes users expect: the ordinal for a StatefulSet; slot and generation for a Deployment. */
export function podName(manifest: Manifest, slot: number, gen: number): string {
	const { name } = manifest.metadata;
	return manifest.kind === 'StatefulSet' ? `${name}-${slot}` : `${name}-${slot}-g${gen}`;
}

/** Throws `invalid_input` with the field's path for what this host cannot or will not run. */
export function buildPod(manifest: Manifest, slot: number, gen: number, names: PodNames = {}): Pod {
	const template: PodTemplate = manifest.spec.template;
	const name = podName(manifest, slot, gen);
	const metadata: Pod['metadata'] = {
		name,
		namespace: manifest.metadata.namespace,
		labels: {
			...template.metadata?.labels,
			...(manifest.kind === 'StatefulSet' && {
				'statefulset.kubernetes.io/pod-name': name,
				'apps.kubernetes.io/pod-index': String(slot),
			}),
		},
		...(template.metadata?.annotations && { annotations: template.metadata.annotations }),
	};
	const fields = fieldValues(metadata, names);
	const resolve = (list: 'containers' | 'initContainers') =>
		(template.spec[list] ?? []).map((container, index) =>
			resolveContainer(container, fields, `${TEMPLATE}.spec.${list}[${index}]`),
		);
	const { initContainers: _initContainers, ...spec } = template.spec;
	return {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata,
		spec: {
			...spec,
			containers: resolve('containers'),
			...(template.spec.initContainers && { initContainers: resolve('initContainers') }),
			...volumesOf(manifest, name),
			restartPolicy: template.spec.restartPolicy ?? 'Always',
			hostname: template.spec.hostname ?? name,
		},
	};
}

/** A claim template is a volume of every pod: its claim is named `<template>-<pod>`. It hides a volume of that name. */
function volumesOf(manifest: Manifest, podName: string): { readonly volumes?: readonly Volume[] } {
	const claims = manifest.kind === 'StatefulSet' ? (manifest.spec.volumeClaimTemplates ?? []) : [];
	const claimed: Volume[] = claims.map(({ metadata: { name } }) => ({
		name,
		persistentVolumeClaim: { claimName: `${name}-${podName}` },
	}));
	const names = new Set(claimed.map(({ name }) => name));
	const own = (manifest.spec.template.spec.volumes ?? []).filter(({ name }) => !names.has(name));
	const volumes = [...own, ...claimed];
	return volumes.length > 0 ? { volumes } : {};
}

function resolveContainer(container: Container, fields: (path: string) => string | undefined, at: string): Container {
	if (!container.env) return container;
	const env = container.env.map((variable, index): EnvVar => {
		if (!variable.valueFrom) return variable;
		const path = variable.valueFrom.fieldRef?.fieldPath;
		const field = `${at}.env[${index}].valueFrom`;
		if (path === undefined) throw new MeshError('invalid_input', `${field}: only fieldRef is served`);
		const value = fields(path);
		if (value === undefined) {
			throw new MeshError('invalid_input', `${field}.fieldRef.fieldPath: '${path}' is not known for a pod here`);
		}
		// The value is data: what looks like a reference in it stays as it is.
		return { name: variable.name, value: value.replaceAll('$', '$$$$') };
	});
	return { ...container, env };
}

/** The downward API: https://kubernetes.io/docs/concepts/workloads/pods/downward-api/ */
function fieldValues(metadata: Pod['metadata'], names: PodNames): (path: string) => string | undefined {
	const podIp = names.podIp ?? names.hostIp;
	const plain: Readonly<Record<string, string | undefined>> = {
		'metadata.name': metadata.name,
		'metadata.namespace': metadata.namespace,
		'metadata.uid': names.uid,
		'spec.nodeName': names.nodeName,
		'spec.serviceAccountName': 'default',
		'status.hostIP': names.hostIp,
		'status.podIP': podIp,
		'status.podIPs': podIp,
		'status.hostIPs': names.hostIp,
	};
	return (path) => {
		if (Object.hasOwn(plain, path)) return plain[path];
		const keyed = /^metadata\.(labels|annotations)\['([^']+)'\]$/.exec(path);
		const values = keyed && metadata[keyed[1] as 'labels' | 'annotations'];
		const key = keyed?.[2];
		if (!keyed || key === undefined) return undefined;
		return (values && Object.hasOwn(values, key) && values[key]) || '';
	};
}
