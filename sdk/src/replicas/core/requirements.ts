/** What one replica of a workload needs of a host, as a tender says it. */
import { type Container, type Manifest, MeshError, type PodSpec, type Requirements, type Resources } from '../../wire/index.ts';
import { parseQuantity } from './quantity.ts';

/** Requirements of one replica. Throws `invalid_input` that names the field when a quantity is none. */
export function requirementsOf(manifest: Manifest): Requirements {
	const { spec } = manifest.spec.template;
	const { cpuMillis, memoryBytes, diskBytes } = podResources(spec);
	return {
		resources: { cpuMillis, memoryBytes, diskBytes: diskBytes + claimedBytes(manifest) },
		nodeSelector: { ...spec.nodeSelector },
		hostPorts: spec.containers.flatMap((container) =>
			(container.ports ?? []).flatMap(({ hostPort, protocol = 'TCP' }) => (hostPort === undefined ? [] : [{ port: hostPort, protocol }])),
		),
		images: [...new Set([...(spec.initContainers ?? []), ...spec.containers].map(({ image }) => image))],
	};
}

/**
 * As Kubernetes counts a pod: containers run together, so their requests add up; init containers run one at a time
 * before them, so the largest counts.
 */
function podResources(spec: PodSpec): Resources {
	const together = spec.containers.map((container, i) => containerResources(container, `spec.template.spec.containers[${i}]`));
	const before = (spec.initContainers ?? []).map((container, i) => containerResources(container, `spec.template.spec.initContainers[${i}]`));
	const total = (pick: (resources: Resources) => number) =>
		Math.max(together.reduce((sum, each) => sum + pick(each), 0), ...before.map(pick));
	return {
		cpuMillis: total(({ cpuMillis }) => cpuMillis),
		memoryBytes: total(({ memoryBytes }) => memoryBytes),
		diskBytes: total(({ diskBytes }) => diskBytes),
	};
}

/** A limit without a request is a request, as in Kubernetes. */
function containerResources({ resources }: Container, path: string): Resources {
	const amount = (name: string, unit: number): number => {
		const list = resources?.requests?.[name] === undefined ? 'limits' : 'requests';
		const text = resources?.[list]?.[name];
		return text === undefined ? 0 : Math.ceil(numberOf(text, `${path}.resources.${list}.${name}`) * unit);
	};
	return { cpuMillis: amount('cpu', 1000), memoryBytes: amount('memory', 1), diskBytes: amount('ephemeral-storage', 1) };
}

function claimedBytes(manifest: Manifest): number {
	if (manifest.kind !== 'StatefulSet') return 0;
	return (manifest.spec.volumeClaimTemplates ?? []).reduce(
		(sum, claim, i) =>
			sum + Math.ceil(numberOf(claim.spec.resources.requests.storage, `spec.volumeClaimTemplates[${i}].spec.resources.requests.storage`)),
		0,
	);
}

function numberOf(text: string, path: string): number {
	const value = parseQuantity(text);
	if (value === undefined || value < 0) throw new MeshError('invalid_input', `${path}: '${text}' is not a quantity such as 500m, 64Mi or 2`);
	return value;
}
