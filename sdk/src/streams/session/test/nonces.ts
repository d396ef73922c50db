/** A crypto that notices a nonce that is sealed with twice under one key. */
import type { SessionCrypto } from '../core/index.ts';
import { nodeCrypto } from '../crypto.ts';

export class NonceWatch {
	readonly #used = new Set<string>();
	reused = 0;
	sealed = 0;

	readonly crypto: SessionCrypto = {
		...nodeCrypto,
		aead: (suite, key) => {
			const name = Buffer.from(key).toString('base64');
			const aead = nodeCrypto.aead(suite, key);
			return {
				seal: (nonce, aad, plaintext, target, at) => {
					const pair = `${name} ${Buffer.from(nonce).toString('base64')}`;
					this.sealed++;
					if (this.#used.has(pair)) this.reused++;
					this.#used.add(pair);
					aead.seal(nonce, aad, plaintext, target, at);
				},
				open: (nonce, aad, sealed) => aead.open(nonce, aad, sealed),
			};
		},
	};
}
