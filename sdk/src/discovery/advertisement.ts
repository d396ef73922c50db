/**
 * What a replica shows of itself: its service record with the certificate and grant that prove it a replica of its
 * workload. The same bytes serve as hello of a session, as push to peers and as value in the workload's DHT, so that
 * whoever receives one, from whomever, can check it alone.
 */
import * as v from 'valibot';
import { MeshError } from '../errors.ts';
import { type Credential, openCredential, openRecord, peerIdOf, sameBytes } from '../identity/index.ts';
import {
	decodeRecord,
	encodeRecord,
	envelopeSchema,
	LIMITS,
	type ReplicaCert,
	type ServiceRecord,
} from '../wire/index.ts';

/** Records live this long, and are renewed three times in it. */
export const RECORD_TTL_MS = 15_000;

const schema = v.strictObject({ cert: envelopeSchema, grant: envelopeSchema, record: envelopeSchema });

export interface Advertisement {
	readonly cert: ReplicaCert;
	/** Public key of the workload's owner. */
	readonly owner: Uint8Array;
	readonly record: ServiceRecord;
	/** As it came, to pass on. */
	readonly bytes: Uint8Array;
}

export function encodeAdvertisement(credential: Credential, record: Uint8Array): Uint8Array {
	return encodeRecord({ cert: credential.cert, grant: credential.grant, record });
}

/** Opens advertisements; remembers the credentials it has verified, because records change every few seconds. */
export function createAdvertisementReader(credentialsMax = 2048): (bytes: Uint8Array, nowMs: number) => Advertisement {
	const verified = new Map<string, { credential: Credential; opened: ReturnType<typeof openCredential> }>();

	return (bytes, nowMs) => {
		const parsed = v.safeParse(schema, decodeRecord(bytes));
		if (!parsed.success) throw new MeshError('invalid_input', 'not an advertisement of a replica');
		const { record: envelope, ...credential } = parsed.output;
		const record = openRecord('service-record', envelope);
		const replicaId = peerIdOf(record.signer) as string;
		const { cert, owner } = open(replicaId, credential, nowMs);
		const { body } = record;
		const isOfCert =
			replicaId === body.replicaId &&
			replicaId === cert.replicaId &&
			body.wid === cert.wid &&
			body.slot === cert.slot &&
			body.gen === cert.gen &&
			body.incarnation === cert.incarnation &&
			body.machineId === cert.machineId;
		if (!isOfCert)
			throw new MeshError('unauthorized', 'the service record says other than the certificate of its replica');
		if (body.exp > body.ts + RECORD_TTL_MS) throw new MeshError('invalid_input', 'the service record lives too long');
		if (body.ts > nowMs + LIMITS.skewMs || body.exp < nowMs - LIMITS.skewMs) {
			throw new MeshError('unauthorized', 'the service record is not of this time');
		}
		return { cert, owner, record: body, bytes };
	};

	function open(replicaId: string, credential: Credential, nowMs: number): ReturnType<typeof openCredential> {
		const known = verified.get(replicaId);
		if (
			known !== undefined &&
			nowMs <= known.opened.cert.exp &&
			nowMs <= known.opened.grant.exp &&
			sameBytes(known.credential.cert, credential.cert) &&
			sameBytes(known.credential.grant, credential.grant)
		) {
			return known.opened;
		}
		const opened = openCredential(credential, nowMs);
		if (verified.size >= credentialsMax) verified.clear();
		verified.set(replicaId, { credential, opened });
		return opened;
	}
}
