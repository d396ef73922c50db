/** Sizes and times that every decoder enforces before it looks further. Bytes and milliseconds. */
export const LIMITS = {
	/** One gossip message or session frame (`identity.md`). */
	frameBytesMax: 64 * 1024,
	/** One signed record. */
	recordBytesMax: 64 * 1024,
	/** One manifest, as canonical DAG-CBOR. */
	manifestBytesMax: 128 * 1024,
	/** One RPC message (several frames). */
	messageBytesMax: 4 * 1024 * 1024,
	/** Slots in one tender. */
	slotsPerTenderMax: 64,
	/** Accepted clock difference between signer and verifier. */
	skewMs: 30_000,
	/** How long a (sender, nonce) pair is remembered: longer than twice the skew. */
	replayWindowMs: 330_000,
	/** Nesting depth of a decoded record. */
	depthMax: 16,
	/** Signatures on one record, of those types that may carry several. */
	signersMax: 16,
	/** One epoch of a workload: 1,024 members and 16 signatures are some 210 KiB; 64 members with 15, 62 KiB. */
	epochBytesMax: 256 * 1024,
	/** Epochs kept since the owner's last one. */
	epochLinksMax: 4096,
	/** What an admitted replica is answered: membership so far, and secrets. */
	admissionBytesMax: 4 * 1024 * 1024,
	/** A replica's certificate is renewed at half of it at the latest. */
	certTtlMsMax: 24 * 3_600_000,
	addressesMax: 16,
	addressBytesMax: 256,
} as const;

/** Sizes of keys and signatures of the one suite there is (`identity/suite/`). A public key is tagged with its suite. */
export const KEY_BYTES = {
	/** 1 byte suite, then ML-DSA-65 and Ed25519. */
	publicKey: 1 + 1952 + 32,
	/** SHA-256 of a public key. */
	keyId: 32,
	signature: 3309 + 64,
	seed: 64,
	/** X-Wing. */
	kemPublicKey: 1184 + 32,
	kemSeed: 32,
	/** An Ed25519 signature with the libp2p peer key. */
	peerProof: 64,
} as const;
