/** Members as their certificates prove them. */
import { isMeshError } from '../../errors.ts';
import {
	type Charter,
	type EpochMember,
	type EpochRecord,
	LIMITS,
	type RecordCid,
	type ReplicaCert,
	type ReplicaId,
} from '../../wire/index.ts';
import { keyIdOf } from '../keys.ts';
import { type OpenedRecord, type PeekedRecord, peekRecord, sameBytes } from '../records.ts';
import { openReplicaCert } from './certificate.ts';
import { broken } from './rules.ts';

export type ReplicaCertRecord = OpenedRecord<'replica-cert'>;

/** One replica that is in, with its certificate. */
export interface Member {
	readonly replicaId: ReplicaId;
	readonly slot: number;
	readonly gen: number;
	readonly incarnation: number;
	readonly certCid: RecordCid;
	readonly cert: ReplicaCert;
	/** The certificate as it came. */
	readonly envelope: Uint8Array;
}

/** Certificates at hand: those that have been verified before, and those that came with an offer, which nobody has. */
export class CertShelf {
	readonly #known: ReadonlyMap<RecordCid, ReplicaCertRecord>;
	readonly #offered = new Map<RecordCid, PeekedRecord<'replica-cert'>>();
	readonly #proved = new Map<RecordCid, ReplicaCertRecord>();

	/** Throws `invalid_input` when one of the offered is no certificate. */
	constructor(known: ReadonlyMap<RecordCid, ReplicaCertRecord>, offered: readonly Uint8Array[]) {
		this.#known = known;
		for (const envelope of offered) {
			const peeked = peekRecord('replica-cert', envelope);
			this.#offered.set(peeked.cid, peeked);
		}
	}

	/** Verified on its own, and against the epoch's entry. */
	certOf(entry: EpochMember, charter: Charter): ReplicaCertRecord {
		const cert = this.proved(entry.certCid) ?? this.#prove(entry);
		const { body } = cert;
		const { wid, owner, namespace, name } = charter;
		if (body.wid !== wid || body.owner !== owner || body.namespace !== namespace || body.name !== name)
			throw broken('workload', `the certificate of slot ${entry.slot} is of ${body.namespace}/${body.name}`);
		const isSame =
			body.slot === entry.slot &&
			body.gen === entry.gen &&
			body.incarnation === (entry.incarnation ?? 0) &&
			sameBytes(keyIdOf(body.sigKey), entry.sigKeyId);
		if (!isSame) throw broken('certificate', `the certificate named for slot ${entry.slot} says something else`);
		return cert;
	}

	/** A certificate that has been verified. */
	proved(cid: RecordCid): ReplicaCertRecord | undefined {
		return this.#known.get(cid) ?? this.#proved.get(cid);
	}

	#prove({ slot, certCid }: EpochMember): ReplicaCertRecord {
		const offered = this.#offered.get(certCid);
		if (offered === undefined) throw broken('certificate', `the certificate ${certCid} of slot ${slot} is not there`);
		try {
			const cert = openReplicaCert(offered.envelope);
			this.#proved.set(certCid, cert);
			return cert;
		} catch (cause) {
			if (!isMeshError(cause)) throw cause;
			throw broken('certificate', `that of slot ${slot} does not hold: ${cause.message}`);
		}
	}
}

/** Throws unless the certificate holds at this time, give or take the accepted difference of clocks at its beginning. */
export function requireValidAt({ body }: ReplicaCertRecord, tsMs: number): void {
	if (tsMs + LIMITS.skewMs < body.nbf || tsMs > body.exp)
		throw broken(
			'validity',
			`the certificate of slot ${body.slot} generation ${body.gen} holds from ${isoOf(body.nbf)} to ${isoOf(body.exp)}, not at ${isoOf(tsMs)}`,
		);
}

/**
 * Everybody who is in at an epoch that somebody relies on: each certificate is there, holds at the time of the epoch, and
 * is of a replica of its own. `admitted`: certificates that the owner has let in, whatever their lifetime.
 */
export function membersOf(
	epoch: EpochRecord,
	shelf: CertShelf,
	charter: Charter,
	admitted: ReadonlySet<RecordCid>,
): readonly Member[] {
	const members = epoch.members.map((entry) => {
		const cert = shelf.certOf(entry, charter);
		requireValidAt(cert, epoch.ts);
		const ttlMs = cert.body.exp - cert.body.nbf;
		const ttlMsMax = admitted.has(entry.certCid) ? LIMITS.certTtlMsMax : charter.certTtlMs;
		if (ttlMs > ttlMsMax)
			throw broken('lifetime', `the certificate of slot ${entry.slot} lives ${ttlMs} ms, the limit is ${ttlMsMax}`);
		return memberOf(cert);
	});
	if (new Set(members.map(({ replicaId }) => replicaId)).size < members.length)
		throw broken('key-twice', 'two members have the same replica ID');
	return members;
}

function memberOf({ cid, body, envelope }: ReplicaCertRecord): Member {
	const { replicaId, slot, gen, incarnation } = body;
	return { replicaId, slot, gen, incarnation, certCid: cid, cert: body, envelope };
}

function isoOf(timeMs: number): string {
	return new Date(timeMs).toISOString();
}
