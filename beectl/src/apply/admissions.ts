/**
 * Who may join: the answer to each admission request of a placement. The owner signs one epoch after the other, each with
 * one member more; from then on members admit members. No I/O.
 *
 * Invariant: one award admits one replica. The same request again gets the same answer, and no other gets any.
 */
import type { AdmitRequest, MemberHint, PlaceEvent } from '@beemesh/sdk/api';
import { MeshError } from '@beemesh/sdk/errors';
import {
	createGroupKey,
	EpochChain,
	foundingEpoch,
	groupKeyCommit,
	type KemKeyPair,
	linkOf,
	type OpenedMachine,
	type OpenedRecord,
	openAdmission,
	openPapers,
	openReplicaCert,
	requireAsRequested,
	requireSelected,
	sealAdmission,
	signRecordPart,
} from '@beemesh/sdk/identity';
import type { MachineId, SlotGen } from '@beemesh/sdk/wire';
import type { NewWorkload } from './records.ts';

type CsrEvent = Extract<PlaceEvent, { type: 'csr' }>;
type AwardedEvent = Extract<PlaceEvent, { type: 'awarded' }>;

interface Admitted {
	readonly request: AdmitRequest;
	readonly member: MemberHint;
}

export class Admissions {
	readonly #workload: NewWorkload;
	readonly #machineOf: (credential: Uint8Array) => OpenedMachine;
	readonly #foundingSlots: number;
	readonly #replies: KemKeyPair;
	readonly #awards = new Map<string, SlotGen & { readonly machineId: MachineId }>();
	readonly #admitted = new Map<string, Admitted>();
	#chain: EpochChain | undefined;

	/** `replies`: to which the papers of replicas are sealed. */
	constructor(
		workload: NewWorkload,
		machineOf: (credential: Uint8Array) => OpenedMachine,
		foundingSlots: number,
		replies: KemKeyPair,
	) {
		this.#replies = replies;
		this.#workload = workload;
		this.#machineOf = machineOf;
		this.#foundingSlots = foundingSlots;
	}

	awarded({ awardId, slot, gen, machineId }: AwardedEvent): void {
		// A slot that is awarded again was lost where it was awarded before.
		for (const [id, award] of this.#awards) if (award.slot === slot) this.#awards.delete(id);
		this.#awards.set(awardId, { slot, gen, machineId });
	}

	/** The answer to send; what is wrong with a request is in the answer, for the host and its pod to read. */
	answer(event: CsrEvent, nowMs: number): AdmitRequest {
		const { bundle } = this.#workload;
		const machine = this.#machineOf(event.credential);
		const { machineId } = machine;
		const papers = openPapers(event.papers, event.awardId, this.#replies);
		const { csr, statement } = openAdmission(papers.csr, event.statement, machine);
		const { body, cid } = csr;
		const refuse = (reason: string): AdmitRequest => ({
			awardId: event.awardId,
			csrCid: cid,
			answer: { admitted: false, reason },
		});
		const award = this.#awards.get(event.awardId);
		if (award === undefined) return refuse('there is no such award, or its slot has been awarded again');
		if (machineId !== award.machineId) return refuse('the award is of another machine');
		if (body.awardId !== event.awardId || body.wid !== bundle.wid)
			return refuse('the request is for another award or workload');
		if (body.slot !== award.slot || body.gen !== award.gen)
			return refuse('the request is for another slot or generation');
		const { manifestCid } = statement.body;
		if (manifestCid !== bundle.charter.body.manifestCid)
			return refuse('the host says that it runs something else than what was applied');
		requireSelected(bundle.manifest, machine);
		const before = this.#admitted.get(event.awardId);
		if (before?.request.csrCid === cid) return before.request;
		if (before !== undefined) return refuse('another replica was admitted on this award');
		const cert = openReplicaCert(papers.cert);
		requireAsRequested(cert, csr, { machineId, manifestCid });
		let sealed: Uint8Array;
		try {
			sealed = this.#admit(cert, nowMs);
		} catch (error) {
			// A slot that was admitted, lost, and awarded again under its generation: the members that are in see to it.
			if (!isForged(error)) throw error;
			return refuse(error.message);
		}
		const members = [...this.#admitted.values()].map(({ member }) => member).filter(({ slot }) => slot !== body.slot);
		const request: AdmitRequest = {
			awardId: event.awardId,
			csrCid: cid,
			answer: { admitted: true, sealed, members, foundingSlots: this.#foundingSlots },
		};
		const { replicaId, slot, gen, addresses } = body;
		this.#admitted.set(event.awardId, { request, member: { replicaId, slot, gen, addresses } });
		return request;
	}

	/** The next epoch, and what the newcomer is told. */
	#admit({ envelope: cert, body }: OpenedRecord<'replica-cert'>, nowMs: number): Uint8Array {
		const { bundle, owner, tenderKey } = this.#workload;
		const groupKey = createGroupKey();
		const options = { tsMs: nowMs, groupKeyCommit: groupKeyCommit(groupKey) };
		const draft =
			this.#chain === undefined
				? foundingEpoch(bundle.charter.body, [cert], { ...options, vacant: this.#vacantBefore(body) })
				: this.#chain.draft([{ type: 'admit', cert }], options);
		const link = linkOf(draft, [signRecordPart('epoch', draft.body, owner.signer)]);
		if (this.#chain === undefined) this.#chain = EpochChain.found(bundle.charter, link, nowMs);
		else this.#chain.offer([link], nowMs);
		const secrets = { psk: owner.psk, groupKey, tenderSecret: tenderKey.seed };
		return sealAdmission({ links: [...this.#chain.linksSince(-1)], ...secrets }, body.kemKey);
	}

	/** What ended before this placement had the generation before, in every slot. */
	#vacantBefore({ slot: first, gen }: SlotGen): SlotGen[] {
		if (gen === 1) return [];
		const { replicas } = this.#workload.bundle.charter.body;
		const slots = Array.from({ length: replicas }, (_, slot) => slot);
		return slots.filter((slot) => slot !== first).map((slot) => ({ slot, gen: gen - 1 }));
	}

	get slotsAdmitted(): readonly number[] {
		return [...this.#admitted.values()].map(({ member }) => member.slot).sort((a, b) => a - b);
	}
}

/** What `answer` throws when an event is no admission request at all. */
export function isForged(error: unknown): error is MeshError {
	return error instanceof MeshError && (error.code === 'unauthorized' || error.code === 'invalid_input');
}
