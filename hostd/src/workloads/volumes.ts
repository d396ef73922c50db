/** What becomes of a pod's named volumes, and how they are called. Pure. */
import type { OpenedBundle } from '@beemesh/sdk/identity';
import type { HostedPod } from './registry.ts';

/** One named volume per claim and ordinal; another generation of the slot on this host finds it again. */
export function volumeNamesOf({ manifest, wid }: OpenedBundle, slot: number): Record<string, string> {
	if (manifest.kind !== 'StatefulSet') return {};
	return Object.fromEntries(
		(manifest.spec.volumeClaimTemplates ?? []).map(({ metadata }) => [
			`${metadata.name}-${manifest.metadata.name}-${slot}`,
			`bm-${wid.slice(-16)}-${metadata.name}-${slot}`,
		]),
	);
}

/** Kubernetes' persistentVolumeClaimRetentionPolicy; Retain unless the manifest says otherwise. */
export function dropsVolumes({ bundle: { manifest, charter }, award, isEnded }: HostedPod): boolean {
	if (manifest.kind !== 'StatefulSet') return false;
	if (charter.body.deleted || isEnded) return goWithWorkload({ manifest });
	const policy = manifest.spec.persistentVolumeClaimRetentionPolicy;
	return award.slot >= charter.body.replicas && policy?.whenScaled === 'Delete';
}

/** Kubernetes' `whenDeleted: Delete`. */
export function goWithWorkload({ manifest }: Pick<OpenedBundle, 'manifest'>): boolean {
	return (
		manifest.kind === 'StatefulSet' && manifest.spec.persistentVolumeClaimRetentionPolicy?.whenDeleted === 'Delete'
	);
}
