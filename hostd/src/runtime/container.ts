/**
 * What one container of a pod runs, worked out from the manifest the way Kubernetes does it: environment in order,
 * `$(VAR)` expansion, volume folders. Shared by the runtimes so that a manifest means the same under each. Pure.
 */
import { parseQuantity } from '@beemesh/sdk/api';
import { MeshError } from '@beemesh/sdk/errors';
import type { Container, Volume } from '@beemesh/sdk/wire';
import type { PodStart } from './runtime.ts';

export interface ResolvedContainer {
	readonly name: string;
	readonly image: string;
	readonly env: Readonly<Record<string, string>>;
	/** Replaces the image's entrypoint when given. Expanded. */
	readonly command?: readonly string[];
	/** Replaces the image's default arguments when given. Expanded. */
	readonly args?: readonly string[];
	readonly workingDir?: string;
	readonly memoryBytesMax?: number;
}

/**
 * Replaces `$(NAME)` by the variable's value; `$$` is a literal `$`; a reference to an unknown name stays as it is
 * (Kubernetes, "Dependent environment variables").
 */
export function expandVariables(text: string, env: Readonly<Record<string, string>>): string {
	return text.replace(/\$\$|\$\(([^)]*)\)/g, (reference, name?: string) => {
		if (name === undefined) return '$';
		return Object.hasOwn(env, name) ? (env[name] ?? '') : reference;
	});
}

/** `BEEMESH_VOLUME_<NAME>`: where a volume is, the same under runtimes with and without a mount namespace. */
export function volumeVariable(volumeName: string): string {
	return `BEEMESH_VOLUME_${volumeName.toUpperCase().replaceAll('-', '_')}`;
}

/**
 * Resolves one container. `volumePaths` maps volume names to the folder the container sees; `base` is the
 * environment that the image or the host brings and that everything else overrides.
 */
export function resolveContainer(
	spec: PodStart,
	container: Container,
	volumePaths: Readonly<Record<string, string>>,
	base: Readonly<Record<string, string>> = {},
): ResolvedContainer {
	const field = `spec.containers[${spec.pod.spec.containers.indexOf(container)}]`;
	const injected: Record<string, string> = { ...spec.env };
	for (const [name, path] of Object.entries(volumePaths)) injected[volumeVariable(name)] = path;
	const env: Record<string, string> = { ...base, ...injected };
	for (const [index, variable] of (container.env ?? []).entries()) {
		if (variable.valueFrom !== undefined) {
			throw new MeshError(
				'invalid_input',
				`${field}.env[${index}].valueFrom: a pod handed to a runtime must have plain values`,
			);
		}
		if (!Object.hasOwn(injected, variable.name)) env[variable.name] = expandVariables(variable.value ?? '', env);
	}
	const memory = container.resources?.limits?.['memory'];
	return {
		name: container.name,
		image: container.image,
		env,
		...(container.command && { command: container.command.map((part) => expandVariables(part, env)) }),
		...(container.args && { args: container.args.map((part) => expandVariables(part, env)) }),
		...(container.workingDir !== undefined && { workingDir: container.workingDir }),
		...(memory !== undefined && { memoryBytesMax: parseQuantity(memory, `${field}.resources.limits.memory`) }),
	};
}

/** The container that an option names, or the first one. */
export function pickContainer<T extends { readonly name: string }>(
	podId: string,
	containers: readonly T[],
	name: string | undefined,
): T {
	const found = name === undefined ? containers[0] : containers.find((container) => container.name === name);
	if (found) return found;
	const known = containers.map((container) => container.name).join(', ');
	throw new MeshError('not_found', `pod ${podId} has no container '${name}'; it has: ${known}`);
}

/** The volumes of a pod with their kind checked: what each mounted volume is backed by. */
export type VolumeSource =
	| { readonly kind: 'empty' }
	| { readonly kind: 'named'; readonly volume: string }
	| ({ readonly kind: 'host' } & NonNullable<Volume['hostPath']>);

export function volumeSources(spec: PodStart): ReadonlyMap<string, VolumeSource> {
	const sources = new Map<string, VolumeSource>();
	for (const [index, volume] of (spec.pod.spec.volumes ?? []).entries()) {
		const field = `spec.volumes[${index}]`;
		if (volume.persistentVolumeClaim) {
			const claim = volume.persistentVolumeClaim.claimName;
			const named = Object.hasOwn(spec.volumeNames, claim) ? spec.volumeNames[claim] : undefined;
			if (named === undefined) {
				throw new MeshError(
					'invalid_input',
					`${field}.persistentVolumeClaim.claimName: no volume for claim '${claim}'`,
				);
			}
			sources.set(volume.name, { kind: 'named', volume: checkVolumeName(named, field) });
		} else if (volume.emptyDir) {
			sources.set(volume.name, { kind: 'empty' });
		} else if (volume.hostPath) {
			sources.set(volume.name, { kind: 'host', ...volume.hostPath });
		} else {
			throw new MeshError(
				'invalid_input',
				`${field}: only emptyDir, persistentVolumeClaim and hostPath volumes can be run`,
			);
		}
	}
	for (const [at, container] of spec.pod.spec.containers.entries()) {
		for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
			if (!sources.has(mount.name)) {
				const field = `spec.containers[${at}].volumeMounts[${index}].name`;
				throw new MeshError('invalid_input', `${field}: the pod has no volume '${mount.name}'`);
			}
		}
	}
	return sources;
}

/** Volume and pod names become file names and unit names: nothing that could climb out of a folder passes. */
export function checkVolumeName(name: string, field: string): string {
	if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,200}$/.test(name)) return name;
	throw new MeshError('invalid_input', `${field}: '${name}' cannot be the name of a volume`);
}

export function checkPodId(podId: string): string {
	if (/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(podId)) return podId;
	throw new MeshError('invalid_input', `podId: '${podId}' is not a DNS label (a-z, 0-9, '-', at most 63 characters)`);
}
