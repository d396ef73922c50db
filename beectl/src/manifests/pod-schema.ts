/** Kubernetes' PodSpec, field by field: what this version serves, ignores with a warning, or refuses. */
import { parseQuantity } from '@beemesh/sdk/api';
import * as v from 'valibot';
import {
	annotations,
	dnsLabel,
	filled,
	flag,
	IGNORED,
	ignored,
	int,
	labels,
	list,
	maybe,
	object,
	oneOf,
	onlyValue,
	portReference,
	refused,
	text,
	unused,
} from './fields.ts';

const SECONDS_MAX = 2 ** 31 - 1;

/** A quantity such as `500m` or `64Mi`; YAML may hold it as a number. */
export const quantity = v.pipe(
	v.union([v.string(), v.number()], 'must be a quantity such as 500m, 64Mi or 2'),
	v.transform(String),
	v.rawCheck(({ dataset, addIssue }) => {
		if (!dataset.typed) return;
		try {
			parseQuantity(dataset.value, '');
		} catch (error) {
			addIssue({ message: (error as Error).message.replace(/^: /, '') });
		}
	}),
);

const SERVED_RESOURCES = ['cpu', 'memory', 'ephemeral-storage'];
const resourceList = v.record(
	v.pipe(
		v.string(),
		v.check(
			(name) => SERVED_RESOURCES.includes(name),
			`no host offers this resource; known are ${SERVED_RESOURCES.join(', ')}`,
		),
	),
	quantity,
	'must be an object',
);
const resources = object({ requests: maybe(resourceList), limits: maybe(resourceList), claims: refused() });

const NEEDS_OBJECTS = 'Secrets and ConfigMaps are not served by this version; write the value, or mount a volume';
const env = object({
	name: v.pipe(filled(256), v.regex(/^[^=\0]+$/, "must not contain '='")),
	value: maybe(text(32768)),
	valueFrom: maybe(
		v.pipe(
			object({
				fieldRef: maybe(object({ fieldPath: filled(256), apiVersion: unused })),
				secretKeyRef: refused(NEEDS_OBJECTS),
				configMapKeyRef: refused(NEEDS_OBJECTS),
				resourceFieldRef: refused(),
				fileKeyRef: refused(),
			}),
			v.rawTransform(({ dataset, addIssue, NEVER }) => {
				const { fieldRef } = dataset.value;
				if (fieldRef !== undefined) return { fieldRef };
				addIssue({ message: 'must have a fieldRef' });
				return NEVER;
			}),
		),
	),
});

const port = object({
	containerPort: int(1, 65535),
	name: maybe(v.pipe(dnsLabel, v.maxLength(15, 'longer than 15 characters'))),
	protocol: maybe(oneOf('TCP', 'UDP')),
	hostPort: maybe(int(1, 65535)),
	hostIP: refused(),
});

const volumeMount = object({
	name: dnsLabel,
	mountPath: v.pipe(
		filled(),
		v.startsWith('/', 'must be an absolute path'),
		v.check((path) => !path.split('/').includes('..') && !path.includes(':'), "must not contain '..' or ':'"),
	),
	readOnly: maybe(flag),
	subPath: refused(),
	subPathExpr: refused(),
	mountPropagation: onlyValue('None'),
	recursiveReadOnly: onlyValue('Disabled'),
});

const probe = object({
	httpGet: maybe(
		object({
			path: maybe(text()),
			port: portReference,
			scheme: onlyValue('HTTP'),
			host: refused(),
			httpHeaders: refused(),
		}),
	),
	tcpSocket: maybe(object({ port: portReference, host: refused() })),
	exec: maybe(object({ command: list(text(32768), 256) })),
	grpc: refused('gRPC probes are not served by this version; use httpGet, tcpSocket or exec'),
	initialDelaySeconds: maybe(int(0, SECONDS_MAX)),
	periodSeconds: maybe(int(1, SECONDS_MAX)),
	timeoutSeconds: maybe(int(1, SECONDS_MAX)),
	failureThreshold: maybe(int(1, SECONDS_MAX)),
	successThreshold: maybe(int(1, SECONDS_MAX)),
	terminationGracePeriodSeconds: ignored("the pod's grace period is used"),
});

