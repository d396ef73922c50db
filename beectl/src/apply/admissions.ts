/**
 * Who may join: the answer to each admission request of a placement. No I/O.
 *
 * Invariant: one award admits one replica. The same request again gets the same answer; another one only from a
 * container that was started again in place.
 */
import type { AdmitRequest, MemberHint, PlaceEvent } from '@beemesh/sdk/api';
import { MeshError } from '@beemesh/sdk/errors';
import {
	certify,
	type OpenedBundle,
	type OpenedMesh,
	openAdmission,
	openMachineCredential,
} from '@beemesh/sdk/identity';
import type { MachineId, SlotGen } from '@beemesh/sdk/wire';

type CsrEvent = Extract<PlaceEvent, { type: 'csr' }>;
type AwardedEvent = Extract<PlaceEvent, { type: 'awarded' }>;

interface Admitted {
	readonly incarnation: number;
	readonly request: AdmitRequest;
	readonly member: MemberHint;
}

export class Admissions {
	readonly #bundle: OpenedBundle;
	readonly #mesh: OpenedMesh;
	readonly #foundingSlots: number;
	readonly #awards = new Map<string, SlotGen & { readonly machineId: MachineId }>();
	readonly #admitted = new Map<string, Admitted>();

	constructor(bundle: OpenedBundle, mesh: OpenedMesh, foundingSlots: number) {
		this.#bundle = bundle;
		this.#mesh = mesh;
		this.#foundingSlots = foundingSlots;
	}

	awarded({ awardId, slot, gen, machineId }: AwardedEvent): void {
		// A slot that is awarded again was lost where it was awarded before.
		for (const [id, award] of this.#awards) if (award.slot === slot) this.#awards.delete(id);
		this.#awards.set(awardId, { slot, gen, machineId });
	}

	/** The answer to send; what is wrong with a request is in the answer, for the host and its pod to read. */
	answer(event: CsrEvent, nowMs: number): AdmitRequest {
		const machine = openMachineCredential(event.credential, this.#mesh, nowMs);
		const { machineId } = machine;
		const { csr } = openAdmission(event.csr, event.statement, machine);
		const { body, cid } = csr;
		const refuse = (reason: string): AdmitRequest => ({
			awardId: event.awardId,
			csrCid: cid,
			answer: { admitted: false, reason },
		});
		const award = this.#awards.get(event.awardId);
		if (award === undefined) return refuse('there is no such award, or its slot has been awarded again');
		if (machineId !== award.machineId) return refuse('the award is of another machine');
		if (body.awardId !== event.awardId || body.wid !== this.#bundle.wid)
			return refuse('the request is for another award or workload');
		if (body.slot !== award.slot || body.gen !== award.gen)
			return refuse('the request is for another slot or generation');
		const before = this.#admitted.get(event.awardId);
		if (before?.request.csrCid === cid) return before.request;
		if (before !== undefined && body.incarnation <= before.incarnation)
			return refuse('another replica was admitted on this award');
		const members = [...this.#admitted.values()].map(({ member }) => member).filter(({ slot }) => slot !== body.slot);
		const cert = certify(this.#bundle.charter.body, body, machineId, this.#bundle.tenderKey, nowMs);
		const request: AdmitRequest = {
			awardId: event.awardId,
			csrCid: cid,
			answer: { admitted: true, cert, members, foundingSlots: this.#foundingSlots },
		};
		const { replicaId, slot, gen, addresses } = body;
		for (const [id, { member }] of this.#admitted) if (member.slot === slot) this.#admitted.delete(id);
		this.#admitted.set(event.awardId, {
			incarnation: body.incarnation,
			request,
			member: { replicaId, slot, gen, addresses },
		});
		return request;
	}

	get slotsAdmitted(): readonly number[] {
		return [...this.#admitted.values()].map(({ member }) => member.slot).sort((a, b) => a - b);
	}
}

/** What `answer` throws when an event is no admission request at all. */
export function isForged(error: unknown): error is MeshError {
	return error instanceof MeshError && (error.code === 'unauthorized' || error.code === 'invalid_input');
}
