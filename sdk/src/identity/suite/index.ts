/**
 * The cryptographic suite: composite signatures (ML-DSA-65 with Ed25519), X-Wing key encapsulation, HPKE envelopes.
 * Three published constructions over one small interface of post-quantum primitives, native where this Node has them,
 * JavaScript otherwise; chosen once, when this module loads. There is no classical fallback.
 */
import type { Encapsulation, PqBackend } from './backend.ts';
import {
	COMPOSITE_PUBLIC_KEY_BYTES,
	COMPOSITE_SEED_BYTES,
	COMPOSITE_SIGNATURE_BYTES,
	createSigningKey,
	createVerify,
	type SigningKey,
	type Verify,
} from './composite.ts';
import { open, SEAL_OVERHEAD_BYTES, seal } from './hpke.ts';
import { javascriptBackend } from './javascript.ts';
import { nativeBackend } from './native.ts';
import {
	createKemKey,
	encapsulate,
	type KemKey,
	newKemKey,
	X_WING_CIPHERTEXT_BYTES,
	X_WING_PUBLIC_KEY_BYTES,
	X_WING_SEED_BYTES,
} from './x-wing.ts';

export type { Encapsulation, PqBackend } from './backend.ts';
export { hkdfExpand, hkdfExtract, hmac } from './classical.ts';
export type { SigningKey } from './composite.ts';
export { javascriptBackend } from './javascript.ts';
export { nativeBackend } from './native.ts';
export type { KemKey } from './x-wing.ts';

export interface Suite {
	readonly backend: 'native' | 'javascript';
	/** From 64 bytes, the draft's private key: ML-DSA seed ‖ Ed25519 seed. */
	createSigningKey(seed: Uint8Array): SigningKey;
	/** True when both halves verify. False for anything of wrong shape; never throws. */
	readonly verify: Verify;
	/** An X-Wing key from 32 bytes. */
	createKemKey(seed: Uint8Array): KemKey;
	/** A random X-Wing key that lives as long as this object: it has no seed. */
	newKemKey(): KemKey;
	/** To an X-Wing key. `invalid_input`: wrong length, ML-KEM half not reduced, X25519 half of low order. */
	encapsulate(publicKey: Uint8Array): Encapsulation;
	/** HPKE base mode, single-shot; gives enc ‖ ciphertext. Errors are those of `encapsulate`. */
	seal(recipient: Uint8Array, info: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Uint8Array;
	/** The plaintext, or one generic `unauthorized` for every failure. */
	open(recipient: KemKey, info: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Uint8Array;
}

/** Bytes of everything the suite takes and gives. */
export const SIZES = {
	publicKey: COMPOSITE_PUBLIC_KEY_BYTES,
	signature: COMPOSITE_SIGNATURE_BYTES,
	seed: COMPOSITE_SEED_BYTES,
	kemPublicKey: X_WING_PUBLIC_KEY_BYTES,
	kemCiphertext: X_WING_CIPHERTEXT_BYTES,
	kemSeed: X_WING_SEED_BYTES,
	sealOverhead: SEAL_OVERHEAD_BYTES,
} as const;

export function createSuite(backend: PqBackend): Suite {
	return {
		backend: backend.name,
		createSigningKey: (seed) => createSigningKey(backend, seed),
		verify: createVerify(backend),
		createKemKey: (seed) => createKemKey(backend, seed),
		newKemKey: () => newKemKey(backend),
		encapsulate: (publicKey) => encapsulate(backend, publicKey),
		seal: (recipient, info, aad, plaintext) => seal(backend, recipient, info, aad, plaintext),
		open,
	};
}

/** Native when this Node has it, else JavaScript. */
export const suite: Suite = createSuite(nativeBackend ?? javascriptBackend);
