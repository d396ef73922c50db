/** Every way out of its box that a pod may ask for, one row each: what it asks, and the field that a refusal names. */

type Data = Readonly<Record<string, unknown>>;

export interface RefusedPod {
	readonly what: string;
	/** Laid over the pod's metadata, its spec, its only container. */
	readonly metadata?: Data;
	readonly spec?: Data;
	readonly container?: Data;
	/** In a pod; in a workload it follows `spec.template.`. */
	readonly field: string;
	/** Key of the policy file that would allow it. */
	readonly key?: string;
}

const security = (what: string, securityContext: unknown, field: string, key?: string): RefusedPod => ({
	what,
	container: { securityContext },
	field: `spec.containers[0].securityContext${field}`,
	...(key !== undefined && { key }),
});
const spec = (what: string, fields: Data, field: string, key?: string): RefusedPod => ({
	what,
	spec: fields,
	field: `spec.${field}`,
	...(key !== undefined && { key }),
});
const volume = (what: string, source: unknown, field: string, key?: string): RefusedPod =>
	spec(what, { volumes: [Object.assign({ name: 'v' }, source)] }, `volumes[0]${field}`, key);
const mount = (what: string, fields: Data, field: string): RefusedPod => ({
	what,
	spec: { volumes: [{ name: 'v', emptyDir: {} }] },
	container: { volumeMounts: [{ name: 'v', mountPath: '/data', ...fields }] },
	field: `spec.containers[0].volumeMounts[0].${field}`,
});
const container = (what: string, fields: Data, field: string, key?: string): RefusedPod => ({
	what,
	container: fields,
	field: `spec.containers[0].${field}`,
	...(key !== undefined && { key }),
});
const annotation = (key: string, value = 'x'): RefusedPod => ({
	what: `the annotation ${key}`,
	metadata: { annotations: { [key]: value } },
	field: `metadata.annotations['${key}']`,
});
/** As a decoder may make it: JSON has such keys, literals of JavaScript do not. */
const decoded = (json: string): Data => JSON.parse(json) as Data;

