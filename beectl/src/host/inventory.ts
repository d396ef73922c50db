/**
 * What the hosts of the mesh say of this owner's workloads: each is asked in a session of its own, and believed only about
 * itself, and only where the owner's own signature covers it; the rest is shown as told.
 */
import type { PodStatus, WorkloadView } from '@beemesh/hostd/api';
import { isMeshError, MeshError } from '@beemesh/sdk/errors';
import { cidOf, compareCharters, type KeyPair, type OpenedRecord, openRecord, sameBytes } from '@beemesh/sdk/identity';
import {
	type Charter,
	decodeRecord,
	LIMITS,
	type MachineId,
	type Manifest,
	type Presence,
	type WorkloadId,
} from '@beemesh/sdk/wire';
import type { HostCaller, HostClient } from './client.ts';

export interface WorkloadState {
	readonly charter: Charter;
	readonly manifest: Manifest;
	/** In order of slot, newest generation first. */
	readonly pods: readonly PodStatus[];
	/** Those that run any of it. */
	readonly hosts: readonly MachineId[];
}

export interface MeshState {
	/** In order of namespace and name. */
	readonly workloads: readonly WorkloadState[];
	readonly hostsSilent: readonly MachineId[];
}

/** Past this a person would think that the command hangs; a live host answers in milliseconds. */
const ANSWER_MS = 1_500;
const AT_A_TIME = 16;

export async function readMesh(client: HostClient, owner: KeyPair, signal: AbortSignal): Promise<MeshState> {
	const { hosts } = await client.api.hosts({}, { signal });
	const ids = [...new Set([client.machine.machineId, ...hosts.map(({ machineId }) => machineId)])];
	const { answers, silent } = await askHosts(client, ids, signal, (host) =>
		host.inventory({}, { signal, timeout: ANSWER_MS }),
	);
	const found = new Map<WorkloadId, Told>();
	for (const [machineId, { workloads }] of answers) {
		for (const view of workloads) {
			const told = checked(view, machineId, owner);
			if (told === undefined) continue;
			const { wid } = told.charter.body;
			found.set(wid, merged(found.get(wid), told));
		}
	}
	const states = [...found.values()].map(({ charter, manifest, pods, hosts }): WorkloadState => {
		const sorted = pods.sort((a, b) => a.slot - b.slot || b.gen - a.gen);
		return {
			charter: charter.body,
			manifest: decodeRecord(manifest, LIMITS.manifestBytesMax) as Manifest,
			pods: sorted,
			hosts,
		};
	});
	return { workloads: states.sort((a, b) => compare(nameOf(a), nameOf(b))), hostsSilent: silent };
}

/** Asks some hosts at a time. Those that refuse or do not answer are silent; without any answer at all it rejects. */
export async function askHosts<T>(
	client: HostClient,
	hosts: readonly MachineId[],
	signal: AbortSignal,
	question: (host: HostCaller) => Promise<T>,
): Promise<{ readonly answers: ReadonlyMap<MachineId, T>; readonly silent: readonly MachineId[] }> {
	const answers = new Map<MachineId, T>();
	const silent: MachineId[] = [];
	const left = [...hosts];
	let failure: unknown;
	const work = async (): Promise<void> => {
		for (let machineId = left.shift(); machineId !== undefined; machineId = left.shift()) {
			try {
				answers.set(machineId, await question(await client.host(machineId, signal)));
			} catch (error) {
				signal.throwIfAborted();
				if (!isMeshError(error)) throw error;
				failure ??= error;
				silent.push(machineId);
			}
		}
	};
	await Promise.all(Array.from({ length: AT_A_TIME }, work));
	if (answers.size === 0 && failure !== undefined) throw failure;
	return { answers, silent };
}

/** Gives a newer charter to the hosts that run the workload. Those that miss it hear of it from its replicas. */
export async function giveCharter(
	client: HostClient,
	hosts: readonly MachineId[],
	change: { readonly charter: Uint8Array; readonly manifest?: Uint8Array },
	signal: AbortSignal,
): Promise<{ readonly hostsReached: number }> {
	const { answers } = await askHosts(client, hosts, signal, (host) => host.charter(change, { signal }));
	if (answers.size === 0) throw new MeshError('unavailable', 'no host that runs it can be reached; try again');
	return { hostsReached: answers.size };
}

/** Names of hosts by id, for people. */
export async function hostNames(api: HostCaller, signal: AbortSignal): Promise<(id: MachineId) => string> {
	const { hosts } = await api.hosts({}, { signal });
	const names = new Map(hosts.map(({ machineId, name }: Presence) => [machineId, name]));
	return (id) => names.get(id) ?? `…${id.slice(-8)}`;
}

interface Told {
	readonly charter: OpenedRecord<'charter'>;
	readonly manifest: Uint8Array;
	readonly pods: PodStatus[];
	readonly hosts: MachineId[];
}

/** Undefined: not of this owner, or not as its owner signed it. A host speaks for its own pods only. */
function checked(view: WorkloadView, machineId: MachineId, owner: KeyPair): Told | undefined {
	try {
		const charter = openRecord('charter', view.charter);
		const { wid, manifestCid } = charter.body;
		if (!sameBytes(charter.signer, owner.publicKey) || cidOf(view.manifest) !== manifestCid) return undefined;
		const pods = view.pods.filter((pod) => pod.wid === wid && pod.machineId === machineId);
		return { charter, manifest: view.manifest, pods, hosts: [machineId] };
	} catch (error) {
		if (isMeshError(error)) return undefined;
		throw error;
	}
}

/** Both hosts' pods under the newer of the two charters. */
function merged(a: Told | undefined, b: Told): Told {
	if (a === undefined) return b;
	const newer = compareCharters(b.charter.body, a.charter.body) > 0 ? b : a;
	return { ...newer, pods: [...a.pods, ...b.pods], hosts: [...a.hosts, ...b.hosts] };
}

function nameOf({ charter }: WorkloadState): string {
	return `${charter.namespace}/${charter.name}/${charter.kind}`;
}

function compare(a: string, b: string): number {
	return a < b ? -1 : Number(a > b);
}
