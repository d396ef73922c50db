/**
 * Who we are and whom we believe, as the session sees it. Certificates are opaque bytes here: what they say, and which
 * are revoked, is the business of whoever hands in the identity.
 */
import type { PeerId } from '../../../wire/ids.ts';

/** The planes share this code and nothing else: a session of one never opens as a session of another. */
export const PLANES = { machine: 1, work: 2, owner: 3 } as const;
export type Plane = keyof typeof PLANES;

/** Limits of what an identity hands in. */
export const CERTIFICATE_BYTES_MAX = 24 * 1024;
export const CID_BYTES_MAX = 128;
export const SIGNATURE_BYTES_MAX = 6 * 1024;

export interface SessionIdentity<P = unknown> {
	readonly plane: Plane;
	/** 32 bytes that both sides must have in common: the hash of the mesh, or of the owner. */
	readonly domain: Uint8Array;
	/** Pre-shared keys that are valid now, newest first, one or two (rotation). 32 bytes each. */
	psks(): readonly Uint8Array[];
	/** Told to the other side and signed. A session is resumed only in the epoch it was made in. */
	epoch(): number;
	/** Own certificate (at most 24 KiB) and its CID. Throws `unavailable` while there is none yet. */
	certificate(): { readonly bytes: Uint8Array; readonly cid: string };
	sign(message: Uint8Array): Uint8Array;
	/**
	 * Checks a certificate: chain, time, revocation, and that it names this libp2p peer. Throws `unauthorized`.
	 * `remote` is undefined on plain streams of peers that have no peer ID, such as the owner's tool.
	 */
	verify(certificate: Uint8Array, remote: PeerId | undefined): VerifiedPeer<P> | Promise<VerifiedPeer<P>>;
	/** A certificate that was verified before, by CID. */
	known(cid: string): Uint8Array | undefined;
}

export interface VerifiedPeer<P = unknown> {
	/** What upper layers decide by: a machine, a replica, an owner. */
	readonly principal: P;
	/** CID of the certificate. */
	readonly cid: string;
	verifySignature(message: Uint8Array, signature: Uint8Array): boolean;
}
