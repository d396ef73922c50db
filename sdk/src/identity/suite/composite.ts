/**
 * Composite signatures: id-MLDSA65-Ed25519-SHA512 of draft-ietf-lamps-pq-composite-sigs. Both halves sign the same
 * M' = Prefix ‖ Label ‖ len(ctx) ‖ ctx ‖ SHA-512(M), and both must verify. Keys and signatures are ML-DSA half first,
 * then Ed25519 half; the private key is the two seeds in the same order.
 */
import { hash, type KeyObject, sign, verify } from 'node:crypto';
import { MeshError } from '../../errors.ts';
import { concat } from '../../wire/bytes.ts';
import { ML_DSA_65, type MlDsaVerifier, type PqBackend } from './backend.ts';
import { requireLength } from './bytes.ts';
import { ED25519_SIGNATURE_BYTES, ed25519PrivateKey, ed25519PublicKey, KEY_BYTES, rawPublicKey } from './classical.ts';
import { Lru } from './lru.ts';

export const COMPOSITE_SEED_BYTES = ML_DSA_65.seed + KEY_BYTES;
export const COMPOSITE_PUBLIC_KEY_BYTES = ML_DSA_65.publicKey + KEY_BYTES;
export const COMPOSITE_SIGNATURE_BYTES = ML_DSA_65.signature + ED25519_SIGNATURE_BYTES;

const PREFIX = Buffer.from('CompositeAlgorithmSignatures2025', 'ascii');
// Also the context of the ML-DSA half, so that this half does not verify as a signature of its own.
const LABEL = Buffer.from('COMPSIG-MLDSA65-Ed25519-SHA512', 'ascii');
const NO_CONTEXT = new Uint8Array(0);
// Parsing costs a tenth of verifying. A parsed key takes some KB.
const PARSED_KEYS_MAX = 512;

/** A composite key pair; the private half stays inside. */
export interface SigningKey {
	/** 1,984 bytes. */
	readonly publicKey: Uint8Array;
	/** 3,373 bytes; two signatures of one message differ. `invalid_input`: a context of more than 255 bytes. */
	sign(message: Uint8Array, context?: Uint8Array): Uint8Array;
}

export type Verify = (
	publicKey: Uint8Array,
	message: Uint8Array,
	signature: Uint8Array,
	context?: Uint8Array,
) => boolean;

/** M' of the draft's section on prefix, label and context. */
function representative(message: Uint8Array, context: Uint8Array): Uint8Array {
	const digest = hash('sha512', message, 'buffer');
	return concat(PREFIX, LABEL, Uint8Array.of(context.byteLength), context, digest);
}

/** From 64 bytes: the ML-DSA seed, then the Ed25519 seed. */
export function createSigningKey(backend: PqBackend, seed: Uint8Array): SigningKey {
	requireLength(seed, COMPOSITE_SEED_BYTES, 'the seed of a signing key');
	const mlDsa = backend.mlDsaKey(seed.subarray(0, ML_DSA_65.seed));
	const ed25519 = ed25519PrivateKey(seed.subarray(ML_DSA_65.seed));
	return {
		publicKey: concat(mlDsa.publicKey, rawPublicKey(ed25519)),
		sign(message, context = NO_CONTEXT) {
			if (context.byteLength > ML_DSA_65.contextMax) {
				const message = `a signing context has at most ${ML_DSA_65.contextMax} bytes, not ${context.byteLength}`;
				throw new MeshError('invalid_input', message);
			}
			const signed = representative(message, context);
			return concat(mlDsa.sign(signed, LABEL), sign(null, signed, ed25519));
		},
	};
}

interface ParsedKey {
	readonly ed25519: KeyObject;
	readonly mlDsa: MlDsaVerifier;
}

/**
 * A verifier with its own memory of parsed keys. Only keys under which a signature has verified are remembered:
 * garbage cannot push out the keys of peers.
 */
export function createVerify(backend: PqBackend): Verify {
	const parsedKeys = new Lru<ParsedKey>(PARSED_KEYS_MAX);
	return (publicKey, message, signature, context = NO_CONTEXT) => {
		if (!isBytes(publicKey, COMPOSITE_PUBLIC_KEY_BYTES) || !isBytes(signature, COMPOSITE_SIGNATURE_BYTES)) return false;
		if (!(message instanceof Uint8Array && context instanceof Uint8Array)) return false;
		if (context.byteLength > ML_DSA_65.contextMax) return false;
		const name = hash('sha256', publicKey, 'base64');
		const parsed = parsedKeys.get(name);
		const signed = representative(message, context);
		// The cheap half first: a forger who cannot make it costs us only that.
		const ed25519 = parsed?.ed25519 ?? ed25519PublicKey(publicKey.subarray(ML_DSA_65.publicKey));
		if (!verify(null, signed, ed25519, signature.subarray(ML_DSA_65.signature))) return false;
		const mlDsa = parsed?.mlDsa ?? backend.mlDsaVerifier(publicKey.subarray(0, ML_DSA_65.publicKey));
		if (mlDsa?.verify(signed, signature.subarray(0, ML_DSA_65.signature), LABEL) !== true) return false;
		if (parsed === undefined) parsedKeys.set(name, { ed25519, mlDsa });
		return true;
	};
}

function isBytes(value: unknown, length: number): boolean {
	return value instanceof Uint8Array && value.byteLength === length;
}
