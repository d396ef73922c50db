/**
 * The post-quantum primitives that the suite is built from: ML-DSA-65 (FIPS 204) and ML-KEM-768 (FIPS 203). Two
 * implementations stand behind this interface: native.ts and javascript.ts. What is classical is one and the same for both (classical.ts).
 */

export const ML_DSA_65 = { seed: 32, publicKey: 1952, signature: 3309, contextMax: 255 } as const;
export const ML_KEM_768 = { seed: 64, publicKey: 1184, ciphertext: 1088, sharedSecret: 32, coins: 32 } as const;

/** An ML-DSA-65 key pair; the private half stays inside. */
export interface MlDsaKey {
	readonly publicKey: Uint8Array;
	/** Hedged, FIPS 204 algorithm 2. The context has at most 255 bytes. */
	sign(message: Uint8Array, context: Uint8Array): Uint8Array;
}

/** A parsed ML-DSA-65 public key: worth keeping for the next signature of the same signer. */
export interface MlDsaVerifier {
	/** FIPS 204 algorithm 3. False, never an error, for a signature or context of wrong length. */
	verify(message: Uint8Array, signature: Uint8Array, context: Uint8Array): boolean;
}

/** An ML-KEM-768 key pair; the private half stays inside. */
export interface MlKemKey {
	readonly publicKey: Uint8Array;
	/** FIPS 203 algorithm 21: a ciphertext not made for this key gives an unrelated secret. `invalid_input`: length. */
	decapsulate(ciphertext: Uint8Array): Uint8Array;
}

export interface Encapsulation {
	readonly ciphertext: Uint8Array;
	readonly sharedSecret: Uint8Array;
}

export interface PqBackend {
	readonly name: 'native' | 'javascript';
	/** FIPS 204 algorithm 6, from the 32-byte seed ξ. */
	mlDsaKey(seed: Uint8Array): MlDsaKey;
	/** Undefined when the key has not 1,952 bytes; every string of that length is a key. */
	mlDsaVerifier(publicKey: Uint8Array): MlDsaVerifier | undefined;
	/** FIPS 203 algorithm 16, from the 64-byte seed d ‖ z. */
	mlKemKey(seed: Uint8Array): MlKemKey;
	/** FIPS 203 algorithm 19: of randomness that nobody keeps. */
	newMlKemKey(): MlKemKey;
	/** FIPS 203 algorithm 20 with the checks of §7.2. `invalid_input`: wrong length, or coefficients not reduced. */
	mlKemEncapsulate(publicKey: Uint8Array): Encapsulation;
}

/** What only the JavaScript backend can do: the algorithms' internal forms, whose randomness the caller brings. */
export interface DerandomizedBackend extends PqBackend {
	/** FIPS 203 algorithm 17 with the checks of §7.2, from 32 bytes of coins. */
	mlKemEncapsulateWith(publicKey: Uint8Array, coins: Uint8Array): Encapsulation;
	/** FIPS 204 algorithm 2 with `rnd` brought by the caller; 32 zero bytes make its deterministic variant. */
	mlDsaSignWith(seed: Uint8Array, message: Uint8Array, context: Uint8Array, rnd: Uint8Array): Uint8Array;
}
