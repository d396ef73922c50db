/**
 * Every field that a pod may have on this host, with its type. An allow-list: runtimes get only what passed it, so that
 * no field that nobody judged reaches a container engine. What no policy file can allow is refused here. Pure.
 */
import { nameSchema } from '@beemesh/sdk/wire';
import * as v from 'valibot';
import { fields, flag, list, maybe, oneOf, text, texts, whole } from './fields.ts';

const SECONDS_MAX = 2 ** 31 - 1;
const ID_MAX = 2 ** 31 - 1;

const dnsLabel = v.pipe(
	text(),
	v.check((value) => v.is(nameSchema, value), "must be a name of at most 63 lower-case letters, digits and '-'"),
);

/** Known to Kubernetes, and refused unless it says `false`. */
const off = (why: string) => maybe(v.literal(false, `${why}`));
const only = <const T extends string>(value: T, why: string) => v.literal(value, `${why}; only ${value} is allowed`);

const quantities = texts(oneOf('cpu', 'memory', 'ephemeral-storage'), 64);

const env = fields('a variable', {
	name: v.pipe(text(256), v.regex(/^[^=]+$/, "must be a name without '='")),
	value: maybe(text(32_768)),
	valueFrom: maybe(
		fields('a reference', {
			fieldRef: fields('a field reference', { fieldPath: text(256) }),
		}),
	),
});

const port = fields('a port', {
	name: maybe(dnsLabel),
	containerPort: whole(1, 65_535),
	protocol: maybe(oneOf('TCP', 'UDP')),
	hostPort: maybe(whole(1, 65_535)),
});

const volumeMount = fields('a mount', {
	name: dnsLabel,
	mountPath: text(),
	readOnly: maybe(flag),
	mountPropagation: maybe(only('None', 'mounts do not spread between host and pod')),
});

const portReference = v.union([whole(1, 65_535), dnsLabel], 'must be the number or name of a port');
const probe = fields('a probe', {
	httpGet: maybe(fields('httpGet', { path: maybe(text()), port: portReference })),
	tcpSocket: maybe(fields('tcpSocket', { port: portReference })),
	exec: maybe(fields('exec', { command: list(text(32_768)) })),
	initialDelaySeconds: maybe(whole(0, SECONDS_MAX)),
	periodSeconds: maybe(whole(1, SECONDS_MAX)),
	timeoutSeconds: maybe(whole(1, SECONDS_MAX)),
	failureThreshold: maybe(whole(1, SECONDS_MAX)),
	successThreshold: maybe(whole(1, SECONDS_MAX)),
});

const confinement = {
	runAsUser: maybe(whole(0, ID_MAX)),
	runAsGroup: maybe(whole(0, ID_MAX)),
	runAsNonRoot: maybe(flag),
	seccompProfile: maybe(
		fields('a seccompProfile', { type: only('RuntimeDefault', 'the system call filter stays on') }),
	),
	appArmorProfile: maybe(fields('an appArmorProfile', { type: only('RuntimeDefault', 'containers stay confined') })),
};

const containerSecurity = fields('a securityContext of a container', {
	...confinement,
	allowPrivilegeEscalation: maybe(flag),
	readOnlyRootFilesystem: maybe(flag),
	privileged: maybe(flag),
	capabilities: maybe(fields('capabilities', { add: maybe(list(text(64), 64)), drop: maybe(list(text(64), 64)) })),
	procMount: maybe(only('Default', '/proc stays masked')),
});

const podSecurity = fields('a securityContext of a pod', {
	...confinement,
	fsGroup: maybe(whole(0, ID_MAX)),
	sysctls: maybe(v.pipe(v.array(v.never(`kernel settings are the host's`), 'must be a list'))),
});

/** A name in a registry. Engines also take `dir:/etc` and the like, which are files of the host. */
const IMAGE =
	/^(?:[a-zA-Z0-9][a-zA-Z0-9.-]*(?::\d+)?\/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::\w[\w.-]{0,127})?(?:@[a-z0-9]+:[0-9a-f]{32,128})?$/;
const FILES = /^(?:containers-storage|dir|docker-archive|docker-daemon|oci|oci-archive|ostree|sif|tarball):/;
const image = v.pipe(
	text(512),
	v.check((name) => IMAGE.test(name) && !FILES.test(name), 'must be the name of an image in a registry'),
);

const container = fields('a container', {
	name: dnsLabel,
	image,
	imagePullPolicy: maybe(oneOf('Always', 'IfNotPresent', 'Never')),
	command: maybe(list(text(32_768))),
	args: maybe(list(text(32_768))),
	workingDir: maybe(text()),
	env: maybe(list(env, 1_024)),
	ports: maybe(list(port, 64)),
	volumeMounts: maybe(list(volumeMount, 64)),
	resources: maybe(fields('resources', { requests: maybe(quantities), limits: maybe(quantities) })),
	livenessProbe: maybe(probe),
	readinessProbe: maybe(probe),
	startupProbe: maybe(probe),
	securityContext: maybe(containerSecurity),
});

const HOST_PATH_TYPES = ['', 'Directory', 'File', 'Socket', 'CharDevice', 'BlockDevice'] as const;
const volume = v.pipe(
	fields('a volume', {
		name: dnsLabel,
		emptyDir: maybe(fields('an emptyDir', { sizeLimit: maybe(text(64)) })),
		persistentVolumeClaim: maybe(fields('a claim', { claimName: text(253) })),
		hostPath: maybe(fields('a hostPath', { path: text(), type: maybe(oneOf(...HOST_PATH_TYPES)) })),
	}),
	v.check(
		({ emptyDir, persistentVolumeClaim, hostPath }) =>
			[emptyDir, persistentVolumeClaim, hostPath].filter((source) => source !== undefined).length === 1,
		'must have one of emptyDir, persistentVolumeClaim, hostPath',
	),
);

const podSpec = fields('a pod', {
	containers: v.pipe(list(container, 32), v.minLength(1, 'must have at least one container')),
	initContainers: maybe(list(container, 32)),
	volumes: maybe(list(volume, 64)),
	restartPolicy: maybe(oneOf('Always', 'OnFailure', 'Never')),
	terminationGracePeriodSeconds: maybe(whole(0, SECONDS_MAX)),
	hostname: maybe(dnsLabel),
	nodeSelector: maybe(texts(text(317), 63)),
	securityContext: maybe(podSecurity),
	hostNetwork: maybe(flag),
	hostPID: off('pods do not see the processes of the host'),
	hostIPC: off('pods share no memory with the host'),
	shareProcessNamespace: off('containers of a pod do not see one another’s processes'),
});

const labels = texts(text(317), 63);
const annotations = texts(text(317), 262_144);

/** The template of a workload, as its owner wrote it. */
export const templateShape = fields('a template', {
	metadata: maybe(fields('the metadata of a template', { labels: maybe(labels), annotations: maybe(annotations) })),
	spec: podSpec,
});

/** A pod, as a runtime is to start it. */
export const podShape = fields('a pod', {
	apiVersion: v.literal('v1', 'must be v1'),
	kind: v.literal('Pod', 'must be Pod'),
	metadata: fields('the metadata of a pod', {
		name: dnsLabel,
		namespace: dnsLabel,
		labels: maybe(labels),
		annotations: maybe(annotations),
	}),
	spec: podSpec,
});
