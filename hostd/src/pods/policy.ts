/**
 * What a host refuses to run, whoever asks: anything that would let a container out of its box. Default deny; each
 * refusal names the field. Works on untyped data, because a manifest may carry more fields than the types know. Pure.
 */
import { MeshError } from '@beemesh/sdk/errors';

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields =>
	typeof value === 'object' && value !== null && !Array.isArray(value);
const fieldsOf = (value: unknown): Fields => (isFields(value) ? value : {});
const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** Annotations that Podman takes as orders, such as mounts and unit properties. */
const ANNOTATIONS_REFUSED = ['io.podman.annotations.', 'org.systemd.property.', 'run.oci.'];

/** Throws `invalid_input` naming the first field that this host's policy refuses. `field`: path of the pod. */
export function checkPolicy(pod: { readonly metadata?: unknown; readonly spec: unknown }, field: string): void {
	const spec = fieldsOf(pod.spec);
	const at = `${field}.spec`;
	for (const name of ['hostNetwork', 'hostPID', 'hostIPC']) {
		if (spec[name]) throw refused(`${at}.${name}`, 'pods share no namespace with the host');
	}
	checkSecurityContext(fieldsOf(spec['securityContext']), `${at}.securityContext`);
	for (const key of Object.keys(fieldsOf(fieldsOf(pod.metadata)['annotations']))) {
		if (ANNOTATIONS_REFUSED.some((prefix) => key.startsWith(prefix))) {
			throw refused(
				`${field}.metadata.annotations['${key}']`,
				'the container engine takes this annotation as an order',
			);
		}
	}
	for (const [index, volume] of listOf(spec['volumes']).entries()) {
		if (fieldsOf(volume)['hostPath'])
			throw refused(`${at}.volumes[${index}].hostPath`, 'pods see no folder of the host');
	}
	for (const list of ['initContainers', 'containers']) {
		for (const [index, container] of listOf(spec[list]).entries()) {
			checkContainer(fieldsOf(container), `${at}.${list}[${index}]`);
		}
	}
}

function checkContainer(container: Fields, at: string): void {
	checkSecurityContext(fieldsOf(container['securityContext']), `${at}.securityContext`);
	if (listOf(container['volumeDevices']).length > 0)
		throw refused(`${at}.volumeDevices`, 'pods see no device of the host');
	for (const [index, mount] of listOf(container['volumeMounts']).entries()) {
		const path = fieldsOf(mount)['mountPath'];
		const isPlain =
			typeof path === 'string' && path.startsWith('/') && !/[\0:]/.test(path) && !path.split('/').includes('..');
		if (!isPlain) throw refused(`${at}.volumeMounts[${index}].mountPath`, "must be absolute, without '..', ':' or NUL");
		if (fieldsOf(mount)['mountPropagation'] === 'Bidirectional') {
			throw refused(`${at}.volumeMounts[${index}].mountPropagation`, 'mounts do not spread to the host');
		}
	}
}

function checkSecurityContext(context: Fields, at: string): void {
	if (context['privileged']) throw refused(`${at}.privileged`, 'no privileged containers');
	if (context['procMount'] === 'Unmasked') throw refused(`${at}.procMount`, '/proc stays masked');
	if (listOf(context['sysctls']).length > 0) throw refused(`${at}.sysctls`, "kernel settings are the host's");
	const added = listOf(fieldsOf(context['capabilities'])['add']);
	if (added.length > 0) throw refused(`${at}.capabilities.add[0]`, `capability ${String(added[0])} is not granted`);
	if (fieldsOf(context['seccompProfile'])['type'] === 'Unconfined') {
		throw refused(`${at}.seccompProfile.type`, 'the system call filter stays on');
	}
	for (const name of ['seLinuxOptions', 'appArmorProfile']) {
		if (fieldsOf(context[name])['type'] === 'Unconfined' || fieldsOf(context[name])['type'] === 'spc_t') {
			throw refused(`${at}.${name}.type`, 'containers stay confined');
		}
	}
}

function refused(field: string, reason: string): MeshError {
	return new MeshError('invalid_input', `${field}: refused by this host's policy: ${reason}`);
}
