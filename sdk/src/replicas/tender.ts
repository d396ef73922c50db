/** Makes a signed tender from a workload's bundle: the one way for `beectl` (first apply) and for replicas (healing). */
import { randomBytes } from 'node:crypto';
import { createUlid } from '../identity/ulid.ts';
import { type OpenedBundle, signTender } from '../identity/workload.ts';
import type { MachineId, SlotGen, Tender } from '../wire/index.ts';
import { requirementsOf } from './core/requirements.ts';

/** A tender may be acted upon for this long. */
const TENDER_TTL_MS = 30_000;

export interface TenderRequest {
	readonly bundle: OpenedBundle;
	/** Default: a new one. */
	readonly tenderId?: string;
	readonly slots: readonly SlotGen[];
	/** The host that collects the bids. */
	readonly requester: MachineId;
	readonly requesterAddresses: readonly string[];
	/** Must not be used. Default none. */
	readonly avoidHard?: readonly MachineId[];
	/** Machines of the live replicas, one entry per replica: used, but at a lower score. Default none. */
	readonly runningOn?: readonly MachineId[];
	/** Default 0. */
	readonly priority?: number;
	readonly nowMs: number;
}

/** Throws `invalid_input` when the manifest asks for what is no quantity. */
export function tenderFor(request: TenderRequest): { readonly tenderId: string; readonly envelope: Uint8Array } {
	const { bundle, nowMs } = request;
	const replicasOn = new Map<MachineId, number>();
	for (const id of request.runningOn ?? []) replicasOn.set(id, (replicasOn.get(id) ?? 0) + 1);
	const { tenderId = createUlid(nowMs) } = request;
	const body: Omit<Tender, 'nonce'> = {
		tenderId,
		wid: bundle.wid,
		grant: bundle.bundle.grant,
		slots: [...request.slots],
		manifestCid: bundle.charter.body.manifestCid,
		requirements: requirementsOf(bundle.manifest),
		priority: request.priority ?? 0,
		avoid: {
			hard: [...(request.avoidHard ?? [])],
			soft: [...replicasOn].map(([machineId, replicas]) => ({ machineId, replicas })),
		},
		requester: request.requester,
		requesterAddresses: [...request.requesterAddresses],
		ts: nowMs,
		exp: nowMs + TENDER_TTL_MS,
	};
	return { tenderId, envelope: signTender(body, new Uint8Array(randomBytes(16)), bundle.tenderKey) };
}
