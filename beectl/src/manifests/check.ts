/** What a schema cannot see: fields that must fit together. Paths and messages as in `fields.ts`. */
import type { Container, Manifest, Probe } from '@beemesh/sdk/wire';

export interface Finding {
	readonly path: string;
	readonly message: string;
}

export function checkWorkload(manifest: Manifest): readonly Finding[] {
	const findings: Finding[] = [];
	const add = (path: string, message: string) => findings.push({ path, message });
	const { selector, template } = manifest.spec;
	const labels = template.metadata?.labels ?? {};
	for (const [name, value] of Object.entries(selector.matchLabels)) {
		if (labels[name] === value) continue;
		add(
			'spec.selector',
			`does not match the template's labels: ${name}=${value} is not in spec.template.metadata.labels`,
		);
	}
	const { containers, initContainers = [], volumes = [] } = template.spec;
	const claims = manifest.kind === 'StatefulSet' ? (manifest.spec.volumeClaimTemplates ?? []) : [];
	const everyContainer = [
		...initContainers.map((container, i) => ({ container, at: `spec.template.spec.initContainers[${i}]` })),
		...containers.map((container, i) => ({ container, at: `spec.template.spec.containers[${i}]` })),
	];
	const unique = (entries: readonly (readonly [path: string, name: string])[]) => {
		const seen = new Set<string>();
		for (const [path, name] of entries) {
			if (seen.has(name)) add(path, `"${name}" is used twice`);
			seen.add(name);
		}
	};
	unique(everyContainer.map(({ container, at }) => [`${at}.name`, container.name]));
	unique([
		...volumes.map(({ name }, i) => [`spec.template.spec.volumes[${i}].name`, name] as const),
		...claims.map(({ metadata }, i) => [`spec.volumeClaimTemplates[${i}].metadata.name`, metadata.name] as const),
	]);
	for (const [i, volume] of volumes.entries()) {
		if ([volume.emptyDir, volume.persistentVolumeClaim, volume.hostPath].filter(Boolean).length > 1)
			add(`spec.template.spec.volumes[${i}]`, 'must have one source only');
	}
	const ports = everyContainer.flatMap(({ container, at }) =>
		(container.ports ?? []).map((port, i) => ({ port, at: `${at}.ports[${i}]` })),
	);
	unique(ports.map(({ port, at }) => [`${at}.containerPort`, `${port.containerPort}/${port.protocol ?? 'TCP'}`]));
	unique(
		ports.flatMap(({ port, at }) =>
			port.hostPort === undefined ? [] : [[`${at}.hostPort`, `${port.hostPort}/${port.protocol ?? 'TCP'}`] as const],
		),
	);
	const volumeNames = new Set([...volumes.map(({ name }) => name), ...claims.map(({ metadata }) => metadata.name)]);
	for (const { container, at } of everyContainer) {
		unique(
			(container.ports ?? []).flatMap(({ name }, i) =>
				name === undefined ? [] : [[`${at}.ports[${i}].name`, name] as const],
			),
		);
		unique((container.volumeMounts ?? []).map(({ mountPath }, i) => [`${at}.volumeMounts[${i}].mountPath`, mountPath]));
		for (const [i, { name }] of (container.volumeMounts ?? []).entries()) {
			if (!volumeNames.has(name)) add(`${at}.volumeMounts[${i}].name`, `there is no volume "${name}"`);
		}
		for (const [i, variable] of (container.env ?? []).entries()) {
			if (variable.value !== undefined && variable.valueFrom !== undefined)
				add(`${at}.env[${i}]`, 'must have value or valueFrom, not both');
		}
		for (const name of ['livenessProbe', 'readinessProbe', 'startupProbe'] as const) {
			const probe = container[name];
			if (probe !== undefined) checkProbe(probe, container, `${at}.${name}`, add);
		}
	}
	const claimNames = new Set(claims.map(({ metadata }) => metadata.name));
	for (const [i, volume] of volumes.entries()) {
		if (claimNames.has(volume.name)) continue;
		if (manifest.kind === 'Deployment' && volume.persistentVolumeClaim && (manifest.spec.replicas ?? 1) > 1) {
			add(
				`spec.template.spec.volumes[${i}].persistentVolumeClaim`,
				'replicas cannot share one volume; use a StatefulSet with volumeClaimTemplates',
			);
		}
	}
	return findings;
}

function checkProbe(
	probe: Probe,
	container: Container,
	at: string,
	add: (path: string, message: string) => void,
): void {
	const actions = (['httpGet', 'tcpSocket', 'exec'] as const).filter((action) => probe[action] !== undefined);
	if (actions.length !== 1)
		add(
			at,
			`must have one of httpGet, tcpSocket or exec, not ${actions.length === 0 ? 'none' : actions.join(' and ')}`,
		);
	const action = probe.httpGet === undefined ? 'tcpSocket' : 'httpGet';
	const port = (probe.httpGet ?? probe.tcpSocket)?.port;
	if (typeof port === 'string' && !(container.ports ?? []).some(({ name }) => name === port)) {
		add(`${at}.${action}.port`, `there is no container port "${port}"`);
	}
	if (!at.endsWith('.readinessProbe') && (probe.successThreshold ?? 1) !== 1)
		add(`${at}.successThreshold`, 'must be 1');
}
