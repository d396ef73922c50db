/** What a host must have to run one replica of a manifest: computed the same way by `beectl` and by healing replicas. */
import type { Container, Manifest, Requirements } from '../../wire/index.ts';
import { parseCpuMillis, parseQuantity } from './quantity.ts';

interface Sum {
	cpuMillis: number;
	memoryBytes: number;
	diskBytes: number;
}

/** Throws `invalid_input` that names the field of a quantity that is none. */
export function requirementsOf(manifest: Manifest): Requirements {
	const { spec } = manifest.spec.template;
	const at = 'spec.template.spec';
	const running = spec.containers.map((c, i) => requestsOf(c, `${at}.containers[${i}]`)).reduce(add, zero());
	// Init containers run one after the other, before the others: the largest counts, not the sum (as in Kubernetes).
	const starting = (spec.initContainers ?? [])
		.map((c, i) => requestsOf(c, `${at}.initContainers[${i}]`))
		.reduce(most, zero());
	const resources = most(running, starting);
	resources.diskBytes += volumeBytes(manifest);
	const containers = [...spec.containers, ...(spec.initContainers ?? [])];
	return {
		resources,
		nodeSelector: { ...spec.nodeSelector },
		hostPorts: spec.containers.flatMap((c) =>
			(c.ports ?? []).flatMap((p) =>
				p.hostPort === undefined ? [] : [{ port: p.hostPort, protocol: p.protocol ?? 'TCP' }],
			),
		),
		images: [...new Set(containers.map((c) => c.image))],
	};
}

function requestsOf(container: Container, at: string): Sum {
	const { requests = {}, limits = {} } = container.resources ?? {};
	// A limit without a request is a request too (as in Kubernetes).
	const read = (name: string, parse: (text: string, field: string) => number): number => {
		const from = requests[name] === undefined ? 'limits' : 'requests';
		const text = requests[name] ?? limits[name];
		return text === undefined ? 0 : parse(text, `${at}.resources.${from}.${name}`);
	};
	return {
		cpuMillis: read('cpu', parseCpuMillis),
		memoryBytes: read('memory', parseQuantity),
		diskBytes: read('ephemeral-storage', parseQuantity),
	};
}

function volumeBytes(manifest: Manifest): number {
	const claims = manifest.kind === 'StatefulSet' ? (manifest.spec.volumeClaimTemplates ?? []) : [];
	return claims
		.map((c, i) =>
			parseQuantity(
				c.spec.resources.requests.storage,
				`spec.volumeClaimTemplates[${i}].spec.resources.requests.storage`,
			),
		)
		.reduce((a, b) => a + b, 0);
}

function zero(): Sum {
	return { cpuMillis: 0, memoryBytes: 0, diskBytes: 0 };
}

function add(a: Sum, b: Sum): Sum {
	return {
		cpuMillis: a.cpuMillis + b.cpuMillis,
		memoryBytes: a.memoryBytes + b.memoryBytes,
		diskBytes: a.diskBytes + b.diskBytes,
	};
}

function most(a: Sum, b: Sum): Sum {
	return {
		cpuMillis: Math.max(a.cpuMillis, b.cpuMillis),
		memoryBytes: Math.max(a.memoryBytes, b.memoryBytes),
		diskBytes: Math.max(a.diskBytes, b.diskBytes),
	};
}
