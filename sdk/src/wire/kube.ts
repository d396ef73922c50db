/**
 * The part of the Kubernetes object model that crosses the mesh: what `beectl` validated and the hosts run.
 * Field names are Kubernetes'. Quantities are already numbers where a comment says so.
 */
export interface ObjectMeta {
	readonly name: string;
	readonly namespace: string;
	readonly labels?: Readonly<Record<string, string>>;
	readonly annotations?: Readonly<Record<string, string>>;
}

export interface EnvVar {
	readonly name: string;
	readonly value?: string;
	readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } };
}

export interface ContainerPort {
	readonly name?: string;
	readonly containerPort: number;
	readonly protocol?: 'TCP' | 'UDP';
	readonly hostPort?: number;
}

export interface VolumeMount {
	readonly name: string;
	readonly mountPath: string;
	readonly readOnly?: boolean;
}

export interface Probe {
	readonly httpGet?: { readonly path?: string; readonly port: number | string };
	readonly tcpSocket?: { readonly port: number | string };
	readonly exec?: { readonly command: readonly string[] };
	readonly initialDelaySeconds?: number;
	readonly periodSeconds?: number;
	readonly timeoutSeconds?: number;
	readonly failureThreshold?: number;
	readonly successThreshold?: number;
}

/** What containers and pods may say alike about their confinement. */
interface Confinement {
	readonly runAsUser?: number;
	readonly runAsGroup?: number;
	readonly runAsNonRoot?: boolean;
	readonly seccompProfile?: { readonly type: 'RuntimeDefault' };
}

export interface SecurityContext extends Confinement {
	readonly allowPrivilegeEscalation?: boolean;
	readonly readOnlyRootFilesystem?: boolean;
	/** Needs the policy of the host. */
	readonly privileged?: boolean;
	/** Adding needs the policy of the host. */
	readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] };
}

export interface PodSecurityContext extends Confinement {
	readonly fsGroup?: number;
}

export interface Container {
	readonly name: string;
	readonly image: string;
	readonly imagePullPolicy?: 'Always' | 'IfNotPresent' | 'Never';
	readonly command?: readonly string[];
	readonly args?: readonly string[];
	readonly workingDir?: string;
	readonly env?: readonly EnvVar[];
	readonly ports?: readonly ContainerPort[];
	readonly volumeMounts?: readonly VolumeMount[];
	readonly resources?: {
		readonly requests?: Readonly<Record<string, string>>;
		readonly limits?: Readonly<Record<string, string>>;
	};
	readonly livenessProbe?: Probe;
	readonly readinessProbe?: Probe;
	readonly startupProbe?: Probe;
	readonly securityContext?: SecurityContext;
}

export interface Volume {
	readonly name: string;
	readonly emptyDir?: { readonly sizeLimit?: string };
	readonly persistentVolumeClaim?: { readonly claimName: string };
	/** Needs the policy of the host. Of what is there already: nothing is made. */
	readonly hostPath?: {
		readonly path: string;
		readonly type?: '' | 'Directory' | 'File' | 'Socket' | 'CharDevice' | 'BlockDevice';
	};
}

export interface PodSpec {
	readonly containers: readonly Container[];
	readonly initContainers?: readonly Container[];
	readonly volumes?: readonly Volume[];
	readonly restartPolicy?: 'Always' | 'OnFailure' | 'Never';
	readonly terminationGracePeriodSeconds?: number;
	readonly hostname?: string;
	readonly nodeSelector?: Readonly<Record<string, string>>;
	readonly securityContext?: PodSecurityContext;
	/** Needs the policy of the host. */
	readonly hostNetwork?: boolean;
}

export interface Pod {
	readonly apiVersion: 'v1';
	readonly kind: 'Pod';
	readonly metadata: ObjectMeta;
	readonly spec: PodSpec;
}

export interface PodTemplate {
	readonly metadata?: {
		readonly labels?: Readonly<Record<string, string>>;
		readonly annotations?: Readonly<Record<string, string>>;
	};
	readonly spec: PodSpec;
}

interface WorkloadSpec {
	/** Default 1. */
	readonly replicas?: number;
	readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
	readonly template: PodTemplate;
}

export interface Deployment {
	readonly apiVersion: 'apps/v1';
	readonly kind: 'Deployment';
	readonly metadata: ObjectMeta;
	readonly spec: WorkloadSpec & {
		readonly strategy?: {
			readonly type?: 'RollingUpdate' | 'Recreate';
			readonly rollingUpdate?: { readonly maxSurge?: number | string; readonly maxUnavailable?: number | string };
		};
	};
}

export interface VolumeClaimTemplate {
	readonly metadata: { readonly name: string };
	readonly spec: {
		readonly accessModes?: readonly string[];
		readonly resources: { readonly requests: { readonly storage: string } };
	};
}

export interface StatefulSet {
	readonly apiVersion: 'apps/v1';
	readonly kind: 'StatefulSet';
	readonly metadata: ObjectMeta;
	readonly spec: WorkloadSpec & {
		readonly serviceName?: string;
		readonly podManagementPolicy?: 'OrderedReady' | 'Parallel';
		readonly volumeClaimTemplates?: readonly VolumeClaimTemplate[];
		/** `whenDeleted: Delete` removes the volumes with the workload. Default Retain, as in Kubernetes. */
		readonly persistentVolumeClaimRetentionPolicy?: {
			readonly whenDeleted?: 'Retain' | 'Delete';
			readonly whenScaled?: 'Retain' | 'Delete';
		};
	};
}

/** What runs as a workload. */
export type Manifest = Deployment | StatefulSet;
