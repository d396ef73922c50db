/**
 * A replica in its sessions: every connection of the work plane begins with the certificates of both replicas, and ends
 * when one of them is no member any more. Replicas of one owner share a domain, so that workloads may call each other;
 * what a caller may do is decided above.
 */
import * as v from 'valibot';
import { MeshError } from '../errors.ts';
import { type OpenedRecord, peekRecord, sha256, verifySignature } from '../identity/index.ts';
import type { SessionIdentity, VerifiedPeer } from '../streams/session/index.ts';
import {
	bytesSchema,
	decodeRecord,
	encodeRecord,
	envelopeSchema,
	LIMITS,
	type RecordCid,
	type ReplicaCert,
	type WorkloadId,
} from '../wire/index.ts';
import type { Trust } from './trust.ts';

/** A certificate, and the newest epoch while it is young, which saves whoever is one behind from asking for it. */
const schema = v.strictObject({ cert: envelopeSchema, epoch: v.optional(bytesSchema(LIMITS.epochBytesMax)) });
const CREDENTIAL_BYTES_MAX = 24 * 1024;
const KNOWN_MAX = 2048;
/** While an epoch is this young, others may not have it yet. Later it would only make handshakes longer. */
const EPOCH_SHOWN_MS = 30_000;

export interface ReplicaSessionOptions {
	/** Public key of the owner: replicas of another are refused. */
	readonly owner: Uint8Array;
	/** The owner's pre-shared key; undefined before admission. */
	readonly psk: () => Uint8Array | undefined;
	readonly trust: Trust;
	sign(message: Uint8Array): Uint8Array;
}

/** Before {@link admitted} was called no session can be opened: a replica that nobody has admitted is nobody. */
export class ReplicaSession implements SessionIdentity<ReplicaCert> {
	readonly plane = 'work';
	readonly domain: Uint8Array;
	readonly #options: ReplicaSessionOptions;
	readonly #known = new Map<string, Uint8Array>();
	#own: { readonly cert: Uint8Array; readonly cid: RecordCid; readonly wid: WorkloadId } | undefined;

	constructor(options: ReplicaSessionOptions) {
		this.#options = options;
		this.domain = sha256(Buffer.concat([new TextEncoder().encode('beemesh/owner/'), options.owner]));
	}

	admitted({ cid, body, envelope }: OpenedRecord<'replica-cert'>): void {
		this.#own = { cert: envelope, cid, wid: body.wid };
	}

	psks(): readonly Uint8Array[] {
		const psk = this.#options.psk();
		return psk === undefined ? [] : [psk];
	}

	epoch(): number {
		return this.#own === undefined ? 0 : (this.#options.trust.chain(this.#own.wid)?.head.e ?? 0);
	}

	certificate(): { readonly bytes: Uint8Array; readonly cid: string } {
		if (this.#own === undefined)
			throw new MeshError('unavailable', 'this replica has not been admitted to its workload yet');
		const { cert, cid, wid } = this.#own;
		const chain = this.#options.trust.chain(wid);
		const isYoung = chain !== undefined && Date.now() - chain.head.body.ts < EPOCH_SHOWN_MS;
		return { bytes: credentialOf(cert, isYoung ? chain.linksSince(chain.head.e - 1).at(-1)?.epoch : undefined), cid };
	}

	sign(message: Uint8Array): Uint8Array {
		return this.#options.sign(message);
	}

	async verify(certificate: Uint8Array, remote: string | undefined): Promise<VerifiedPeer<ReplicaCert>> {
		const parsed = v.safeParse(schema, decodeRecord(certificate, CREDENTIAL_BYTES_MAX));
		if (!parsed.success) throw new MeshError('invalid_input', 'not the credential of a replica');
		const { cert: envelope, epoch } = parsed.output;
		const {
			cid,
			body: { replicaId },
		} = peekRecord('replica-cert', envelope);
		if (replicaId !== remote)
			throw new MeshError('unauthorized', `the certificate is of ${replicaId}, the connection of ${remote}`);
		const links = epoch === undefined ? [] : [{ epoch, certs: [] }];
		const { body: cert } = await this.#options.trust.require(envelope, links);
		if (this.#known.size >= KNOWN_MAX) this.#known.clear();
		this.#known.set(cid, credentialOf(envelope));
		return {
			principal: cert,
			cid,
			verifySignature: (message: Uint8Array, signature: Uint8Array) => verifySignature(cert.sigKey, message, signature),
		};
	}

	known(cid: string): Uint8Array | undefined {
		return this.#known.get(cid);
	}
}

/** Without the epoch where it would not fit: then it is asked for. */
function credentialOf(cert: Uint8Array, epoch?: Uint8Array): Uint8Array {
	const bytes = encodeRecord({ cert, ...(epoch === undefined ? {} : { epoch }) });
	return bytes.byteLength <= CREDENTIAL_BYTES_MAX ? bytes : encodeRecord({ cert });
}
