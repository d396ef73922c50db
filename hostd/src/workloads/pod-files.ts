/**
 * What a restarted hostd must know of a pod beyond the runtime's labels: its award, its workload's bundle, and to whom
 * its request for admission is sealed. Kept in the host's state folder (0600) for exactly as long as the pod lives.
 */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MeshError } from '@beemesh/sdk/errors';
import { awardSchema, bundleSchema, decodeRecord, encodeRecord, kemKeySchema, LIMITS } from '@beemesh/sdk/wire';
import * as v from 'valibot';
import type { HostedPod } from './registry.ts';

const schema = v.strictObject({
	award: awardSchema,
	bundle: bundleSchema,
	replyKey: kemKeySchema,
	createdAtMs: v.number(),
	hasServed: v.boolean(),
	name: v.string(),
});
export type PodFile = v.InferOutput<typeof schema>;

/** What is kept of a pod. */
export function fileOf({ award, bundle, replyKey, createdAtMs, hasServed, name }: HostedPod): PodFile {
	return { award, bundle: bundle.bundle, replyKey, createdAtMs, hasServed, name };
}

/** Records of the bundle plus the manifest, with room for the frame. */
const FILE_BYTES_MAX = 4 * LIMITS.recordBytesMax + LIMITS.manifestBytesMax;

export class PodFiles {
	readonly #dir: string;

	constructor(stateDir: string) {
		this.#dir = join(stateDir, 'awards');
	}

	async write(podId: string, file: PodFile): Promise<void> {
		await mkdir(this.#dir, { recursive: true, mode: 0o700 });
		const path = join(this.#dir, podId);
		await writeFile(`${path}.new`, encodeRecord(file), { mode: 0o600 });
		await rename(`${path}.new`, path);
	}

	/** Pods that something is kept of. */
	async list(): Promise<readonly string[]> {
		try {
			return (await readdir(this.#dir)).filter((name) => !name.endsWith('.new'));
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
			throw error;
		}
	}

	/** Undefined when there is none. Throws `corrupt` for a file that is not ours. */
	async read(podId: string): Promise<PodFile | undefined> {
		const path = join(this.#dir, podId);
		let bytes: Uint8Array;
		try {
			bytes = await readFile(path);
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
			throw error;
		}
		const parsed = v.safeParse(schema, decodeRecord(new Uint8Array(bytes), FILE_BYTES_MAX));
		if (!parsed.success) throw new MeshError('corrupt', `${path} is not the award of a pod; remove it and its pod`);
		return parsed.output;
	}

	async remove(podId: string): Promise<void> {
		await rm(join(this.#dir, podId), { force: true });
	}
}
