/** Kubernetes' Deployment and StatefulSet (apps/v1), field by field, around {@link podTemplate}. */
import { SLOTS_MAX } from '@beemesh/sdk/wire';
import * as v from 'valibot';
import {
	annotations,
	dnsLabel,
	ignored,
	int,
	labels,
	list,
	maybe,
	object,
	oneOf,
	onlyValue,
	refused,
	text,
	unused,
} from './fields.ts';
import { podTemplate, quantity } from './pod-schema.ts';

const SECONDS_MAX = 2 ** 31 - 1;
const SET_BY_SYSTEM = unused;

const objectMeta = object({
	name: dnsLabel,
	namespace: maybe(dnsLabel),
	labels: maybe(labels),
	annotations: maybe(annotations),
	// What `kubectl get -o yaml` prints and an API server ignores on the way in.
	creationTimestamp: SET_BY_SYSTEM,
	deletionGracePeriodSeconds: SET_BY_SYSTEM,
	deletionTimestamp: SET_BY_SYSTEM,
	generation: SET_BY_SYSTEM,
	managedFields: SET_BY_SYSTEM,
	resourceVersion: SET_BY_SYSTEM,
	selfLink: SET_BY_SYSTEM,
	uid: SET_BY_SYSTEM,
	finalizers: refused(),
	generateName: refused('a workload needs a name'),
	ownerReferences: refused(),
});

const selector = object({
	matchLabels: v.pipe(
		labels,
		v.check((value) => Object.keys(value).length > 0, 'must name at least one label'),
	),
	matchExpressions: refused('use matchLabels'),
});

const common = {
	replicas: maybe(int(0, SLOTS_MAX)),
	selector,
	template: podTemplate,
	minReadySeconds: ignored('a ready pod counts at once'),
	revisionHistoryLimit: ignored('no history is kept'),
};

const intOrPercent = v.union(
	[int(0, SECONDS_MAX), v.pipe(v.string(), v.regex(/^[0-9]{1,3}%$/))],
	'must be a number or a percentage such as 25%',
);

const deploymentSpec = object({
	...common,
	strategy: maybe(
		object({
			type: maybe(oneOf('RollingUpdate', 'Recreate')),
			rollingUpdate: maybe(object({ maxSurge: maybe(intOrPercent), maxUnavailable: maybe(intOrPercent) })),
		}),
	),
	paused: onlyValue(false),
	progressDeadlineSeconds: ignored('use --wait --timeout'),
});

const claimTemplate = object({
	apiVersion: unused,
	kind: unused,
	status: unused,
	metadata: object({
		name: dnsLabel,
		creationTimestamp: unused,
		labels: ignored('volumes have no labels'),
		annotations: ignored('volumes have no annotations'),
	}),
	spec: object({
		accessModes: maybe(list(oneOf('ReadWriteOnce', 'ReadWriteOncePod', 'ReadOnlyMany', 'ReadWriteMany'), 4)),
		resources: object({
			requests: object({ storage: quantity }),
			limits: ignored('volumes are as large as their host allows'),
		}),
		storageClassName: ignored("volumes are kept on the host's disk"),
		volumeAttributesClassName: refused(),
		volumeMode: onlyValue('Filesystem'),
		volumeName: refused(),
		selector: refused(),
		dataSource: refused(),
		dataSourceRef: refused(),
	}),
});

const statefulSetSpec = object({
	...common,
	serviceName: maybe(text(253)),
	podManagementPolicy: maybe(oneOf('OrderedReady', 'Parallel')),
	volumeClaimTemplates: maybe(list(claimTemplate, 16)),
	persistentVolumeClaimRetentionPolicy: maybe(
		object({ whenDeleted: maybe(oneOf('Retain', 'Delete')), whenScaled: maybe(oneOf('Retain', 'Delete')) }),
	),
	updateStrategy: maybe(
		v.pipe(
			object({
				type: maybe(v.literal('RollingUpdate', 'only RollingUpdate is served by this version')),
				rollingUpdate: maybe(object({ partition: onlyValue(0), maxUnavailable: onlyValue(1) })),
			}),
			v.transform((): undefined => undefined),
		),
	),
	ordinals: maybe(
		v.pipe(
			object({ start: onlyValue(0) }),
			v.transform((): undefined => undefined),
		),
	),
});

const top = { metadata: objectMeta, status: unused };

export const deployment = object({
	apiVersion: v.literal('apps/v1'),
	kind: v.literal('Deployment'),
	...top,
	spec: deploymentSpec,
});
export const statefulSet = object({
	apiVersion: v.literal('apps/v1'),
	kind: v.literal('StatefulSet'),
	...top,
	spec: statefulSetSpec,
});
