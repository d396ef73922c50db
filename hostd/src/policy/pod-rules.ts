/**
 * What a pod may ask for under the operator's allowances, worked out from its fields alone. Whatever the field, its type
 * was checked before (`pod-shape.ts`); where host paths really lead is looked at after (`host-paths.ts`). Pure.
 */
import { posix } from 'node:path';
import type { Container, Pod, PodTemplate, Volume } from '@beemesh/sdk/wire';
import { type Allowances, isPlainPath, isWithin } from './allowances.ts';
import { refused } from './refusal.ts';

/** Annotations that container engines and runtimes take as orders: mounts, hooks, unit properties, privilege. */
const ORDERS = [
	'io.podman.',
	'io.containers.',
	'io.crun.',
	'io.kubernetes.cri-o.',
	'module.wasm.image',
	'org.criu.',
	'org.systemd.property.',
	'run.oci.',
];
/** Older spellings of profiles; what they may say. */
const PROFILES = ['seccomp.security.alpha.kubernetes.io/', 'container.apparmor.security.beta.kubernetes.io/'];
const PROFILES_DEFAULT = ['runtime/default', 'docker/default'];

/** The kernel's own trees inside the container: what covers them hides the engine's masks. */
const MASKED = ['/proc', '/sys'];
/** Below it only the superuser of a machine listens. */
const UNPRIVILEGED_PORT_MIN = 1_024;

export interface Rules {
	readonly allowances: readonly Allowances[];
	/** Digests that the owner's charter names; undefined: it names none. */
	readonly imageDigests: readonly string[] | undefined;
}

/** Throws `invalid_input` naming the first field that is not allowed. `root`: path of the pod in what its owner wrote. */
export function checkRules(pod: Pick<Pod, 'spec'> | PodTemplate, rules: Rules, root: string): void {
	const at = root === '' ? 'spec' : `${root}.spec`;
	const { spec } = pod;
	const { allowances } = rules;
	if (spec.hostNetwork && !allowances.some(({ hostNetwork }) => hostNetwork)) {
		throw refused(`${at}.hostNetwork`, 'pods have a network of their own', '"hostNetwork": true');
	}
	const annotations = ('metadata' in pod && pod.metadata?.annotations) || {};
	checkAnnotations(annotations as Readonly<Record<string, string>>, root === '' ? 'metadata' : `${root}.metadata`);
	const volumes = spec.volumes ?? [];
	for (const [index, volume] of volumes.entries()) {
		if (volume.hostPath) checkHostPath(volume.hostPath, allowances, `${at}.volumes[${index}].hostPath`);
	}
	checkUnique(volumes, `${at}.volumes`);
	const { initContainers = [], containers } = spec;
	for (const [name, list] of Object.entries({ initContainers, containers })) {
		for (const [index, container] of list.entries()) {
			checkContainer(container, volumes, rules, `${at}.${name}[${index}]`);
		}
	}
	checkUnique([...initContainers, ...containers], `${at}.containers`);
}

/** Files and volumes of a pod are named after these: of two with one name, one would stand in for the other. */
function checkUnique(named: readonly { readonly name: string }[], at: string): void {
	const twice = named.find(({ name }, index) => named.findIndex((other) => other.name === name) < index);
	if (twice) throw refused(at, `the name ${twice.name} is there twice`);
}

function checkAnnotations(annotations: Readonly<Record<string, string>>, at: string): void {
	for (const [key, value] of Object.entries(annotations)) {
		const name = key.trim().toLowerCase();
		const field = `${at}.annotations['${key}']`;
		if (ORDERS.some((prefix) => name.startsWith(prefix))) {
			throw refused(field, 'container engines take this annotation as an order');
		}
		if (PROFILES.some((prefix) => name.startsWith(prefix)) && !PROFILES_DEFAULT.includes(value)) {
			throw refused(field, 'containers stay confined by the default profiles');
		}
	}
}

