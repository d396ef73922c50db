/**
 * A replica in its sessions: every connection of the work plane begins with the certificates of both replicas. Replicas of
 * one owner share a domain, so that workloads may call each other; what a caller may do is decided above.
 */
import * as v from 'valibot';
import { MeshError } from '../errors.ts';
import { type Credential, cidOf, openCredential, sameBytes, sha256, verifySignature } from '../identity/index.ts';
import type { SessionIdentity } from '../streams/session/index.ts';
import { decodeRecord, encodeRecord, envelopeSchema, type ReplicaCert } from '../wire/index.ts';

const schema = v.strictObject({ cert: envelopeSchema, grant: envelopeSchema });
const KNOWN_MAX = 2048;

export interface ReplicaSessionOptions {
	/** Public key of the owner: replicas of another are refused. */
	readonly owner: Uint8Array;
	/** The owner's pre-shared key. */
	readonly psk: Uint8Array;
	sign(message: Uint8Array): Uint8Array;
}

/** Before {@link admitted} was called no session can be opened: a replica that nobody has admitted is nobody. */
export class ReplicaSession implements SessionIdentity<ReplicaCert> {
	readonly plane = 'work';
	readonly domain: Uint8Array;
	readonly #options: ReplicaSessionOptions;
	readonly #known = new Map<string, Uint8Array>();
	#certificate: { readonly bytes: Uint8Array; readonly cid: string } | undefined;

	constructor(options: ReplicaSessionOptions) {
		this.#options = options;
		this.domain = sha256(Buffer.concat([new TextEncoder().encode('beemesh/owner/'), options.owner]));
	}

	admitted({ cert, grant }: Credential): void {
		const bytes = encodeRecord({ cert, grant });
		this.#certificate = { bytes, cid: cidOf(bytes) };
	}

	psks(): readonly Uint8Array[] {
		return [this.#options.psk];
	}

	epoch(): number {
		return 0;
	}

	certificate(): { readonly bytes: Uint8Array; readonly cid: string } {
		if (this.#certificate === undefined)
			throw new MeshError('unavailable', 'this replica has not been admitted to its workload yet');
		return this.#certificate;
	}

	sign(message: Uint8Array): Uint8Array {
		return this.#options.sign(message);
	}

	verify(certificate: Uint8Array, remote: string | undefined) {
		const parsed = v.safeParse(schema, decodeRecord(certificate));
		if (!parsed.success) throw new MeshError('invalid_input', 'not the credential of a replica');
		const { cert, owner } = openCredential(parsed.output, Date.now());
		if (!sameBytes(owner, this.#options.owner))
			throw new MeshError('unauthorized', 'this replica belongs to another owner');
		if (cert.replicaId !== remote)
			throw new MeshError('unauthorized', `the certificate is of ${cert.replicaId}, the connection of ${remote}`);
		const cid = cidOf(certificate);
		if (this.#known.size >= KNOWN_MAX) this.#known.clear();
		this.#known.set(cid, certificate);
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
