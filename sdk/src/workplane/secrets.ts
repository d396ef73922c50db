/** What members of a workload share and nobody else: given on admission, the group key anew with every epoch. */
import { createKeyPair, groupKeyCommit, type KeyPair, sameBytes } from '../identity/index.ts';
import type { AdmissionAnswer } from '../wire/index.ts';

export type SecretParts = Pick<AdmissionAnswer, 'psk' | 'groupKey' | 'tenderSecret'>;

export class Secrets {
	#current: SecretParts;
	#next: Uint8Array[] = [];
	#previous: Uint8Array | undefined;
	readonly tenderKey: KeyPair;

	constructor({ psk, groupKey, tenderSecret }: SecretParts) {
		this.#current = { psk, groupKey, tenderSecret };
		this.tenderKey = createKeyPair(tenderSecret);
	}

	get current(): SecretParts {
		return this.#current;
	}

	/** Newest first; the one before it for what others have not renewed yet. */
	get groupKeys(): readonly Uint8Array[] {
		return this.#previous === undefined ? [this.#current.groupKey] : [this.#current.groupKey, this.#previous];
	}

	/** A key that an epoch may name soon. */
	prepare(groupKey: Uint8Array): void {
		this.#next = [groupKey, ...this.#next].slice(0, 4);
	}

	/**
	 * Takes the key of the newest epoch into use: the one before, where the last epoch has been overruled. False: it is not
	 * known here, and has to be asked for.
	 */
	follow(commit: Uint8Array): boolean {
		const { groupKey } = this.#current;
		const found = [...this.groupKeys, ...this.#next].find((key) => sameBytes(groupKeyCommit(key), commit));
		if (found === undefined) return false;
		if (found !== groupKey) {
			this.#previous = groupKey;
			this.#current = { ...this.#current, groupKey: found };
		}
		return true;
	}
}
