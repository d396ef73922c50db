/** The session's cryptography on node:crypto and the suite. */
import { createCipheriv, createDecipheriv, createHash, createSecretKey, randomBytes } from 'node:crypto';
import { hmac, suite } from '../../identity/suite/index.ts';
import { type Aead, type SessionCrypto, SUITES, type SuiteId, TAG_BYTES } from './core/index.ts';

const CIPHERS = { [SUITES['aes-256-gcm']]: 'aes-256-gcm', [SUITES['chacha20-poly1305']]: 'chacha20-poly1305' } as const;

/** AES first where the processor has instructions for it; elsewhere ChaCha20 is faster and free of table look-ups. */
const hasAes = process.arch === 'x64' || process.arch === 'arm64';

export const nodeCrypto: SessionCrypto = {
	suites: hasAes
		? [SUITES['aes-256-gcm'], SUITES['chacha20-poly1305']]
		: [SUITES['chacha20-poly1305'], SUITES['aes-256-gcm']],
	randomBytes: (length) => new Uint8Array(randomBytes(length)),
	sha256: (...parts) => {
		const hash = createHash('sha256');
		for (const part of parts) hash.update(part);
		return new Uint8Array(hash.digest());
	},
	hmac,
	createEphemeralKey: () => suite.newKemKey(),
	encapsulate: (publicKey) => suite.encapsulate(publicKey),
	aead: createAead,
};

function createAead(suiteId: SuiteId, rawKey: Uint8Array): Aead {
	const algorithm = CIPHERS[suiteId] as 'chacha20-poly1305';
	// A copy inside OpenSSL: the caller may overwrite its own.
	const key = createSecretKey(rawKey);
	return {
		seal(nonce, aad, plaintext, target, at) {
			const cipher = createCipheriv(algorithm, key, nonce, { authTagLength: TAG_BYTES });
			cipher.setAAD(aad, { plaintextLength: plaintext.byteLength });
			target.set(cipher.update(plaintext), at);
			cipher.final();
			target.set(cipher.getAuthTag(), at + plaintext.byteLength);
		},
		open(nonce, aad, sealed) {
			const length = sealed.byteLength - TAG_BYTES;
			if (length < 0) return undefined;
			const decipher = createDecipheriv(algorithm, key, nonce, { authTagLength: TAG_BYTES });
			decipher.setAAD(aad, { plaintextLength: length });
			decipher.setAuthTag(sealed.subarray(length));
			const plaintext = decipher.update(sealed.subarray(0, length));
			try {
				decipher.final();
			} catch {
				plaintext.fill(0);
				return undefined;
			}
			return plaintext;
		},
	};
}
