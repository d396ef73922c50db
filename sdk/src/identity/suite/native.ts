/**
 * The backend on node:crypto. Keys enter as DER, with the prefixes of RFC 9881 (ML-DSA) and of
 * draft-ietf-lamps-kyber-certificates (ML-KEM) in their seed-only form, because every Node that has the algorithms
 * reads those. It cannot bring its own randomness: encapsulation and signing are always randomized.
 */
// The namespace, because a Node without encapsulate() must still load this file.
import * as crypto from 'node:crypto';
import { MeshError } from '../../errors.ts';
import { concat } from '../../wire/bytes.ts';
import { ML_DSA_65, ML_KEM_768, type MlKemKey, type PqBackend } from './backend.ts';
import { requireLength } from './bytes.ts';
import { publicKeyOfSpki } from './classical.ts';

const ML_DSA_SPKI = Buffer.from('308207b2300b0609608648016503040312038207a100', 'hex');
const ML_DSA_PKCS8 = Buffer.from('3034020100300b060960864801650304031204228020', 'hex');
const ML_KEM_SPKI = Buffer.from('308204b2300b0609608648016503040402038204a100', 'hex');
const ML_KEM_PKCS8 = Buffer.from('3054020100300b060960864801650304040204428040', 'hex');

function privateKeyOf(prefix: Uint8Array, seed: Uint8Array): crypto.KeyObject {
	const der = Buffer.from(concat(prefix, seed).buffer);
	const key = crypto.createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
	der.fill(0);
	return key;
}

function rawPublicKey(prefix: Uint8Array, key: crypto.KeyObject): Uint8Array {
	return new Uint8Array(key.export({ format: 'der', type: 'spki' }).subarray(prefix.length));
}

/**
 * The context lies on the key itself, not in an object around it: of such an object Node asks first whether it is a key,
 * and catches what it throws, which takes as long as parsing one.
 */
function inContext(key: crypto.KeyObject, context: Uint8Array): crypto.KeyObject {
	return Object.assign(key, { context });
}

function mlKemKeyOf(publicKey: crypto.KeyObject, privateKey: crypto.KeyObject): MlKemKey {
	return {
		publicKey: rawPublicKey(ML_KEM_SPKI, publicKey),
		decapsulate(ciphertext) {
			requireLength(ciphertext, ML_KEM_768.ciphertext, 'an ML-KEM-768 ciphertext');
			return new Uint8Array(crypto.decapsulate(privateKey, ciphertext));
		},
	};
}

const backend: PqBackend = {
	name: 'native',

	mlDsaKey(seed) {
		requireLength(seed, ML_DSA_65.seed, 'an ML-DSA-65 seed');
		const key = privateKeyOf(ML_DSA_PKCS8, seed);
		return {
			publicKey: rawPublicKey(ML_DSA_SPKI, crypto.createPublicKey(key)),
			sign: (message, context) => new Uint8Array(crypto.sign(null, message, inContext(key, context))),
		};
	},

	mlDsaVerifier(publicKey) {
		if (publicKey.byteLength !== ML_DSA_65.publicKey) return undefined;
		const key = publicKeyOfSpki(ML_DSA_SPKI, publicKey);
		return {
			verify: (message, signature, context) =>
				signature.byteLength === ML_DSA_65.signature &&
				context.byteLength <= ML_DSA_65.contextMax &&
				crypto.verify(null, message, inContext(key, context), signature),
		};
	},

	mlKemKey(seed) {
		requireLength(seed, ML_KEM_768.seed, 'an ML-KEM-768 seed');
		const key = privateKeyOf(ML_KEM_PKCS8, seed);
		return mlKemKeyOf(crypto.createPublicKey(key), key);
	},

	newMlKemKey() {
		const { publicKey, privateKey } = crypto.generateKeyPairSync('ml-kem-768');
		return mlKemKeyOf(publicKey, privateKey);
	},

	mlKemEncapsulate(publicKey) {
		requireLength(publicKey, ML_KEM_768.publicKey, 'an ML-KEM-768 public key');
		let key: crypto.KeyObject;
		try {
			key = publicKeyOfSpki(ML_KEM_SPKI, publicKey);
		} catch (cause) {
			throw new MeshError('invalid_input', 'an ML-KEM-768 public key is not reduced (FIPS 203 §7.2)', { cause });
		}
		const { ciphertext, sharedKey } = crypto.encapsulate(key);
		return { ciphertext: new Uint8Array(ciphertext), sharedSecret: new Uint8Array(sharedKey) };
	},
};

/** One real round of everything: versions and lists of algorithms say what a Node should have, not what works. */
function works(): boolean {
	try {
		const message = new Uint8Array([1, 2, 3]);
		const context = new Uint8Array([4]);
		const signer = backend.mlDsaKey(new Uint8Array(ML_DSA_65.seed));
		const verifier = backend.mlDsaVerifier(signer.publicKey);
		const signature = signer.sign(message, context);
		const kem = backend.mlKemKey(new Uint8Array(ML_KEM_768.seed));
		const { ciphertext, sharedSecret } = backend.mlKemEncapsulate(kem.publicKey);
		return (
			verifier?.verify(message, signature, context) === true &&
			// A Node that knows ML-DSA but not its context option would sign and verify without it.
			!verifier.verify(message, signature, message) &&
			crypto.timingSafeEqual(kem.decapsulate(ciphertext), sharedSecret)
		);
	} catch {
		return false;
	}
}

/** Undefined where this Node, or the OpenSSL it is linked with, lacks the algorithms. */
export const nativeBackend: PqBackend | undefined = works() ? backend : undefined;
