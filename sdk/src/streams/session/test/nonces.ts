/** A crypto that notices a nonce that is sealed with twice under one key. */
import type { SessionCrypto } from '../core/index.ts';
import { nodeCrypto } from '../crypto.ts';

export class NonceWatch {
	/** Keys that something was sealed with. */
	readonly #keys = new Set<string>();
	reused = 0;
	sealed = 0;

	readonly crypto: SessionCrypto = {
		...nodeCrypto,
		aead: (suite, key) => {
			const name = Buffer.from(key).toString('base64');
			const aead = nodeCrypto.aead(suite, key);
			// Of this key alone, and gone with it: a long run has millions of records.
			const nonces = new Set<string>();
			return {
				seal: (nonce, aad, plaintext, target, at) => {
					// A second owner of a key would count from 0 again.
					if (nonces.size === 0 && this.#keys.has(name)) this.reused++;
					this.#keys.add(name);
					const text = Buffer.from(nonce).toString('latin1');
					if (nonces.has(text)) this.reused++;
					nonces.add(text);
					this.sealed++;
					aead.seal(nonce, aad, plaintext, target, at);
				},
				open: (nonce, aad, sealed) => aead.open(nonce, aad, sealed),
			};
		},
	};

	/** Keys that sealed. */
	get keys(): number {
		return this.#keys.size;
	}
}