const userFields = {
	runAsUser: maybe(int(0, SECONDS_MAX)),
	runAsGroup: maybe(int(0, SECONDS_MAX)),
	runAsNonRoot: maybe(flag),
	seccompProfile: maybe(
		object({ type: v.literal('RuntimeDefault', 'only RuntimeDefault is allowed'), localhostProfile: refused() }),
	),
	appArmorProfile: refused(),
	seLinuxOptions: refused(),
	windowsOptions: refused(),
};

const containerSecurity = object({
	...userFields,
	allowPrivilegeEscalation: maybe(flag),
	readOnlyRootFilesystem: maybe(flag),
	privileged: maybe(flag),
	capabilities: maybe(object({ add: maybe(list(text(64), 64)), drop: maybe(list(text(64), 64)) })),
	procMount: onlyValue('Default'),
});

const initContainerFields = {
	name: dnsLabel,
	image: v.pipe(filled(512), v.regex(/^\S*$/, 'must not contain spaces')),
	imagePullPolicy: maybe(oneOf('Always', 'IfNotPresent', 'Never')),
	command: maybe(list(text(32768), 256)),
	args: maybe(list(text(32768), 256)),
	workingDir: maybe(text()),
	env: maybe(list(env, 1024)),
	envFrom: refused(NEEDS_OBJECTS),
	ports: maybe(list(port, 64)),
	volumeMounts: maybe(list(volumeMount, 64)),
	volumeDevices: refused(),
	resources: maybe(resources),
	resizePolicy: ignored('a change of resources starts new pods'),
	restartPolicy: refused('sidecar containers are not served by this version'),
	securityContext: maybe(containerSecurity),
	lifecycle: refused('lifecycle hooks are not served by this version; handle SIGTERM'),
	terminationMessagePath: ignored('see the logs'),
	terminationMessagePolicy: ignored('see the logs'),
	stdin: onlyValue(false),
	stdinOnce: onlyValue(false),
	tty: onlyValue(false),
};
const container = object({
	...initContainerFields,
	livenessProbe: maybe(probe),
	readinessProbe: maybe(probe),
	startupProbe: maybe(probe),
});
const initContainer = object({
	...initContainerFields,
	livenessProbe: refused(),
	readinessProbe: refused(),
	startupProbe: refused(),
});

const OTHER_VOLUMES =
	'awsElasticBlockStore azureDisk azureFile cephfs cinder configMap csi downwardAPI ephemeral fc flexVolume flocker gcePersistentDisk gitRepo glusterfs image iscsi nfs photonPersistentDisk portworxVolume projected quobyte rbd scaleIO secret storageos vsphereVolume'.split(
		' ',
	);
const volume = object({
	name: dnsLabel,
	emptyDir: maybe(
		object({ sizeLimit: maybe(quantity), medium: ignored("emptyDir volumes are kept on the host's disk") }),
	),
	persistentVolumeClaim: maybe(object({ claimName: dnsLabel, readOnly: onlyValue(false) })),
	// Whether a host gives one is its operator's policy, as for privileged, capabilities and hostNetwork.
	hostPath: maybe(
		object({ path: filled(), type: maybe(oneOf('', 'Directory', 'File', 'Socket', 'CharDevice', 'BlockDevice')) }),
	),
	...Object.fromEntries(
		OTHER_VOLUMES.map((name) => [
			name,
			refused('only emptyDir, persistentVolumeClaim and hostPath volumes are served by this version'),
		]),
	),
});

const preferenceOnly = (fields: readonly string[]) =>
	maybe(
		object({
			preferredDuringSchedulingIgnoredDuringExecution: ignored('a preference; replicas are spread over hosts anyway'),
			...Object.fromEntries(
				fields.map((name) => [
					name,
					refused('required rules are not served by this version; use spec.template.spec.nodeSelector'),
				]),
			),
		}),
	);
