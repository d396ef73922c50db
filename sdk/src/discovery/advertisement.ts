/**
 * What a replica shows of itself: its service record, and where the reader may not know it, the certificate and grant
 * that prove it a replica of its workload. With them the bytes serve as hello of a session and as value in the workload's
 * DHT, and whoever receives them, from whomever, can check them alone; without, they are the news of one already known.
 */
import * as v from 'valibot';
import { MeshError } from '../errors.ts';
import { type Credential, openCredential, peekRecord, sameBytes } from '../identity/index.ts';
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

const schema = v.strictObject({
	credential: v.optional(v.strictObject({ cert: envelopeSchema, grant: envelopeSchema })),
	record: envelopeSchema,
});

export interface Advertisement {
	readonly cert: ReplicaCert;
	/** Public key of the workload's owner. */
	readonly owner: Uint8Array;
	readonly record: ServiceRecord;
	/** With its credential, to pass on. */
	readonly bytes: Uint8Array;
	/** The record alone, for those who have the credential. */
	readonly news: Uint8Array;
}

export function encodeAdvertisement(record: Uint8Array, credential?: Credential): Uint8Array {
	return encodeRecord(credential === undefined ? { record } : { credential: { ...credential }, record });
}

interface Verified {
	readonly credential: Credential;
	readonly opened: ReturnType<typeof openCredential>;
}

/** Opens advertisements; remembers the credentials it has verified, because records change every few seconds. */
export function createAdvertisementReader(credentialsMax = 2048): (bytes: Uint8Array, nowMs: number) => Advertisement {
	const verified = new Map<string, Verified>();

	return (bytes, nowMs) => {
		const parsed = v.safeParse(schema, decodeRecord(bytes));
		if (!parsed.success) throw new MeshError('invalid_input', 'not an advertisement of a replica');
		const { record: envelope, credential: brought } = parsed.output;
		const claimed = peekRecord('service-record', envelope);
		const { credential, opened } = open(claimed.body.replicaId, brought, nowMs);
		const { cert, owner } = opened;
		const { body } = claimed.verify([cert.sigKey]);
		const isOfCert =
			body.replicaId === cert.replicaId &&
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
		const news = brought === undefined ? bytes : encodeAdvertisement(envelope);
		return {
			cert,
			owner,
			record: body,
			news,
			bytes: brought === undefined ? encodeAdvertisement(envelope, credential) : bytes,
		};
	};

	function open(replicaId: string, brought: Credential | undefined, nowMs: number): Verified {
		const known = verified.get(replicaId);
		const isValid = known !== undefined && nowMs <= known.opened.cert.exp && nowMs <= known.opened.grant.exp;
		if (brought === undefined) {
			if (isValid) return known;
			throw new MeshError('unauthorized', `the certificate of replica ${replicaId} is not known here`);
		}
		if (isValid && sameBytes(known.credential.cert, brought.cert) && sameBytes(known.credential.grant, brought.grant)) {
			return known;
		}
		const opened = openCredential(brought, nowMs);
		const entry = { credential: brought, opened };
		if (verified.size >= credentialsMax) verified.clear();
		// Under the name that it proves, not the one that came with it.
		verified.set(opened.cert.replicaId, entry);
		return entry;
	}
}