export const REFUSED_PODS: readonly RefusedPod[] = [
	// Namespaces of the host
	spec('the network of the host', { hostNetwork: true }, 'hostNetwork', 'hostNetwork'),
	spec('the processes of the host', { hostPID: true }, 'hostPID'),
	spec('the shared memory of the host', { hostIPC: true }, 'hostIPC'),
	spec('one process table for its containers', { shareProcessNamespace: true }, 'shareProcessNamespace'),
	spec('the user names of the host', { hostUsers: true }, 'hostUsers'),

	// Privilege
	security('privilege', { privileged: true }, '.privileged', 'privileged'),
	{
		what: 'privilege of an init container',
		spec: { initContainers: [{ name: 'init', image: 'x', securityContext: { privileged: true } }] },
		field: 'spec.initContainers[0].securityContext.privileged',
		key: 'privileged',
	},
	security('a capability', { capabilities: { add: ['SYS_ADMIN'] } }, '.capabilities.add[0]', 'capabilities'),
	security('a capability by its long name', { capabilities: { add: ['CAP_NET_ADMIN'] } }, '.capabilities.add[0]'),
	security('all capabilities', { capabilities: { add: ['all'] } }, '.capabilities.add[0]', 'capabilities'),
	security('no system call filter', { seccompProfile: { type: 'Unconfined' } }, '.seccompProfile.type'),
	security(
		'a filter from a file of the host',
		{ seccompProfile: { type: 'Localhost', localhostProfile: 'x' } },
		'.seccompProfile.type',
	),
	security('no AppArmor profile', { appArmorProfile: { type: 'Unconfined' } }, '.appArmorProfile.type'),
	security('another SELinux label', { seLinuxOptions: { type: 'spc_t' } }, '.seLinuxOptions'),
	security('an unmasked /proc', { procMount: 'Unmasked' }, '.procMount'),
	security('a process of the Windows host', { windowsOptions: { hostProcess: true } }, '.windowsOptions'),
	spec(
		'no system call filter for all containers',
		{ securityContext: { seccompProfile: { type: 'Unconfined' } } },
		'securityContext.seccompProfile.type',
	),
	spec(
		'kernel settings',
		{ securityContext: { sysctls: [{ name: 'kernel.core_pattern', value: '|/x' }] } },
		'securityContext.sysctls[0]',
	),
	spec(
		'further groups of the host',
		{ securityContext: { supplementalGroups: [0] } },
		'securityContext.supplementalGroups',
	),
	spec('a container put in later', { ephemeralContainers: [{ name: 'e', image: 'x' }] }, 'ephemeralContainers'),
	spec('another runtime of the engine', { runtimeClassName: 'runc' }, 'runtimeClassName'),

	// Files and devices of the host
	volume('a host folder', { hostPath: { path: '/srv/media' } }, '.hostPath', 'hostPaths'),
	volume('the whole host', { hostPath: { path: '/' } }, '.hostPath', 'hostPaths'),
	volume('a host folder by a detour', { hostPath: { path: '/srv/../etc' } }, '.hostPath.path'),
	volume('a host folder with an engine option', { hostPath: { path: '/srv:/etc' } }, '.hostPath.path'),
	volume('a host path with NUL', { hostPath: { path: '/srv\0' } }, '.hostPath.path'),
	volume('a relative host path', { hostPath: { path: 'etc' } }, '.hostPath.path'),
	volume('a folder made on the host', { hostPath: { path: '/srv', type: 'DirectoryOrCreate' } }, '.hostPath.type'),
	volume('a device', { hostPath: { path: '/dev/kvm', type: 'CharDevice' } }, '.hostPath', 'devices'),
	volume("Podman's socket", { hostPath: { path: '/run/podman/podman.sock', type: 'Socket' } }, '.hostPath'),
	container('a raw block device', { volumeDevices: [{ name: 'v', devicePath: '/dev/x' }] }, 'volumeDevices'),
	container(
		'a device as a resource',
		{ resources: { limits: { 'podman.io/device=/dev/kmsg': '1' } } },
		"resources.limits['podman.io/device=/dev/kmsg']",
	),

	// Volumes that are not served, and more than one source
	volume('a ConfigMap', { configMap: { name: 'c', items: [{ key: 'k', path: '../../etc/x' }] } }, '.configMap'),
	volume('a Secret', { secret: { secretName: 's', items: [{ key: 'k', path: '/etc/x' }] } }, '.secret'),
	volume('a projected volume', { projected: { sources: [{ configMap: { name: 'c' } }] } }, '.projected'),
	volume('an NFS export', { nfs: { server: 's', path: '/' } }, '.nfs'),
	volume('a git repository', { gitRepo: { repository: '/etc' } }, '.gitRepo'),
	volume('a storage driver', { csi: { driver: 'd' } }, '.csi'),
	volume('two sources in one', { emptyDir: {}, hostPath: { path: '/' } }, ''),
	volume('no source', {}, ''),

	// Places in the container
	mount('a mount by a detour', { mountPath: '/a/../..' }, 'mountPath'),
	mount('a relative mount', { mountPath: 'data' }, 'mountPath'),
	mount('a mount with NUL', { mountPath: '/data\0' }, 'mountPath'),
	mount('a mount with an engine option', { mountPath: '/data:exec' }, 'mountPath'),
	mount('a mount over everything', { mountPath: '//' }, 'mountPath'),
	mount('a mount over /proc', { mountPath: '/./proc/sys/' }, 'mountPath'),
	mount('a mount over /sys', { mountPath: '/sys/fs/cgroup' }, 'mountPath'),
	mount('a mount over /dev', { mountPath: '/dev/' }, 'mountPath'),
	mount('a subPath by a detour', { subPath: '../../etc' }, 'subPath'),
	mount('an absolute subPath', { subPath: '/etc' }, 'subPath'),
	mount('a subPath from a variable', { subPathExpr: '$(UP)/etc' }, 'subPathExpr'),
	mount('a mount that spreads to the host', { mountPropagation: 'Bidirectional' }, 'mountPropagation'),
	mount('a mount that spreads from the host', { mountPropagation: 'HostToContainer' }, 'mountPropagation'),

	// Names that become paths or words of a command
	container('a container name by a detour', { name: '../../x' }, 'name'),
	volume('a volume name by a detour', { name: '../../x', emptyDir: {} }, '.name'),
	spec('a host name with a newline', { hostname: 'a\nb' }, 'hostname'),
	container('a variable with NUL', { env: [{ name: 'A', value: 'a\0b' }] }, 'env[0].value'),
	container('an image that is a folder of the host', { image: 'dir:/etc' }, 'image'),
	container('an image that is an archive of the host', { image: 'docker-archive:backup' }, 'image'),
	container('an image that is an option', { image: '--privileged' }, 'image'),
	spec(
		'two containers of one name',
		{
			containers: [
				{ name: 'twice', image: 'x' },
				{ name: 'twice', image: 'y' },
			],
		},
		'containers',
	),

	// Ports of the host
	container(
		'a privileged port of the host',
		{ ports: [{ containerPort: 8080, hostPort: 80 }] },
		'ports[0].hostPort',
		'hostPorts',
	),
	container(
		'an address of the host',
		{ ports: [{ containerPort: 8080, hostPort: 8080, hostIP: '0.0.0.0' }] },
		'ports[0].hostIP',
	),

	// Orders to the engine
	annotation('io.podman.annotations.privileged', 'true'),
	annotation('IO.Podman.Annotations.Privileged', 'true'),
	annotation('io.podman.annotations.volumes-from/main', 'other'),
	annotation('org.systemd.property.TimeoutStopUSec', '1'),
	annotation('run.oci.keep_original_groups', '1'),
	annotation('run.oci.hooks.stdout', '/etc/x'),
	annotation('io.containers.autoupdate', 'registry'),
	annotation('container.apparmor.security.beta.kubernetes.io/main', 'unconfined'),
	annotation('seccomp.security.alpha.kubernetes.io/pod', 'unconfined'),
	{ what: 'annotations that are a list', metadata: { annotations: ['x'] }, field: 'metadata.annotations' },

	// Values of another type: not to be taken for absent, nor for `false`
	spec('a network of the host in quotes', { hostNetwork: 'true' }, 'hostNetwork'),
	spec('a process table of the host in quotes', { hostPID: 'true' }, 'hostPID'),
	security('privilege as a number', { privileged: 1 }, '.privileged'),
	security('privilege as a list', { privileged: [true] }, '.privileged'),
	security('capabilities as a text', { capabilities: { add: 'ALL' } }, '.capabilities.add'),
	security('capabilities as an object', { capabilities: { add: { 0: 'ALL' } } }, '.capabilities.add'),
	security('a security context as a list', [{ privileged: true }], ''),
	security('null for a security context', null, ''),
	spec('volumes as an object', { volumes: { 0: { name: 'v', hostPath: { path: '/' } } } }, 'volumes'),
	spec('containers as an object', { containers: { 0: { name: 'a', image: 'x' } } }, 'containers'),
	spec('no containers', { containers: [] }, 'containers'),
	container('a port as a text', { ports: [{ containerPort: '80' }] }, 'ports[0].containerPort'),

	// Other spellings of what a decoder in Go takes whatever the case
	spec('hostnetwork', { hostnetwork: true }, 'hostnetwork'),
	spec('HostPID', { HostPID: true }, 'HostPID'),
	security('Privileged', { Privileged: true }, '.Privileged'),
	container('SecurityContext', { SecurityContext: { privileged: true } }, 'SecurityContext'),
	volume('HostPath', { HostPath: { path: '/' } }, '.HostPath'),
	volume('hostPath and hostpath', { hostpath: { path: '/' }, emptyDir: {} }, '.hostpath'),
	security('a capability by ADD', { capabilities: { ADD: ['SYS_ADMIN'] } }, '.capabilities.ADD'),

	// An object's own machinery
	spec('a prototype of the pod', decoded('{"__proto__": {"hostNetwork": true}}'), '__proto__'),
	security('a prototype of a security context', decoded('{"__proto__": {"privileged": true}}'), '.__proto__'),
	security('a constructor', decoded('{"constructor": {"prototype": {"privileged": true}}}'), '.constructor'),
	security('an inherited field', Object.create({ privileged: true }), ''),
	{
		what: 'a prototype among the annotations',
		metadata: { annotations: decoded('{"__proto__": "x"}') },
		field: 'metadata.annotations',
	},
];

/** Keeps own keys as they are, `__proto__` among them. */
export function overlay(base: object, fields: Data = {}): Data {
	const all: Record<string, unknown> = {};
	for (const [name, value] of [...Object.entries(base), ...Object.entries(fields)]) {
		Object.defineProperty(all, name, { value, enumerable: true, configurable: true, writable: true });
	}
	return all;
}
