/** The plain v1 Pod that is handed to `kube play`: what Podman does well, with everything else already worked out. Pure. */
import { dirname } from 'node:path';
import { MeshError } from '@beemesh/sdk/errors';
import type { Container } from '@beemesh/sdk/wire';
import { resolveContainer, volumeSources } from '../container.ts';
import type { PodStart, PublishedPort } from '../runtime.ts';

/** Labels on pods, containers and volumes that say whose they are. The rest of a pod's labels is the caller's. */
export const LABEL = {
	/** Which hostd owns it: several may use one Podman. */
	instance: 'io.beemesh.instance',
	/** The pod's id; containers inherit it, so that Podman's events about them tell. */
	podId: 'io.beemesh.pod-id',
	/** Names of its containers, in the manifest's order, comma-separated. */
	containers: 'io.beemesh.containers',
	/** Published ports with their names, as JSON. */
	ports: 'io.beemesh.ports',
	/** On a volume: the pod whose emptyDir it is. */
	emptyDirOf: 'io.beemesh.empty-dir-of',
} as const;

export interface KubePlay {
	/** JSON, which is YAML. */
	readonly body: string;
	/** Named volumes that must exist, with whether they go with the pod. */
	readonly volumes: readonly { readonly name: string; readonly isEmptyDir: boolean }[];
}

/** Where containers find the pod's socket folder. */
const SOCKET_PATH_DEFAULT = '/run/beemesh/pod.sock';
const PRIVATE_PATH_DEFAULT = '/run/beemesh-private';

export function kubePlay(spec: PodStart, instance: string): KubePlay {
	const volumes: { name: string; isEmptyDir: boolean }[] = [];
	const podVolumes: object[] = [{ name: 'beemesh-socket', hostPath: { path: spec.socketDir, type: 'Directory' } }];
	if (spec.privateDir !== undefined)
		podVolumes.push({ name: 'beemesh-private', hostPath: { path: spec.privateDir, type: 'Directory' } });
	for (const [name, source] of volumeSources(spec)) {
		if (source.kind === 'host') {
			const { path, type } = source;
			podVolumes.push({ name: `v-${name}`, hostPath: { path, ...(type !== undefined && { type }) } });
			continue;
		}
		// Podman makes an emptyDir a volume of that bare name, shared by all pods: each pod gets one of its own.
		const isEmptyDir = source.kind === 'empty';
		const volume = isEmptyDir ? emptyDirVolume(spec.podId, name) : source.volume;
		volumes.push({ name: volume, isEmptyDir });
		podVolumes.push({ name: `v-${name}`, persistentVolumeClaim: { claimName: volume } });
	}
	const { containers, initContainers, securityContext, hostNetwork } = spec.pod.spec;
	// On the host's network a port is published by listening on it.
	const ports = hostNetwork ? [] : spec.ports.map(portOf);
	const pod = {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: {
			name: spec.podId,
			labels: {
				...spec.labels,
				[LABEL.instance]: instance,
				[LABEL.podId]: spec.podId,
				[LABEL.containers]: containers.map(({ name }) => name).join(','),
				[LABEL.ports]: JSON.stringify(spec.ports),
			},
		},
		spec: {
			hostname: spec.pod.spec.hostname ?? spec.pod.metadata.name,
			restartPolicy: 'Never',
			...(securityContext !== undefined && { securityContext }),
			...(hostNetwork && { hostNetwork }),
			volumes: podVolumes,
			// Ports belong to the pod's network; which container names them makes no difference.
			containers: containers.map((container, index) => ({
				...containerOf(spec, container),
				...(index === 0 && { ports }),
			})),
			...(initContainers?.length && { initContainers: initContainers.map((each) => containerOf(spec, each)) }),
		},
	};
	return { body: JSON.stringify(pod), volumes };
}

export function emptyDirVolume(podId: string, volume: string): string {
	return `${podId}--${volume}`;
}

/** Podman's name of a container in a pod. */
export function containerName(podId: string, container: string): string {
	return `${podId}-${container}`;
}

function containerOf(spec: PodStart, container: Container): object {
	const socketDir = dirname(spec.env['BEEMESH_SOCKET'] ?? SOCKET_PATH_DEFAULT);
	const mounts = container.volumeMounts ?? [];
	const paths = Object.fromEntries(mounts.map((mount) => [mount.name, mount.mountPath]));
	const { env, command, args, workingDir } = resolveContainer(spec, container, paths);
	const field = `spec.containers[${spec.pod.spec.containers.indexOf(container)}]`;
	for (const [index, word] of (command ?? []).entries()) checkText(word, `${field}.command[${index}]`);
	for (const [index, word] of (args ?? []).entries()) checkText(word, `${field}.args[${index}]`);
	for (const [name, value] of Object.entries(env)) checkText(value, `${field}.env (${name})`);
	return {
		name: container.name,
		image: container.image,
		// hostd has pulled it; an image that vanished meanwhile is an error, not a download.
		imagePullPolicy: 'Never',
		...(command && { command }),
		...(args && { args }),
		...(workingDir !== undefined && { workingDir }),
		env: Object.entries(env).map(([name, value]) => ({ name, value })),
		volumeMounts: [
			{ name: 'beemesh-socket', mountPath: socketDir },
			...(spec.privateDir === undefined
				? []
				: [{ name: 'beemesh-private', mountPath: spec.env['BEEMESH_PRIVATE_DIR'] ?? PRIVATE_PATH_DEFAULT }]),
			...mounts.map(({ name, mountPath, readOnly }) => ({
				name: `v-${name}`,
				mountPath,
				...(readOnly !== undefined && { readOnly }),
			})),
		],
		...(container.resources?.limits && { resources: { limits: limitsOf(container.resources.limits) } }),
		...(container.securityContext && { securityContext: container.securityContext }),
	};
}

/**
 * Podman decodes what it is given and writes it as YAML again for itself, where it cannot read back its own rendering of
 * several lines that begin with a blank (its message names a line nobody wrote).
 */
function checkText(text: string, field: string): void {
	if (!/^[ \n]/.test(text) || !text.includes('\n')) return;
	throw new MeshError(
		'invalid_input',
		`${field}: Podman cannot take several lines that begin with a space or an empty line`,
	);
}

/** Only what Podman enforces; the other resources are the scheduler's. */
function limitsOf(limits: Readonly<Record<string, string>>): Record<string, string> {
	return Object.fromEntries(Object.entries(limits).filter(([name]) => name === 'cpu' || name === 'memory'));
}

function portOf(port: PublishedPort, index: number): object {
	if (port.host < 1 || port.container < 1) {
		throw new MeshError('invalid_input', `ports[${index}] (${port.name}): needs a port number on both sides`);
	}
	return {
		containerPort: port.container,
		hostPort: port.host,
		hostIP: port.hostIp,
		protocol: port.protocol.toUpperCase(),
	};
}
