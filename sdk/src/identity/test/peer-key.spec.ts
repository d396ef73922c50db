import { expect } from 'chai';
import { describe, it } from 'mocha';
import { base58btc } from 'multiformats/bases/base58';
import type { PeerId } from '../../wire/index.ts';
import { createKemKey, createKeyPair } from '../keys.ts';
import { createPeerKey, verifyPeerProof } from '../peer-key.ts';
import { flipped, refused } from './fixtures.ts';

const keys = () => ({ sigKey: createKeyPair().publicKey, kemKey: createKemKey().publicKey });

describe('peer keys', () => {
	it('have the peer ID that libp2p gives the same seed', () => {
		// RFC 8032, section 7.1, test 1; the peer ID is the identity multihash of its protobuf form (libp2p peer-ids).
		const seed = Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex');
		const publicKey = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a';
		const multihash = base58btc.baseDecode(createPeerKey(seed).peerId);
		expect(Buffer.from(multihash).toString('hex')).to.equal(`002408011220${publicKey}`);
		expect(createPeerKey().peerId).to.match(/^12D3KooW/);
		for (const bytes of [0, 31, 33, 64]) refused('invalid_input', () => createPeerKey(new Uint8Array(bytes)));
	});

	it('prove that their holder wants keys certified, those and no others', () => {
		const peer = createPeerKey();
		const [mine, other] = [keys(), keys()];
		const proof = peer.proofFor(mine);
		expect(verifyPeerProof(peer.peerId, mine, proof)).to.equal(true);
		expect(verifyPeerProof(peer.peerId, other, proof)).to.equal(false);
		expect(verifyPeerProof(peer.peerId, { ...mine, kemKey: other.kemKey }, proof)).to.equal(false);
		expect(verifyPeerProof(peer.peerId, { ...mine, sigKey: other.sigKey }, proof)).to.equal(false);
		expect(verifyPeerProof(createPeerKey().peerId, mine, proof)).to.equal(false);
		for (const bytes of flipped(proof)) expect(verifyPeerProof(peer.peerId, mine, bytes)).to.equal(false);
		for (const length of [0, 32, 63])
			expect(verifyPeerProof(peer.peerId, mine, proof.subarray(0, length))).to.equal(false);
	});

	it('do not let bytes move from one of the keys into the other', () => {
		const peer = createPeerKey();
		const mine = keys();
		const moved = {
			sigKey: mine.sigKey.subarray(0, -1),
			kemKey: new Uint8Array([mine.sigKey.at(-1) ?? 0, ...mine.kemKey]),
		};
		// The same bytes in a row.
		expect(verifyPeerProof(peer.peerId, moved, peer.proofFor(mine))).to.equal(false);
	});

	it('are of Ed25519 only', () => {
		const mine = keys();
		const proof = createPeerKey().proofFor(mine);
		const rsa = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N';
		const secp256k1 = '16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY';
		for (const peerId of [rsa, secp256k1, '', '12D3KooW', 'not base58: 0OIl'])
			expect(verifyPeerProof(peerId as PeerId, mine, proof), peerId).to.equal(false);
	});
});
