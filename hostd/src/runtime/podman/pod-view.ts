/** Podman's answers about pods and containers, as the `Runtime` contract words them. */
import { exitReason } from '../exit-reason.ts';
import type { ContainerState, ContainerStatus, PublishedPort, RuntimePod } from '../runtime.ts';
import { containerName, LABEL } from './kube-pod.ts';

export interface LibpodPod {
	readonly Id: string;
	readonly Name: string;
	readonly Labels: Readonly<Record<string, string>> | null;
	readonly InfraContainerID?: string;
	readonly Containers?: readonly { readonly Id: string; readonly Name: string; readonly State: string }[] | null;
}

export interface LibpodContainer {
	readonly Id: string;
	readonly Name: string;
	readonly ImageName: string;
	readonly IsInfra: boolean;
	readonly State: {
		readonly Status: string;
		readonly OOMKilled: boolean;
		readonly Pid: number;
		readonly ConmonPid?: number;
		readonly ExitCode: number;
		readonly StartedAt: string;
		readonly FinishedAt: string;
	};
	readonly HostConfig?: { readonly Memory?: number };
	readonly NetworkSettings?: {
		readonly Networks?: Readonly<Record<string, { readonly IPAddress?: string }>> | null;
	};
}

/** What the runtime itself needs to know besides. */
export interface PodView {
	readonly pod: RuntimePod;
	/** Podman's ids of the app's containers, by their name in the manifest. */
	readonly containerIds: ReadonlyMap<string, string>;
	readonly infra: LibpodContainer | undefined;
	/** Podman's own processes for the containers that run. */
	readonly monitorPids: readonly number[];
}

const OWN_LABELS: ReadonlySet<string> = new Set(Object.values(LABEL));

/** `wasOomKilled` is asked about a kill that Podman cannot explain, of a container with a memory limit. */
export function viewPod(
	pod: LibpodPod,
	containers: readonly LibpodContainer[],
	wasOomKilled: (container: LibpodContainer) => boolean,
): PodView {
	const podId = pod.Name;
	const labels = pod.Labels ?? {};
	const infra = containers.find(({ IsInfra }) => IsInfra);
	// Podman lists containers by their random ids, init containers among them.
	const apps = (labels[LABEL.containers]?.split(',') ?? []).flatMap((name) => {
		const container = containers.find(({ Name }) => Name === containerName(podId, name));
		return container ? [{ name, container }] : [];
	});
	return {
		pod: {
			podId,
			labels: Object.fromEntries(Object.entries(labels).filter(([name]) => !OWN_LABELS.has(name))),
			containers: apps.map(
				({ name, container }): ContainerStatus => ({
					name,
					image: container.ImageName,
					state: stateOf(container, wasOomKilled),
				}),
			),
			ports: portsOf(labels[LABEL.ports]),
			addresses: addressesOf(infra),
		},
		containerIds: new Map(apps.map(({ name, container }) => [name, container.Id])),
		infra,
		monitorPids: containers.flatMap(({ State }) => State.ConmonPid || []),
	};
}

function stateOf(container: LibpodContainer, wasOomKilled: (container: LibpodContainer) => boolean): ContainerState {
	const { State: state, HostConfig } = container;
	const isUnexplained = state.ExitCode === 137 && !state.OOMKilled && (HostConfig?.Memory ?? 0) > 0;
	switch (state.Status) {
		case 'running':
		case 'paused':
		case 'stopping':
			return { state: 'running', startedAtMs: Date.parse(state.StartedAt), pid: state.Pid };
		case 'exited':
		case 'stopped':
		case 'removing':
			return {
				state: 'exited',
				exitCode: state.ExitCode,
				reason:
					state.OOMKilled || (isUnexplained && wasOomKilled(container)) ? 'OOMKilled' : exitReason(state.ExitCode),
				finishedAtMs: Date.parse(state.FinishedAt),
			};
		default:
			return { state: 'waiting', reason: 'ContainerCreating' };
	}
}

function portsOf(label: string | undefined): readonly PublishedPort[] {
	if (label === undefined) return [];
	return JSON.parse(label) as PublishedPort[];
}

function addressesOf(container: LibpodContainer | undefined): string[] {
	if (container?.State.Status !== 'running') return [];
	const networks = Object.values(container.NetworkSettings?.Networks ?? {});
	return networks.flatMap(({ IPAddress }) => (IPAddress ? [IPAddress] : []));
}
