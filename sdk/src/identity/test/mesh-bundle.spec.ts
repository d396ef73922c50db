import { expect } from 'chai';
import { describe, it } from 'mocha';
import { encodeRecord, type MachineId } from '../../wire/index.ts';
import { sealTo } from '../keys.ts';
import { createNodeKeys } from '../machine.ts';
import { createKeyring, keyringIdOf, type MeshBundle, openMeshBundle, sealMeshBundle } from '../mesh-bundle.ts';
import { createTestMesh, flipped, refused } from './fixtures.ts';

describe('a machine’s bundle', () => {
	const { mesh, epoch, credentialOf, delegationTo } = createTestMesh();
	const [bee, ant] = [createNodeKeys(), createNodeKeys()];
	const idOf = ({ peer }: typeof bee) => peer.peerId as MachineId;
	const bundle: MeshBundle = {
		genesis: mesh.envelope,
		epoch,
		credential: credentialOf(bee),
		enroller: delegationTo(bee),
		keyrings: [createKeyring(), createKeyring()],
		join: [`/ip4/192.0.2.7/udp/4700/quic-v1/p2p/${idOf(ant)}`],
	};
	const file = sealMeshBundle(bundle, idOf(bee), bee.kem.publicKey);

	it('is opened by that machine', () => {
		expect(openMeshBundle(file, idOf(bee), bee.kem)).to.deep.equal(bundle);
	});

	it('is opened by no other, also one that renames it', () => {
		refused('unauthorized', () => openMeshBundle(file, idOf(ant), ant.kem));
		refused('unauthorized', () => openMeshBundle(file, idOf(bee), ant.kem));
		expect(() => openMeshBundle(file, idOf(ant), ant.kem)).to.throw(`is for machine ${idOf(bee)}`);
	});

	it('hides every secret in it', () => {
		const hex = Buffer.from(file).toString('hex');
		for (const { psk, groupKey } of bundle.keyrings)
			for (const secret of [psk, groupKey]) expect(hex).not.to.contain(Buffer.from(secret).toString('hex'));
		expect(hex).not.to.contain(Buffer.from(bundle.credential.subarray(20, 60)).toString('hex'));
	});

	it('is refused when any byte was changed, or it is something else', () => {
		for (const bytes of flipped(file)) expect(() => openMeshBundle(bytes, idOf(bee), bee.kem)).to.throw();
		refused('invalid_input', () => openMeshBundle(encodeRecord({}), idOf(bee), bee.kem));
		refused('invalid_input', () => openMeshBundle(file.subarray(0, 100), idOf(bee), bee.kem));
		refused('invalid_input', () => openMeshBundle(new Uint8Array(257 * 1024), idOf(bee), bee.kem));
	});

	it('is refused when it was sealed for another purpose, or holds something else', () => {
		const sealed = (what: string, content: unknown) =>
			encodeRecord({ machineId: idOf(bee), sealed: sealTo(bee.kem.publicKey, what, encodeRecord(content)) });
		openMeshBundle(sealed('mesh-bundle', bundle), idOf(bee), bee.kem);
		refused('unauthorized', () => openMeshBundle(sealed('keyring', bundle), idOf(bee), bee.kem));
		for (const content of [{}, { ...bundle, keyrings: [] }, { ...bundle, x: 1 }, { ...bundle, join: [1] }])
			refused('invalid_input', () => openMeshBundle(sealed('mesh-bundle', content), idOf(bee), bee.kem));
	});
});

describe('keyrings', () => {
	it('are random, and named by what is in them', () => {
		const [a, b] = [createKeyring(), createKeyring()];
		expect(keyringIdOf(a))
			.to.deep.equal(keyringIdOf({ ...a }))
			.and.to.have.length(32);
		expect(keyringIdOf(a)).not.to.deep.equal(keyringIdOf(b));
		expect(keyringIdOf(a)).not.to.deep.equal(keyringIdOf({ psk: a.groupKey, groupKey: a.psk }));
	});
});
