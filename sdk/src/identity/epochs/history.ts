/**
 * The epochs that one party keeps: the owner's last one, those of the members since, and the certificates that it takes to
 * judge them again. Of a member that has come and gone without signing anything, no certificate is kept.
 */
import { MeshError } from '../../errors.ts';
import { type EpochLink, LIMITS, type RecordCid } from '../../wire/index.ts';
import { peekRecord } from '../records.ts';
import type { EpochPeek, Step } from './judge.ts';
import type { Member, ReplicaCertRecord } from './members.ts';

/** Envelopes of epochs and certificates that are kept. Of more, the oldest after the owner's are forgotten. */
export const HISTORY_BYTES_MAX = 32 * 1024 * 1024;

/** One epoch of the members, in short: bodies of many would be large. */
interface Kept {
	readonly e: number;
	readonly cid: RecordCid;
	readonly envelope: Uint8Array;
	readonly signerCerts: readonly RecordCid[];
}

export class History {
	/** Signed by the owner. */
	readonly base: EpochPeek;
	readonly head: EpochPeek;
	/** Of the head; ascending by slot. */
	readonly members: readonly Member[];
	/** Verified. Of the members, and of the signers of what is kept. */
	readonly certs: ReadonlyMap<RecordCid, ReplicaCertRecord>;
	/** Bytes of all envelopes. */
	readonly sizeBytes: number;
	readonly #kept: readonly Kept[];

	private constructor(base: EpochPeek, kept: readonly Kept[], head: EpochPeek, state: HistoryState) {
		this.base = base;
		this.head = head;
		this.members = state.members;
		const certs = new Map<RecordCid, ReplicaCertRecord>();
		let bytes = base.envelope.byteLength;
		const keep = (cid: RecordCid): void => {
			const cert = certs.has(cid) ? undefined : state.certOf(cid);
			if (cert === undefined) return;
			certs.set(cid, cert);
			bytes += cert.envelope.byteLength;
		};
		for (const { certCid } of state.members) keep(certCid);
		// Newest first: what does not fit is old.
		const newest: Kept[] = [];
		for (const link of [...kept].reverse()) {
			if (newest.length >= LIMITS.epochLinksMax || bytes + link.envelope.byteLength > HISTORY_BYTES_MAX) break;
			newest.push(link);
			bytes += link.envelope.byteLength;
			for (const cid of link.signerCerts) keep(cid);
		}
		this.#kept = newest.reverse();
		this.certs = certs;
		this.sizeBytes = bytes;
	}

	static of(base: EpochPeek, steps: readonly Step[], state: HistoryState): History {
		return new History(base, steps.map(keptOf), steps.at(-1)?.record ?? base, state);
	}

	/** The same history up to an epoch that is known, and from there on these steps. */
	continued(fromE: number, steps: readonly Step[], state: HistoryState): History {
		const kept = [...this.#kept.filter(({ e }) => e <= fromE), ...steps.map(keptOf)];
		return new History(this.base, kept, steps.at(-1)?.record ?? this.head, state);
	}

	/** Whether this epoch is one of those kept. */
	has(e: number, cid: RecordCid): boolean {
		return e === this.base.body.e ? cid === this.base.cid : this.#at(e)?.cid === cid || cid === this.head.cid;
	}

	/** Envelope of the epoch of this number. */
	envelopeAt(e: number): Uint8Array | undefined {
		return e === this.base.body.e ? this.base.envelope : this.#at(e)?.envelope;
	}

	/**
	 * Everything after epoch `e`, for a party whose head that epoch is, so that it has the certificates of its members; with the owner's epoch, for anybody, when
	 * `e` is before it. Throws `exhausted` when that has been forgotten.
	 */
	linksSince(e: number): readonly EpochLink[] {
		const isFromBase = e < this.base.body.e;
		const kept = this.#kept.filter((link) => link.e > e);
		const first = kept[0]?.e ?? this.head.body.e + 1;
		if (first > Math.max(e, this.base.body.e) + 1) {
			throw new MeshError(
				'exhausted',
				`epochs before ${first} of this workload are no longer kept: its owner makes them needless with \`beectl apply\` of the same manifest`,
				{ retryable: false },
			);
		}
		const given = new Set(this.#certsAt(e));
		const give = (cids: readonly RecordCid[]): Uint8Array[] => {
			const fresh = cids.filter((cid) => !given.has(cid));
			for (const cid of fresh) given.add(cid);
			return fresh.map((cid) => this.certs.get(cid)?.envelope).filter((envelope) => envelope !== undefined);
		};
		const links = kept.map(({ envelope, signerCerts }) => ({ epoch: envelope, certs: give(signerCerts) }));
		if (isFromBase) links.unshift({ epoch: this.base.envelope, certs: [] });
		const last = links.at(-1);
		last?.certs.push(...give(this.members.map(({ certCid }) => certCid)));
		return links;
	}

	#certsAt(e: number): readonly RecordCid[] {
		const envelope = this.envelopeAt(e);
		if (envelope === undefined) return [];
		return peekRecord('epoch', envelope).body.members.map(({ certCid }) => certCid);
	}

	#at(e: number): Kept | undefined {
		const first = this.#kept[0]?.e ?? 0;
		return this.#kept[e - first];
	}
}

interface HistoryState {
	readonly members: readonly Member[];
	certOf(cid: RecordCid): ReplicaCertRecord | undefined;
}

function keptOf({ record, signerCerts }: Step): Kept {
	return { e: record.body.e, cid: record.cid, envelope: record.envelope, signerCerts };
}
