/**
 * The backend on @noble/post-quantum: the fallback where node:crypto lacks the algorithms, and the oracle that the
 * native one is compared with. About ten times slower, and not hardened against timing as native code is.
 */
import { randomBytes } from 'node:crypto';
import { ml_dsa65 } from '@noble/post-quantum/ml-dsa.js';
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js';
import { MeshError } from '../../errors.ts';
import { copyOf } from '../../wire/bytes.ts';
import { type DerandomizedBackend, type Encapsulation, ML_DSA_65, ML_KEM_768 } from './backend.ts';
import { requireLength } from './bytes.ts';

function encapsulate(publicKey: Uint8Array, coins?: Uint8Array): Encapsulation {
	requireLength(publicKey, ML_KEM_768.publicKey, 'an ML-KEM-768 public key');
	let result: { cipherText: Uint8Array; sharedSecret: Uint8Array };
	try {
		result = ml_kem768.encapsulate(publicKey, coins);
	} catch (cause) {
		throw new MeshError('invalid_input', 'an ML-KEM-768 public key is not reduced (FIPS 203 §7.2)', { cause });
	}
	return { ciphertext: result.cipherText, sharedSecret: result.sharedSecret };
}

export const javascriptBackend: DerandomizedBackend = {
	name: 'javascript',

	mlDsaKey(seed) {
		requireLength(seed, ML_DSA_65.seed, 'an ML-DSA-65 seed');
		const { publicKey, secretKey } = ml_dsa65.keygen(seed);
		return { publicKey, sign: (message, context) => ml_dsa65.sign(message, secretKey, { context }) };
	},

	mlDsaVerifier(publicKey) {
		if (publicKey.byteLength !== ML_DSA_65.publicKey) return undefined;
		const key = copyOf(publicKey);
		return {
			verify: (message, signature, context) =>
				signature.byteLength === ML_DSA_65.signature &&
				context.byteLength <= ML_DSA_65.contextMax &&
				ml_dsa65.verify(signature, message, key, { context }),
		};
	},

	mlKemKey(seed) {
		requireLength(seed, ML_KEM_768.seed, 'an ML-KEM-768 seed');
		const { publicKey, secretKey } = ml_kem768.keygen(seed);
		return {
			publicKey,
			decapsulate(ciphertext) {
				requireLength(ciphertext, ML_KEM_768.ciphertext, 'an ML-KEM-768 ciphertext');
				return ml_kem768.decapsulate(ciphertext, secretKey);
			},
		};
	},

	newMlKemKey: () => javascriptBackend.mlKemKey(randomBytes(ML_KEM_768.seed)),

	mlKemEncapsulate: (publicKey) => encapsulate(publicKey),

	mlKemEncapsulateWith(publicKey, coins) {
		requireLength(coins, ML_KEM_768.coins, 'ML-KEM-768 coins');
		return encapsulate(publicKey, coins);
	},

	mlDsaSignWith(seed, message, context, rnd) {
		requireLength(rnd, 32, 'the randomness of an ML-DSA signature');
		return ml_dsa65.sign(message, ml_dsa65.keygen(seed).secretKey, { context, extraEntropy: rnd });
	},
};
