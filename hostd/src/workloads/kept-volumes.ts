/**
 * Volumes that stay on this host without a pod, because their slot moved elsewhere, of workloads whose volumes go when
 * the workload is deleted. Somebody must know then whose they are.
 */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeRecord, encodeRecord, type WorkloadEnd, type WorkloadId, workloadIdSchema } from '@beemesh/sdk/wire';
import * as v from 'valibot';

const schema = v.strictObject({ wid: workloadIdSchema, era: v.pipe(v.number(), v.integer(), v.minValue(0)) });

export class KeptVolumes {
	readonly #dir: string;

	constructor(stateDir: string) {
		this.#dir = join(stateDir, 'kept-volumes');
	}

	/** `era`: of the newest charter seen; one that is not newer cannot end the volume. */
	async keep(volume: string, whose: { readonly wid: WorkloadId; readonly era: number }): Promise<void> {
		await mkdir(this.#dir, { recursive: true, mode: 0o700 });
		const path = join(this.#dir, volume);
		await writeFile(`${path}.new`, encodeRecord(whose), { mode: 0o600 });
		await rename(`${path}.new`, path);
	}

	async forget(volume: string): Promise<void> {
		await rm(join(this.#dir, volume), { force: true });
	}

	/** Volumes that go now: those of the workload that is over. */
	async endedBy({ wid, era }: Pick<WorkloadEnd, 'wid' | 'era'>): Promise<string[]> {
		const found: string[] = [];
		for (const name of await readdir(this.#dir).catch(() => [])) {
			if (name.endsWith('.new')) continue;
			const kept = v.safeParse(schema, decodeRecord(new Uint8Array(await readFile(join(this.#dir, name)))));
			if (kept.success && kept.output.wid === wid && kept.output.era < era) found.push(name);
		}
		return found;
	}
}
