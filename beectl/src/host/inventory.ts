/** What the mesh knows of this owner's workloads, with every charter verified. */
import { randomBytes } from 'node:crypto';
import type { PodStatus } from '@beemesh/hostd/api';
import { cidOf, type KeyPair, openRecord, ownerIdOf, sameBytes, signRecord } from '@beemesh/sdk/identity';
import {
	type Charter,
	decodeRecord,
	LIMITS,
	type MachineId,
	type Manifest,
	type OwnerRequest,
	type Presence,
	type WorkloadId,
} from '@beemesh/sdk/wire';
import type { HostCaller } from './client.ts';

export interface WorkloadState {
	readonly charter: Charter;
	readonly manifest: Manifest;
	/** In order of slot, newest generation first. */
	readonly pods: readonly PodStatus[];
}

export interface MeshState {
	/** In order of namespace and name. */
	readonly workloads: readonly WorkloadState[];
	readonly hostsSilent: readonly MachineId[];
}

const REQUEST_TTL_MS = 60_000;

/** Proof to a host that the owner asks. */
export function ownerRequest(owner: KeyPair, verb: OwnerRequest['verb'], nowMs: number, wid?: WorkloadId): Uint8Array {
	const nonce = new Uint8Array(randomBytes(16));
	const body: OwnerRequest = { owner: ownerIdOf(owner.publicKey), verb, ts: nowMs, nonce, exp: nowMs + REQUEST_TTL_MS };
	return signRecord('owner-request', wid === undefined ? body : { ...body, wid }, owner);
}

/** What a host tells is believed only where the owner's own signature covers it; the rest is shown as told. */
export async function readMesh(
	api: HostCaller,
	owner: KeyPair,
	nowMs: number,
	signal: AbortSignal,
): Promise<MeshState> {
	const { workloads, hostsSilent } = await api.inventory({ request: ownerRequest(owner, 'list', nowMs) }, { signal });
	const states = workloads.flatMap((view): WorkloadState[] => {
		const { body: charter, signer } = openRecord('charter', view.charter);
		if (!sameBytes(signer, owner.publicKey) || cidOf(view.manifest) !== charter.manifestCid) return [];
		const manifest = decodeRecord(view.manifest, LIMITS.manifestBytesMax) as Manifest;
		const pods = view.pods.filter(({ wid }) => wid === charter.wid).sort((a, b) => a.slot - b.slot || b.gen - a.gen);
		return [{ charter, manifest, pods }];
	});
	return { workloads: states.sort((a, b) => compare(nameOf(a), nameOf(b))), hostsSilent };
}

/** Names of hosts by id, for people. */
export async function hostNames(api: HostCaller, signal: AbortSignal): Promise<(id: MachineId) => string> {
	const { hosts } = await api.hosts({}, { signal });
	const names = new Map(hosts.map(({ machineId, name }: Presence) => [machineId, name]));
	return (id) => names.get(id) ?? `…${id.slice(-8)}`;
}

function nameOf({ charter }: WorkloadState): string {
	return `${charter.namespace}/${charter.name}/${charter.kind}`;
}

function compare(a: string, b: string): number {
	return a < b ? -1 : Number(a > b);
}
