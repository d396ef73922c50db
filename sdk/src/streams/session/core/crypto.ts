/** What the session needs of cryptography, handed in: production gives node:crypto, tests count and replay. */

/** AEADs of BMS/1 by their number on the wire. */
export const SUITES = { 'aes-256-gcm': 1, 'chacha20-poly1305': 2 } as const;
export type SuiteId = (typeof SUITES)[keyof typeof SUITES];

export const KEY_BYTES = 32;
export const IV_BYTES = 12;
export const TAG_BYTES = 16;
export const HASH_BYTES = 32;
export const NONCE_BYTES = 32;
export const KEM_PUBLIC_KEY_BYTES = 1216;
export const KEM_CIPHERTEXT_BYTES = 1120;

/** One AEAD key. */
export interface Aead {
	/** Writes ciphertext ‖ tag to `target` at an offset. */
	seal(nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array, target: Uint8Array, at: number): void;
	/** Undefined for anything that was not sealed so. */
	open(nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Uint8Array | undefined;
}

/** An ephemeral X-Wing key pair. */
export interface EphemeralKey {
	readonly publicKey: Uint8Array;
	decapsulate(ciphertext: Uint8Array): Uint8Array;
}

export interface SessionCrypto {
	/** What this machine offers, best first. */
	readonly suites: readonly SuiteId[];
	randomBytes(length: number): Uint8Array;
	sha256(...parts: readonly Uint8Array[]): Uint8Array;
	hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array;
	createEphemeralKey(): EphemeralKey;
	encapsulate(publicKey: Uint8Array): { readonly ciphertext: Uint8Array; readonly sharedSecret: Uint8Array };
	aead(suite: SuiteId, key: Uint8Array): Aead;
}
