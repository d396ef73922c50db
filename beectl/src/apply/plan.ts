/** What an apply has to do, from what is wanted and what is there. No I/O. */
import { encodeManifest } from '@beemesh/sdk/identity';
import type { Manifest, RecordCid } from '@beemesh/sdk/wire';
import type { WorkloadState } from '../host/inventory.ts';

export interface Wanted {
	/** Without `spec.replicas`: how many is the charter's to say, so that scaling is not a new version of the app. */
	readonly manifest: Manifest;
	readonly manifestBytes: Uint8Array;
	readonly manifestCid: RecordCid;
	readonly replicas: number;
}

export type Plan =
	| { readonly action: 'none' }
	/** Nothing runs: place slots 0..replicas-1 at this generation. */
	| { readonly action: 'place'; readonly era: number; readonly gen: number; readonly isNew: boolean }
	/** It runs: its replicas follow a newer charter. */
	| { readonly action: 'update'; readonly era: number; readonly isNewManifest: boolean };

/** `replicas` undefined: leave the count as it is, 1 for a new workload. */
export function wantedOf(manifest: Manifest, replicas: number | undefined, current: WorkloadState | undefined): Wanted {
	const { replicas: _, ...spec } = manifest.spec;
	const plain = { ...manifest, spec } as Manifest;
	const { bytes, cid } = encodeManifest(plain);
	const inherited = current === undefined || current.charter.deleted ? 1 : current.charter.replicas;
	return { manifest: plain, manifestBytes: bytes, manifestCid: cid, replicas: replicas ?? inherited };
}

export function planOf(wanted: Wanted, current: WorkloadState | undefined, nowMs: number): Plan {
	if (current === undefined) return { action: 'place', era: nowMs, gen: 1, isNew: true };
	const { charter, pods } = current;
	const era = nextEra(charter.era, nowMs);
	// A generation is never used twice: two replicas of one (slot, generation) must not exist.
	const gen = Math.max(0, ...pods.map((pod) => pod.gen)) + 1;
	if (charter.deleted) return { action: 'place', era, gen, isNew: true };
	if (!pods.some(({ phase }) => phase === 'Pending' || phase === 'Running'))
		return { action: 'place', era, gen, isNew: false };
	const isNewManifest = charter.manifestCid !== wanted.manifestCid;
	if (!isNewManifest && charter.replicas === wanted.replicas) return { action: 'none' };
	return { action: 'update', era, isNewManifest };
}

/** Eras follow the clock, so that a workload whose last charter nobody remembers still gets a newer one. */
export function nextEra(previous: number, nowMs: number): number {
	return Math.max(previous + 1, nowMs);
}
