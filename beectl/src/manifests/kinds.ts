/** Kubernetes kinds besides the workloads: harmless ones pass with a warning, the others are refused by name. */

const REFUSED: Readonly<Record<string, string>> = {
	ConfigMap: 'write its values into the pod template',
	CronJob: 'run a scheduler of your own as a Deployment',
	DaemonSet: 'use a Deployment with a nodeSelector',
	Job: 'use a Deployment',
	List: "write its items as documents of their own, separated by '---'",
	PersistentVolume: 'volumes are made on the host where a pod runs; leave this document out',
	PersistentVolumeClaim: 'a claim that a pod names is made on its host; leave this document out',
	Pod: 'use a Deployment with one replica',
	ReplicaSet: 'use a Deployment',
	ReplicationController: 'use a Deployment',
	Secret: 'pass what is secret to the app on its own',
	ServiceAccount: 'a replica has an identity of its own; leave this document out',
	StorageClass: "volumes are kept on the host's disk; leave this document out",
};
const KNOWN = new Set([
	...Object.keys(REFUSED),
	...'APIService CertificateSigningRequest ClusterRole ClusterRoleBinding ComponentStatus ControllerRevision CustomResourceDefinition CSIDriver CSINode Endpoints EndpointSlice Event HorizontalPodAutoscaler Ingress IngressClass Lease LimitRange MutatingWebhookConfiguration NetworkPolicy Node PodDisruptionBudget PodSecurityPolicy PodTemplate PriorityClass ResourceQuota Role RoleBinding RuntimeClass ValidatingWebhookConfiguration VolumeAttachment'.split(
		' ',
	),
]);

const WORKLOAD_KINDS = ['Deployment', 'StatefulSet'] as const;

export type KindVerdict =
	| { readonly verdict: 'workload' }
	| { readonly verdict: 'skip'; readonly warning: string }
	| { readonly verdict: 'refuse'; readonly error: string };

export function judgeKind(document: Readonly<Record<string, unknown>>): KindVerdict {
	const { apiVersion, kind } = document;
	const refuse = (error: string): KindVerdict => ({ verdict: 'refuse', error });
	if (typeof kind !== 'string' || kind === '') return refuse('kind: required');
	if (typeof apiVersion !== 'string' || apiVersion === '') return refuse('apiVersion: required');
	if (kind === 'Deployment' || kind === 'StatefulSet') {
		if (apiVersion === 'apps/v1') return { verdict: 'workload' };
		return refuse(`apiVersion: "${apiVersion}" of ${kind} is not served; use apps/v1`);
	}
	if (apiVersion === 'v1' && kind === 'Namespace') {
		return { verdict: 'skip', warning: 'ignored: namespaces need not be created' };
	}
	if (apiVersion === 'v1' && kind === 'Service') return judgeService(document.spec);
	if (KNOWN.has(kind)) {
		const advice = REFUSED[kind];
		return refuse(`kind: ${kind} is not served by this version${advice === undefined ? '' : `; ${advice}`}`);
	}
	return refuse(`kind: "${kind}" in version "${apiVersion}" is not known; served are ${WORKLOAD_KINDS.join(' and ')}`);
}

/** A Service gives its callers a name, which every workload has anyway; what it opens to the outside is not done. */
function judgeService(spec: unknown): KindVerdict {
	const type = typeof spec === 'object' && spec !== null && 'type' in spec ? (spec.type ?? 'ClusterIP') : 'ClusterIP';
	if (type === 'ClusterIP') return { verdict: 'skip', warning: 'ignored: callers find the workload by its own name' };
	return {
		verdict: 'refuse',
		error: `spec.type: ${JSON.stringify(type)} is not served by this version; publish a container port with hostPort`,
	};
}
