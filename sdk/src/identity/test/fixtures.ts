import type { Bundle, Charter, Deployment } from '../../wire/index.ts';
import { createKeyPair, type KeyPair, ownerIdOf } from '../keys.ts';
import { signRecord } from '../records.ts';
import { encodeManifest, genesisFor, workloadIdOf } from '../workload.ts';

export const NOW_MS = 1_800_000_000_000;
export const HOUR_MS = 3_600_000;

export const MANIFEST: Deployment = {
	apiVersion: 'apps/v1',
	kind: 'Deployment',
	metadata: { name: 'web', namespace: 'default' },
	spec: {
		replicas: 2,
		selector: { matchLabels: { app: 'web' } },
		template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'web', image: 'web:1' }] } },
	},
};

/** A whole signed workload; `change` alters its charter before it is signed. */
export function createWorkload(owner: KeyPair = createKeyPair(), change: Partial<Charter> = {}) {
	const tenderKey = createKeyPair();
	const genesis = genesisFor(owner.publicKey, 'Deployment', 'default', 'web');
	const wid = workloadIdOf(genesis);
	const manifest = encodeManifest(MANIFEST);
	const ownerId = ownerIdOf(owner.publicKey);
	const charter: Charter = {
		wid,
		owner: ownerId,
		era: 1,
		kind: 'Deployment',
		namespace: 'default',
		name: 'web',
		manifestCid: manifest.cid,
		replicas: 2,
		deleted: false,
		nbf: NOW_MS,
		exp: NOW_MS + HOUR_MS,
		...change,
	};
	const bundle: Bundle = {
		genesis: signRecord('genesis', genesis, owner),
		charter: signRecord('charter', charter, owner),
		grant: signRecord(
			'tender-grant',
			{ wid, owner: ownerId, tenderKey: tenderKey.publicKey, quota: 8, exp: NOW_MS + HOUR_MS },
			owner,
		),
		tenderSecret: tenderKey.seed,
		manifest: manifest.bytes,
	};
	return { owner, tenderKey, wid, charter, bundle };
}
