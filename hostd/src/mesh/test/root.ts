/** A mesh for tests: its root key is made from its name, so that several processes can enrol into the same one. */
import {
	certifyMachine,
	createKeyPair,
	createNodeKeys,
	hkdf,
	keyringIdOf,
	type MeshBundle,
	type NodeKeys,
	type OpenedMesh,
	openMesh,
	signRecord,
} from '@beemesh/sdk/identity';
import { KEY_BYTES, type Keyring, type MachineCert, type MachineId, type MeshEpoch } from '@beemesh/sdk/wire';
import { Membership } from '../membership.ts';

const YEAR_MS = 365 * 24 * 3_600_000;

export interface TestRoot {
	readonly mesh: OpenedMesh;
	bundle(keys: NodeKeys, change?: Partial<MachineCert>): MeshBundle;
	enrol(keys?: NodeKeys, change?: Partial<MachineCert>, more?: Partial<MeshBundle>): Membership;
	/** The next epoch, with secrets of its own. */
	epoch(seq: number, revoked?: readonly MachineId[]): { readonly envelope: Uint8Array; readonly keyring: Keyring };
	/** Lets this machine renew certificates with these serials. */
	delegate(keys: NodeKeys, serialMin: number, serialMax: number): Uint8Array;
}

export function createTestRoot(name = 'test'): TestRoot {
	const secret = new TextEncoder().encode(name);
	const root = createKeyPair(hkdf(secret, 'test-root', KEY_BYTES.seed));
	const genesisBody = { name, rootKey: root.publicKey, salt: new Uint8Array(16), createdMs: 0 };
	const mesh = openMesh(signRecord('mesh-genesis', genesisBody, root));
	const keyringOf = (seq: number): Keyring => ({
		psk: hkdf(secret, `test-psk-${seq}`, 32),
		groupKey: hkdf(secret, `test-group-${seq}`, 32),
	});
	const epoch: TestRoot['epoch'] = (seq, revoked = []) => {
		const keyring = keyringOf(seq);
		const body: MeshEpoch = {
			mesh: mesh.cid,
			seq,
			revoked: [...revoked],
			keyringId: keyringIdOf(keyring),
			nbf: 0,
			exp: Date.now() + YEAR_MS,
		};
		return { envelope: signRecord('mesh-epoch', body, root), keyring };
	};
	const bundle: TestRoot['bundle'] = (keys, change = {}) => {
		const first = epoch(1);
		const cert = {
			mesh: mesh.cid,
			machineId: keys.peer.peerId as MachineId,
			sigKey: keys.signer.publicKey,
			kemKey: keys.kem.publicKey,
			caps: [],
			labels: {},
			serial: 1,
			nbf: Date.now(),
			...change,
		};
		return {
			genesis: mesh.envelope,
			epoch: first.envelope,
			credential: certifyMachine(cert, root),
			keyrings: [first.keyring],
			join: [],
		};
	};
	return {
		mesh,
		bundle,
		enrol: (keys = createNodeKeys(), change = {}, more = {}) =>
			new Membership(keys, { ...bundle(keys, change), ...more }, Date.now()),
		epoch,
		delegate: (keys, serialMin, serialMax) =>
			signRecord(
				'enroller',
				{
					mesh: mesh.cid,
					machineId: keys.peer.peerId as MachineId,
					sigKey: keys.signer.publicKey,
					...{ serialMin, serialMax, nbf: 0, exp: Date.now() + YEAR_MS },
				},
				root,
			),
	};
}
