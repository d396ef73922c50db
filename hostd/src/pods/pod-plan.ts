/**
 * What the pod manager must know of a pod to keep it alive: restart policy, grace, probes with their targets. Worked out
 * once from the manifest and kept as a label, so that a restarted hostd goes on where its predecessor was. Pure.
 */
import { MeshError } from '@beemesh/sdk/errors';
import type { Container, Probe } from '@beemesh/sdk/wire';
import type { PodStart } from '../runtime/index.ts';
import type { RestartPolicy } from './core/container-lifecycle.ts';
import type { ProbeKind, ProbeTiming } from './core/probe-state.ts';

export type ProbeAction =
	| { readonly type: 'http'; readonly host?: string; readonly port: number; readonly path: string }
	| { readonly type: 'tcp'; readonly host?: string; readonly port: number }
	| { readonly type: 'exec'; readonly command: readonly string[] };

export interface ProbePlan {
	readonly action: ProbeAction;
	readonly timing: ProbeTiming;
}

export interface PodPlan {
	readonly restartPolicy: RestartPolicy;
	readonly graceMs: number;
	readonly createdAtMs: number;
	readonly containers: readonly {
		readonly name: string;
		readonly probes: Readonly<Partial<Record<ProbeKind, ProbePlan>>>;
	}[];
}

/** Label of the runtime's pod that holds its plan. */
export const PLAN_LABEL = 'io.beemesh.pod-plan';

const PROBES = { startup: 'startupProbe', liveness: 'livenessProbe', readiness: 'readinessProbe' } as const;

export function planPod(spec: PodStart, nowMs: number): PodPlan {
	return {
		restartPolicy: spec.pod.spec.restartPolicy ?? 'Always',
		graceMs: (spec.pod.spec.terminationGracePeriodSeconds ?? 30) * 1000,
		createdAtMs: nowMs,
		containers: spec.pod.spec.containers.map((container, index) => {
			const probes: Partial<Record<ProbeKind, ProbePlan>> = {};
			for (const kind of ['startup', 'liveness', 'readiness'] as const) {
				const probe = container[PROBES[kind]];
				const field = `spec.containers[${index}].${PROBES[kind]}`;
				if (probe) probes[kind] = { action: actionOf(spec, container, probe, field), timing: timingOf(probe) };
			}
			return { name: container.name, probes };
		}),
	};
}

/** The plan of a pod that an earlier hostd started; undefined where there is none that can be read. */
export function readPlan(labels: Readonly<Record<string, string>>): PodPlan | undefined {
	try {
		const plan = JSON.parse(labels[PLAN_LABEL] ?? '') as PodPlan;
		return Array.isArray(plan.containers) ? plan : undefined;
	} catch {
		return undefined;
	}
}

/** Kubernetes' defaults: every 10 s, 1 s to answer, three failures, one success. */
function timingOf(probe: Probe): ProbeTiming {
	return {
		initialDelayMs: (probe.initialDelaySeconds ?? 0) * 1000,
		periodMs: (probe.periodSeconds ?? 10) * 1000,
		timeoutMs: (probe.timeoutSeconds ?? 1) * 1000,
		failureThreshold: probe.failureThreshold ?? 3,
		successThreshold: probe.successThreshold ?? 1,
	};
}

function actionOf(spec: PodStart, container: Container, probe: Probe, field: string): ProbeAction {
	if (probe.exec) return { type: 'exec', command: probe.exec.command };
	if (probe.httpGet) {
		const target = targetOf(spec, container, probe.httpGet.port, `${field}.httpGet.port`);
		const path = probe.httpGet.path ?? '/';
		return { type: 'http', ...target, path: path.startsWith('/') ? path : `/${path}` };
	}
	if (probe.tcpSocket) {
		return { type: 'tcp', ...targetOf(spec, container, probe.tcpSocket.port, `${field}.tcpSocket.port`) };
	}
	throw new MeshError('invalid_input', `${field}: needs httpGet, tcpSocket or exec`);
}

/**
 * Where the host reaches a container's port: the published one; a port that is not published is tried on the pod's own
 * address. A published port is found by its name, or by its number where it has none.
 */
function targetOf(
	spec: PodStart,
	container: Container,
	port: number | string,
	field: string,
): { readonly host?: string; readonly port: number } {
	const declared = container.ports?.find((each) => each.name === port || each.containerPort === Number(port));
	const name = declared?.name ?? String(declared?.containerPort ?? port);
	const published = spec.ports.find((each) => each.protocol === 'tcp' && each.name === name);
	if (published) {
		const isWildcard = published.hostIp === '0.0.0.0' || published.hostIp === '::' || published.hostIp === '';
		return { host: isWildcard ? '127.0.0.1' : published.hostIp, port: published.host };
	}
	const number = declared?.containerPort ?? Number(port);
	if (Number.isInteger(number) && number > 0 && number < 65_536) return { port: number };
	throw new MeshError('invalid_input', `${field}: container ${container.name} has no port named '${port}'`);
}
