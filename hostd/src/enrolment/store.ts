/** What this machine was given on enrolment, kept 0600 in the state folder and rewritten as certificate, epoch and secrets change. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MeshError } from '@beemesh/sdk/errors';
import { type MeshBundle, meshBundleSchema } from '@beemesh/sdk/identity';
import { decodeRecord, encodeRecord } from '@beemesh/sdk/wire';
import * as v from 'valibot';
import { requirePrivate, writePrivate } from './private-file.ts';

const BUNDLE_BYTES_MAX = 256 * 1024;

export class BundleStore {
	readonly #path: string;
	#writing: Promise<void> = Promise.resolve();

	constructor(stateDir: string) {
		this.#path = join(stateDir, 'mesh.bundle');
	}

	/** Undefined when this machine has not been enrolled. */
	async read(): Promise<MeshBundle | undefined> {
		const bytes = await readFile(this.#path).catch((error: NodeJS.ErrnoException) => {
			if (error.code === 'ENOENT') return undefined;
			throw error;
		});
		if (bytes === undefined) return undefined;
		await requirePrivate(this.#path);
		try {
			return v.parse(meshBundleSchema, decodeRecord(new Uint8Array(bytes), BUNDLE_BYTES_MAX));
		} catch (cause) {
			throw new MeshError('corrupt', `${this.#path} is damaged; enrol this machine again with its bundle`, { cause });
		}
	}

	/** One write at a time, in order. */
	write(bundle: MeshBundle): Promise<void> {
		const write = this.#writing.then(() => writePrivate(this.#path, encodeRecord(bundle)));
		this.#writing = write.catch(() => undefined);
		return write;
	}
}
