/** The newest charter and manifest this replica knows, verified. The newest (era, seq) wins, whoever brings it. */
import { isMeshError, MeshError } from '../errors.ts';
import { cidOf, compareCharters, type OpenedBundle, openBundle, openCharter } from '../identity/index.ts';
import type { Bundle, Manifest, RecordCid } from '../wire/index.ts';

export class CharterKeeper {
	#opened: OpenedBundle;
	#manifests: ReadonlyMap<RecordCid, Manifest>;

	/** Throws `unauthorized` when the bundle's chain does not hold. */
	constructor(bundle: Bundle) {
		this.#opened = openBundle(bundle, Date.now());
		this.#manifests = new Map([[this.#opened.charter.body.manifestCid, this.#opened.manifest]]);
	}

	/** What pods may run, newest first: one that was awarded under the last charter may ask under this one. */
	get manifests(): ReadonlyMap<RecordCid, Manifest> {
		return this.#manifests;
	}

	get opened(): OpenedBundle {
		return this.#opened;
	}

	/**
	 * Takes a charter from the host or from a peer. True when it is newer than ours and holds from now on. Throws when
	 * it is not the owner's, or names a manifest that came without.
	 */
	take(envelope: Uint8Array, manifest: Uint8Array | undefined): boolean {
		const { wid, owner, charter, bundle, manifest: last } = this.#opened;
		const offered = openCharter(envelope, wid, owner, Date.now());
		if (compareCharters(offered.body, charter.body) <= 0) return false;
		const isSameManifest = offered.body.manifestCid === charter.body.manifestCid;
		const bytes = isSameManifest ? bundle.manifest : manifest;
		if (bytes === undefined || cidOf(bytes) !== offered.body.manifestCid) {
			throw new MeshError('invalid_input', `the charter of era ${offered.body.era} came without its manifest`);
		}
		this.#opened = openBundle({ ...bundle, charter: envelope, manifest: bytes }, Date.now());
		this.#manifests = new Map([
			[offered.body.manifestCid, this.#opened.manifest],
			[charter.body.manifestCid, last],
		]);
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