const REQUIRED = ['requiredDuringSchedulingIgnoredDuringExecution', 'requiredDuringSchedulingRequiredDuringExecution'];
const affinity = object({
	nodeAffinity: preferenceOnly(REQUIRED),
	podAffinity: preferenceOnly(REQUIRED),
	podAntiAffinity: preferenceOnly(REQUIRED),
});

const spreadConstraint = v.pipe(
	v.looseObject({ whenUnsatisfiable: v.literal('ScheduleAnyway', 'only ScheduleAnyway is served by this version') }),
	v.rawCheck(({ dataset, addIssue }) => {
		if (dataset.typed) addIssue({ expected: IGNORED, message: 'ignored: replicas are spread over hosts anyway' });
	}),
);

const podSpec = object({
	containers: v.pipe(list(container, 32), v.minLength(1, 'must have at least one container')),
	initContainers: maybe(list(initContainer, 32)),
	volumes: maybe(list(volume, 64)),
	restartPolicy: maybe(v.literal('Always', 'must be Always for a Deployment or StatefulSet')),
	terminationGracePeriodSeconds: maybe(int(0, SECONDS_MAX)),
	hostname: maybe(dnsLabel),
	nodeSelector: maybe(labels),
	securityContext: maybe(
		object({
			...userFields,
			fsGroup: maybe(int(0, SECONDS_MAX)),
			fsGroupChangePolicy: unused,
			supplementalGroups: refused(),
			supplementalGroupsPolicy: refused(),
			seLinuxChangePolicy: refused(),
			sysctls: refused(),
		}),
	),
	serviceAccountName: ignored('there are no service accounts; a replica has an identity of its own'),
	serviceAccount: ignored('there are no service accounts; a replica has an identity of its own'),
	automountServiceAccountToken: unused,
	enableServiceLinks: unused,
	imagePullSecrets: ignored("images are pulled with the host's own registry credentials"),
	dnsPolicy: ignored("containers use the host's name servers"),
	dnsConfig: refused(),
	hostAliases: refused(),
	affinity: maybe(affinity),
	tolerations: ignored('hosts have no taints'),
	topologySpreadConstraints: maybe(list(spreadConstraint, 16)),
	schedulerName: onlyValue('default-scheduler'),
	priorityClassName: ignored('all workloads have the same priority'),
	priority: ignored('all workloads have the same priority'),
	preemptionPolicy: ignored('nothing is preempted'),
	shareProcessNamespace: onlyValue(false),
	hostNetwork: maybe(flag),
	hostPID: onlyValue(false, 'no host of this version shares its processes with pods'),
	hostIPC: onlyValue(false, 'no host of this version shares its IPC with pods'),
	hostUsers: onlyValue(true),
	setHostnameAsFQDN: onlyValue(false),
	subdomain: ignored('callers find the workload by name'),
	os: maybe(
		v.pipe(
			object({ name: v.literal('linux', 'only linux is served') }),
			v.transform((): undefined => undefined),
		),
	),
	activeDeadlineSeconds: refused(),
	ephemeralContainers: refused(),
	nodeName: refused('hosts bid for pods; use nodeSelector'),
	overhead: refused(),
	readinessGates: refused(),
	resourceClaims: refused(),
	resources: refused('set resources per container'),
	runtimeClassName: refused(),
	schedulingGates: refused(),
});

/** `spec.template`. */
export const podTemplate = object({
	metadata: maybe(
		object({
			labels: maybe(labels),
			annotations: maybe(annotations),
			name: ignored('pods are named after their workload'),
			namespace: ignored("pods are in their workload's namespace"),
			creationTimestamp: unused,
			finalizers: refused(),
			generateName: refused(),
			ownerReferences: refused(),
		}),
	),
	spec: podSpec,
});
