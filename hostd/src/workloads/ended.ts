/**
 * Deletions, remembered for hosts that were away: one that comes back adopts its pods under the charter it knew, and its
 * replicas would bring the deleted workload back to its full count. In memory only, like all that hosts know together.
 */
import { MeshError } from '@beemesh/sdk/errors';
import { type OpenedRecord, openWorkloadEnd } from '@beemesh/sdk/identity';
import type { WorkloadId } from '@beemesh/sdk/wire';

/** As long as a partitioned host is dialled again by the others' replicas. */
const REMEMBERED_MS = 24 * 60 * 60_000;
/** About six megabytes; the oldest go first. */
const ENDED_MAX = 1_024;

interface Ended {
	readonly era: number;
	readonly envelope: Uint8Array;
	readonly sinceMs: number;
}

export class EndedWorkloads {
	readonly #ended = new Map<WorkloadId, Ended>();

	/** Takes the end of a workload. Throws unless its owner signed it. */
	note(envelope: Uint8Array, nowMs: number): OpenedRecord<'workload-end'> {
		const end = openWorkloadEnd(envelope, nowMs);
		const { wid, era } = end.body;
		if ((this.#ended.get(wid)?.era ?? -1) >= era) return end;
		// At the end of the order of insertion.
		this.#ended.delete(wid);
		this.#ended.set(wid, { era, envelope, sinceMs: nowMs });
		for (const [oldest, { sinceMs }] of this.#ended) {
			if (this.#ended.size <= ENDED_MAX && nowMs - sinceMs < REMEMBERED_MS) break;
			this.#ended.delete(oldest);
		}
		return end;
	}

	/** What a host that comes back has to hear. */
	envelopes(): Uint8Array[] {
		return [...this.#ended.values()].map(({ envelope }) => envelope);
	}

	/** Throws `conflict` for a charter of a workload that was deleted under a newer one. Applied again, it is newer. */
	refuse(wid: WorkloadId, era: number): void {
		const ended = this.#ended.get(wid);
		if (ended !== undefined && era <= ended.era)
			throw new MeshError('conflict', 'the workload has been deleted under a newer charter; apply it again');
	}
}
