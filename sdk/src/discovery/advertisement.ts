/**
 * What a replica shows of itself: its service record, and where the reader may not know it, the certificate that the record
 * is checked with. In a session's hello and in the workload's DHT it has both; as news to those who know the replica, the
 * record alone. Whether the certificate is a member's is `Trust`'s to say.
 */
import * as v from 'valibot';
import { MeshError } from '../errors.ts';
import { type OpenedRecord, openReplicaCert, peekRecord } from '../identity/index.ts';
import {
	decodeRecord,
	encodeRecord,
	envelopeSchema,
	LIMITS,
	type RecordCid,
	type ReplicaCert,
	type ReplicaId,
	type ServiceRecord,
	type WorkloadId,
} from '../wire/index.ts';
import type { Trust } from './trust.ts';

/** Records live this long, and are renewed three times in it. */
export const RECORD_TTL_MS = 15_000;

const schema = v.strictObject({ cert: v.optional(envelopeSchema), record: envelopeSchema });

export interface Advertisement {
	readonly cert: ReplicaCert;
	readonly certCid: RecordCid;
	readonly record: ServiceRecord;
	/** With its certificate, to pass on. */
	readonly bytes: Uint8Array;
	/** The record alone, for those who have the certificate. */
	readonly news: Uint8Array;
}

export type ReadAdvertisement = (bytes: Uint8Array, nowMs: number) => Advertisement;

export function encodeAdvertisement(record: Uint8Array, cert?: Uint8Array): Uint8Array {
	return encodeRecord(cert === undefined ? { record } : { cert, record });
}

/** What an advertisement claims, nothing of it proved. Throws `invalid_input`. */
export function peekAdvertisement(bytes: Uint8Array): {
	readonly cert: Uint8Array | undefined;
	readonly wid: WorkloadId;
} {
	const parsed = v.safeParse(schema, decodeRecord(bytes));
	if (!parsed.success) throw new MeshError('invalid_input', 'not an advertisement of a replica');
	return { cert: parsed.output.cert, wid: peekRecord('service-record', parsed.output.record).body.wid };
}

/** Opens advertisements of members; remembers certificates, because records change every few seconds. */
export function createAdvertisementReader(trust: Trust, certsMax = 2048): ReadAdvertisement {
	const certs = new Map<ReplicaId, OpenedRecord<'replica-cert'>>();

	return (bytes, nowMs) => {
		const parsed = v.safeParse(schema, decodeRecord(bytes));
		if (!parsed.success) throw new MeshError('invalid_input', 'not an advertisement of a replica');
		const { record: envelope, cert: brought } = parsed.output;
		const claimed = peekRecord('service-record', envelope);
		const cert = certOf(claimed.body.replicaId, brought);
		if (!trust.memberOf(cert))
			throw new MeshError('unauthorized', `replica ${cert.body.replicaId} is no member of its workload`);
		const { body } = claimed.verify([cert.body.sigKey]);
		requireOfCert(body, cert.body);
		if (body.exp > body.ts + RECORD_TTL_MS) throw new MeshError('invalid_input', 'the service record lives too long');
		if (body.ts > nowMs + LIMITS.skewMs || body.exp < nowMs - LIMITS.skewMs) {
			throw new MeshError('unauthorized', 'the service record is not of this time');
		}
		return {
			cert: cert.body,
			certCid: cert.cid,
			record: body,
			news: encodeAdvertisement(envelope),
			bytes: encodeAdvertisement(envelope, cert.envelope),
		};
	};

	function certOf(replicaId: ReplicaId, brought: Uint8Array | undefined): OpenedRecord<'replica-cert'> {
		const known = certs.get(replicaId);
		if (brought === undefined) {
			if (known !== undefined) return known;
			throw new MeshError('unauthorized', `the certificate of replica ${replicaId} is not known here`);
		}
		const cert = openReplicaCert(brought);
		// Of two certificates of one replica the one that is a member's holds, and the other may not displace it.
		if (known === undefined || trust.memberOf(cert)) {
			if (certs.size >= certsMax) certs.clear();
			certs.set(cert.body.replicaId, cert);
		}
		return cert;
	}
}

function requireOfCert(record: ServiceRecord, cert: ReplicaCert): void {
	const isOfCert =
		record.replicaId === cert.replicaId &&
		record.wid === cert.wid &&
		record.slot === cert.slot &&
		record.gen === cert.gen &&
		record.incarnation === cert.incarnation &&
		record.machineId === cert.machineId;
	if (!isOfCert)
		throw new MeshError('unauthorized', 'the service record says other than the certificate of its replica');
}
