/** What a pod finds around it: the context that its replica asks for, and its environment. Pure. */
import { join } from 'node:path';
import type { PodContext } from '@beemesh/sdk/api';
import type { OpenedBundle } from '@beemesh/sdk/identity';
import type { HostConfig } from '../config.ts';
import type { RuntimeCapabilities } from '../runtime/index.ts';
import { MESH_PORT, portEnvironment } from './ports.ts';
import type { HostedPod } from './registry.ts';

/** Where pods listen, and where others reach them. */
export type Place = Pick<HostConfig, 'bind' | 'advertise'>;
/** What the host says of itself. */
export type HostFacts = Pick<
	PodContext,
	'machineId' | 'machineAddresses' | 'machineName' | 'zone' | 'meshGenesis' | 'meshEpoch'
>;

/** False for a pod on the host's own network. */
export function isolatesNetwork(capabilities: RuntimeCapabilities, { manifest }: OpenedBundle): boolean {
	return capabilities.isolatesNetwork && manifest.spec.template.spec.hostNetwork !== true;
}

/** `isIsolated`: in a network of its own. */
export function contextOf(
	pod: HostedPod,
	host: HostFacts,
	{ bind, advertise = bind }: Place,
	{ isIsolated, incarnation }: { readonly isIsolated: boolean; readonly incarnation: number },
): PodContext {
	const mesh = pod.ports.find(({ name }) => name === MESH_PORT);
	// A loopback address of the host means another machine, the pod itself, inside a network of its own.
	const isAnnounced =
		mesh !== undefined && !(isIsolated && isLoopback(advertise)) && (isIsolated || advertise !== bind);
	return {
		...host,
		slot: pod.award.slot,
		gen: pod.award.gen,
		incarnation,
		award: pod.award,
		bundle: pod.bundle.bundle,
		listen: mesh === undefined ? [] : [quicAddress(isIsolated ? '0.0.0.0' : bind, mesh.container)],
		announce: isAnnounced ? [quicAddress(advertise, mesh.host)] : [],
	};
}

/**
 * `folders`: on the host. `isContained`: whoever gives a pod a network of its own gives it a view of the file system of
 * its own too.
 */
export function environmentOf(
	pod: HostedPod,
	folders: { readonly socket: string; readonly private: string },
	{ isContained, listenIp }: { readonly isContained: boolean; readonly listenIp: string },
): Record<string, string> {
	return {
		BEEMESH_SOCKET: isContained ? '/run/beemesh/pod.sock' : join(folders.socket, 'pod.sock'),
		BEEMESH_PRIVATE_DIR: isContained ? '/run/beemesh-private' : folders.private,
		BEEMESH_BIND: listenIp,
		BEEMESH_POD: pod.name,
		...portEnvironment(pod.ports),
	};
}

function quicAddress(ip: string, port: number): string {
	return `/${ip.includes(':') ? 'ip6' : 'ip4'}/${ip}/udp/${port}/quic-v1`;
}

function isLoopback(ip: string): boolean {
	return ip.startsWith('127.') || ip === '::1';
}
