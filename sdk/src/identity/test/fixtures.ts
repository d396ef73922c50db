import { expect } from 'chai';
import { isMeshError, type MeshCode } from '../../errors.ts';
import type { Bundle, Charter, Deployment, Enroller, MachineCert, MachineId, MeshEpoch } from '../../wire/index.ts';
import { createKeyPair, type KeyPair, ownerIdOf } from '../keys.ts';
import { certifyMachine, createMesh, createNodeKeys, type NodeKeys, type OpenedMesh } from '../machine.ts';
import { createKeyring, keyringIdOf } from '../mesh-bundle.ts';
import { peekRecord, signRecord } from '../records.ts';
import { defaultAdmissionTerms, encodeManifest, genesisFor, workloadIdOf } from '../workload.ts';

export const NOW_MS = 1_800_000_000_000;
export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;

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

/** Throws unless `act` is refused with this code. */
export function refused(code: MeshCode, act: () => unknown): void {
	try {
		act();
	} catch (error) {
		expect(isMeshError(error), String(error)).to.equal(true);
		expect((error as { code: string }).code).to.equal(code);
		return;
	}
	expect.fail('it was accepted');
}

/** One of each bit of a byte string, at some bytes: all of a short one, every 97th of a long one. */
export function* flipped(bytes: Uint8Array): Generator<Uint8Array> {
	for (let i = 0; i < bytes.byteLength; i += bytes.byteLength > 512 ? 97 : 1) {
		const copy = bytes.slice();
		copy[i] = (copy[i] ?? 0) ^ (1 << (i % 8));
		yield copy;
	}
}

/** A mesh with its root key at hand. */
export interface TestMesh {
	readonly root: KeyPair;
	readonly mesh: OpenedMesh;
	/** The first epoch. */
	readonly epoch: Uint8Array;
	/** A certificate of its root, good for 30 days from {@link NOW_MS}; `change` alters it before it is signed. */
	credentialOf(keys: NodeKeys, change?: Partial<MachineCert>): Uint8Array;
	/** Lets a machine renew serials 1 to 9, for a year. */
	delegationTo(keys: NodeKeys, change?: Partial<Enroller>): Uint8Array;
	epochAfter(previous: Uint8Array | undefined, change?: Partial<MeshEpoch>): Uint8Array;
}

export function createTestMesh(name = 'home'): TestMesh {
	const root = createKeyPair();
	const mesh = createMesh(name, root, NOW_MS);
	const keyringId = keyringIdOf(createKeyring());
	const epochAfter: TestMesh['epochAfter'] = (previous, change = {}) => {
		const before = previous === undefined ? undefined : peekRecord('mesh-epoch', previous);
		const body: MeshEpoch = {
			mesh: mesh.cid,
			seq: (before?.body.seq ?? 0) + 1,
			...(before === undefined ? {} : { prev: before.cid }),
			revoked: [],
			keyringId,
			nbf: NOW_MS,
			exp: NOW_MS + 365 * DAY_MS,
			...change,
		};
		return signRecord('mesh-epoch', body, root);
	};
	return {
		root,
		mesh,
		epochAfter,
		epoch: epochAfter(undefined),
		credentialOf: (keys, change = {}) => certifyMachine({ ...certOf(mesh, keys), ...change }, root),
		delegationTo(keys, change = {}) {
			const machineId = keys.peer.peerId as MachineId;
			const terms = { machineId, sigKey: keys.signer.publicKey, serialMin: 1, serialMax: 9 };
			const body = { mesh: mesh.cid, ...terms, nbf: NOW_MS, exp: NOW_MS + 365 * DAY_MS, ...change };
			return signRecord('enroller', body, root);
		},
	};
}

/** What a certificate of these keys says, before anybody changes it. */
export function certOf(mesh: OpenedMesh, keys: NodeKeys = createNodeKeys()): MachineCert {
	return {
		mesh: mesh.cid,
		machineId: keys.peer.peerId as MachineId,
		sigKey: keys.signer.publicKey,
		kemKey: keys.kem.publicKey,
		caps: [],
		labels: { zone: 'attic' },
		serial: 7,
		nbf: NOW_MS,
		exp: NOW_MS + 30 * DAY_MS,
	};
}

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
		...defaultAdmissionTerms(2),
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
		manifest: manifest.bytes,
	};
	return { owner, tenderKey, wid, charter, bundle };
}
