/** The newest charter and manifest this replica knows, verified. The newest (era, seq) wins, whoever brings it. */
import { isMeshError, MeshError } from '../errors.ts';
import { cidOf, compareCharters, type OpenedBundle, openBundle, openCharter } from '../identity/index.ts';
import type { Bundle, RecordCid } from '../wire/index.ts';

export class CharterKeeper {
	#opened: OpenedBundle;
	#manifestCids: readonly RecordCid[];

	/** Throws `unauthorized` when the bundle's chain does not hold. */
	constructor(bundle: Bundle) {
		this.#opened = openBundle(bundle, Date.now());
		this.#manifestCids = [this.#opened.charter.body.manifestCid];
	}

	/** What pods may run, newest first: one that was awarded under the last charter may ask under this one. */
	get manifestCids(): readonly RecordCid[] {
		return this.#manifestCids;
	}

	get opened(): OpenedBundle {
		return this.#opened;
	}

	/**
	 * Takes a charter from the host or from a peer. True when it is newer than ours and holds from now on. Throws when
	 * it is not the owner's, or names a manifest that came without.
	 */
	take(envelope: Uint8Array, manifest: Uint8Array | undefined): boolean {
		const { wid, owner, charter, bundle } = this.#opened;
		const offered = openCharter(envelope, wid, owner, Date.now());
		if (compareCharters(offered.body, charter.body) <= 0) return false;
		const isSameManifest = offered.body.manifestCid === charter.body.manifestCid;
		const bytes = isSameManifest ? bundle.manifest : manifest;
		if (bytes === undefined || cidOf(bytes) !== offered.body.manifestCid) {
			throw new MeshError('invalid_input', `the charter of era ${offered.body.era} came without its manifest`);
		}
		this.#opened = openBundle({ ...bundle, charter: envelope, manifest: bytes }, Date.now());
		this.#manifestCids = [offered.body.manifestCid, ...this.#manifestCids].slice(0, 2);
		return true;
	}

	/** As {@link take}, but a bad charter is only reported. */
	offer(envelope: Uint8Array, manifest: Uint8Array | undefined, onBad: (error: MeshError) => void): boolean {
		try {
			return this.take(envelope, manifest);
		} catch (error) {
			if (!isMeshError(error)) throw error;
			onBad(error);
			return false;
		}
	}
}