function checkContainer(container: Container, volumes: readonly Volume[], rules: Rules, at: string): void {
	const { allowances, imageDigests } = rules;
	const { securityContext = {}, volumeMounts = [], ports = [], image } = container;
	if (securityContext.privileged && !allowances.some(({ privileged }) => privileged)) {
		throw refused(`${at}.securityContext.privileged`, 'no privileged containers', '"privileged": true');
	}
	for (const [index, given] of (securityContext.capabilities?.add ?? []).entries()) {
		const capability = given.toUpperCase().replace(/^CAP_/, '');
		if (allowances.some(({ capabilities = [] }) => capabilities.includes(capability))) continue;
		const field = `${at}.securityContext.capabilities.add[${index}]`;
		throw refused(field, `capability ${capability} is not granted`, `"capabilities": ["${capability}"]`);
	}
	for (const [index, { hostPort }] of ports.entries()) {
		if (hostPort === undefined || hostPort >= UNPRIVILEGED_PORT_MIN) continue;
		const isIn = ({ from, to }: { from: number; to: number }) => from <= hostPort && hostPort <= to;
		if (allowances.some(({ hostPorts = [] }) => hostPorts.some(isIn))) continue;
		throw refused(
			`${at}.ports[${index}].hostPort`,
			`ports below ${UNPRIVILEGED_PORT_MIN} are the host's`,
			`"hostPorts": [{ "from": ${hostPort}, "to": ${hostPort} }]`,
		);
	}
	if (imageDigests !== undefined) {
		const digest = /@(sha256:[0-9a-f]{64})$/.exec(image)?.[1];
		if (digest === undefined || !imageDigests.includes(digest)) {
			throw refused(`${at}.image`, `'${image}' is not pinned to one of the digests that the workload's charter names`);
		}
	}
	for (const [index, mount] of volumeMounts.entries()) {
		const field = `${at}.volumeMounts[${index}]`;
		checkMountPath(mount.mountPath, `${field}.mountPath`);
		const hostPath = volumes.find(({ name }) => name === mount.name)?.hostPath;
		if (hostPath === undefined || mount.readOnly || isDevice(hostPath)) continue;
		if (!pathAllowances(hostPath.path, allowances).some(({ readOnly }) => readOnly !== true)) {
			throw refused(
				`${field}.readOnly`,
				`must be true, as ${hostPath.path} is allowed read-only`,
				`"hostPaths": [{ "path": "${hostPath.path}" }]`,
			);
		}
	}
}

function checkMountPath(path: string, field: string): void {
	if (!path.startsWith('/') || /[\0:]/.test(path) || path.split('/').includes('..')) {
		throw refused(field, "must be absolute, without '..', ':' or NUL");
	}
	const plain = posix.normalize(path).replace(/(?<=.)\/$/, '');
	if (plain === '/' || plain === '/dev' || MASKED.some((folder) => isWithin(plain, folder))) {
		throw refused(field, `nothing may cover ${plain} of a container`);
	}
}

function checkHostPath(hostPath: NonNullable<Volume['hostPath']>, allowances: readonly Allowances[], at: string): void {
	const { path } = hostPath;
	if (!isPlainPath(path)) {
		throw refused(`${at}.path`, "must be an absolute path without '.', '..', '//', ':', NUL and a slash at the end");
	}
	if (isDevice(hostPath)) {
		if (allowances.some(({ devices = [] }) => devices.includes(path))) return;
		throw refused(at, 'pods see no device of the host', `"devices": ["${path}"]`);
	}
	if (pathAllowances(path, allowances).length > 0) return;
	throw refused(at, 'pods see no folder of the host', `"hostPaths": [{ "path": "${path}", "readOnly": true }]`);
}

export function isDevice({ type }: NonNullable<Volume['hostPath']>): boolean {
	return type === 'CharDevice' || type === 'BlockDevice';
}

/** The entries that allow a path: a writable one that path alone, a read-only one also what is below it. */
export function pathAllowances(path: string, allowances: readonly Allowances[]) {
	return allowances
		.flatMap(({ hostPaths = [] }) => hostPaths)
		.filter((entry) => entry.path === path || (entry.readOnly === true && isWithin(path, entry.path)));
}
