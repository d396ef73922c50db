/** What an owner sees of a pod. */
import type { MachineId } from '@beemesh/sdk/wire';
import type { PodStatus } from '../api/contract.ts';
import type { PodReport } from '../pods/index.ts';
import { MESH_PORT } from './ports.ts';
import type { HostedPod } from './registry.ts';

/**
 * A replica is ready when its process runs, its probes pass, and it says so itself; one of a plain image never will.
 * Whoever sees a pod ready sees a deployment that has ended.
 */
export function isReady(pod: HostedPod, managed: PodReport | undefined): boolean {
	if (pod.leaving !== '' || managed === undefined || !managed.isReady) return false;
	return pod.embedsSdk ? pod.announced?.ready === true : pod.isPlain;
}

export function statusOf(
	pod: HostedPod,
	managed: PodReport | undefined,
	machine: { readonly machineId: MachineId; readonly name: string },
): PodStatus {
	const { charter } = pod.bundle;
	const { award, announced } = pod;
	return {
		podId: pod.podId,
		name: pod.name,
		namespace: charter.body.namespace,
		kind: charter.body.kind,
		workload: charter.body.name,
		wid: award.wid,
		owner: charter.body.owner,
		slot: award.slot,
		gen: award.gen,
		award,
		phase: pod.leaving === '' ? (managed?.phase ?? 'Pending') : 'Terminating',
		reason: pod.leaving === '' ? (managed?.reason ?? '') : pod.leaving,
		ready: isReady(pod, managed),
		role: announced?.role ?? '',
		...(announced === undefined ? {} : { replicaId: announced.replicaId }),
		restarts: managed?.restarts ?? 0,
		createdAtMs: pod.createdAtMs,
		machineId: machine.machineId,
		machineName: machine.name,
		image: pod.bundle.manifest.spec.template.spec.containers.map(({ image }) => image).join(','),
		endpoints: pod.ports
			.filter(({ name }) => name !== MESH_PORT)
			.map(({ name, protocol, hostIp, host, container }) => ({
				name,
				protocol,
				address: hostIp.includes(':') ? `[${hostIp}]:${host}` : `${hostIp}:${host}`,
				containerPort: container,
			})),
		era: charter.body.era,
		manifestCid: pod.award.manifestCid,
		pids: pidsOf(managed),
	};
}

/** How its containers ended, for whoever asks why it does not run; empty when none has. */
export function endsOf(managed: PodReport | undefined): string {
	const ends = (managed?.containers ?? []).flatMap(({ name, state }) =>
		state.state === 'exited' ? [`container ${name} ended with ${state.exitCode} (${state.reason})`] : [],
	);
	const restarts = managed?.restarts ?? 0;
	if (restarts > 0) ends.push(`${restarts} restart${restarts === 1 ? '' : 's'}`);
	return ends.join(', ');
}

/** Processes that run now. */
export function pidsOf(managed: PodReport | undefined): number[] {
	return (managed?.containers ?? []).flatMap(({ state }) => (state.state === 'running' ? [state.pid] : []));
}
