import { generateKeyPair } from '@libp2p/crypto/keys';
import type { PeerId as Libp2pPeerId, MultiaddrConnection } from '@libp2p/interface';
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { isMeshError } from '../../errors.ts';
import { createPeerKey } from '../../identity/index.ts';
import type { PeerId } from '../../wire/ids.ts';
import { ConnectionGate } from './gate.ts';

type Fake = MultiaddrConnection & { close(): Promise<void> };

function connectionFrom(address: string): Fake {
	const events = new EventTarget();
	const fake = {
		remoteAddr: multiaddr(`/ip4/${address}/udp/1234/quic-v1`),
		status: 'open',
		addEventListener: events.addEventListener.bind(events),
		close: async () => void events.dispatchEvent(new Event('close')),
	};
	return fake as unknown as Fake;
}

const newPeer = (): Libp2pPeerId => peerIdFromString(createPeerKey().peerId);

function codeOf(act: () => void): string {
	try {
		act();
		return 'let in';
	} catch (error) {
		return isMeshError(error) ? error.code : 'thrown';
	}
}

describe('connection gate', () => {
	it('knows peers of Ed25519 keys only, whoever dials', async () => {
		const gate = new ConnectionGate();
		for (const type of ['RSA', 'secp256k1'] as const) {
			const peer = peerIdFromPrivateKey(await (type === 'RSA' ? generateKeyPair('RSA', 2048) : generateKeyPair(type)));
			const connection = connectionFrom('192.0.2.1');
			expect(codeOf(() => gate.admit(connection, peer))).to.equal('unauthorized');
			expect(codeOf(() => gate.requireSpokenTo(peer))).to.equal('unauthorized');
			expect(gate.gater.denyDialPeer?.(peer)).to.equal(true);
			expect(gate.gater.denyInboundEncryptedConnection?.(peer, connection)).to.equal(true);
			expect(gate.gater.denyOutboundEncryptedConnection?.(peer, connection)).to.equal(true);
		}
		const peer = newPeer();
		expect(gate.gater.denyDialPeer?.(peer)).to.equal(false);
		expect(gate.gater.denyInboundEncryptedConnection?.(peer, connectionFrom('192.0.2.1'))).to.equal(false);
	});

	it('lets so many and so fast in from one address, and does not count loopback', () => {
		let nowMs = 0;
		const limits = { perAddressMax: 20, perAddressAndSecond: 5 };
		const gate = new ConnectionGate({ limits, nowMs: () => nowMs });
		const dial = (address = '192.0.2.1'): string => codeOf(() => gate.admit(connectionFrom(address), newPeer()));
		const letIn = (count: number): number =>
			Array.from({ length: count }, () => dial()).filter((code) => code === 'let in').length;
		expect(letIn(30)).to.equal(10);
		expect(dial('192.0.2.2')).to.equal('let in');
		for (let i = 0; i < 100; i++) expect(dial('127.0.0.1')).to.equal('let in');
		nowMs += 1_000;
		expect(letIn(30)).to.equal(5);
		nowMs += 10_000;
		expect(letIn(30), 'the limit of open ones').to.equal(5);
		expect(dial()).to.equal('exhausted');
	});

	it('counts what is open, of addresses and peers, until it is closed', async () => {
		const gate = new ConnectionGate({ limits: { perAddressMax: 2, perAddressAndSecond: 100, perPeerMax: 3 } });
		const peer = newPeer();
		const open = [connectionFrom('192.0.2.1'), connectionFrom('192.0.2.1'), connectionFrom('192.0.2.2')];
		for (const connection of open) gate.admit(connection, peer);
		expect(codeOf(() => gate.admit(connectionFrom('192.0.2.1'), newPeer()))).to.equal('exhausted');
		expect(codeOf(() => gate.admit(connectionFrom('192.0.2.3'), peer))).to.equal('exhausted');
		// libp2p asks again after the handshake; that is the same one.
		expect(gate.gater.denyInboundConnection?.(open[0] as Fake)).to.equal(false);
		expect(gate.gater.denyInboundEncryptedConnection?.(peer, open[0] as Fake)).to.equal(false);
		await open[0]?.close();
		expect(codeOf(() => gate.admit(connectionFrom('192.0.2.1'), peer))).to.equal('let in');
	});

	it('lets nobody in whose handshakes keep failing, for seconds, and forgets failures before a success', () => {
		let nowMs = 0;
		const gate = new ConnectionGate({ limits: { failuresPerPeer: 3 }, nowMs: () => nowMs });
		const [bad, good] = [newPeer(), newPeer()];
		const attempts = (peer: Libp2pPeerId, count: number, hasFailed = true): number => {
			let letIn = 0;
			for (let i = 0; i < count; i++) {
				const connection = connectionFrom('127.0.0.1');
				if (codeOf(() => gate.admit(connection, peer)) !== 'let in') continue;
				letIn++;
				gate.handshakeOver(peer, hasFailed);
				void connection.close();
			}
			return letIn;
		};
		expect(attempts(bad, 100)).to.equal(3);
		expect(attempts(good, 2)).to.equal(2);
		expect(attempts(good, 100, false)).to.equal(100);
		expect(attempts(good, 100)).to.equal(3);
		nowMs = 1_999;
		expect(attempts(bad, 100)).to.equal(0);
		nowMs = 2_000;
		expect(attempts(bad, 100)).to.equal(1);
		nowMs = 4_000;
		expect(attempts(bad, 1, false)).to.equal(1);
		expect(attempts(bad, 100)).to.equal(3);
	});

	it('keeps out whom it was told to, for so long', () => {
		let nowMs = 0;
		const gate = new ConnectionGate({ nowMs: () => nowMs });
		const peer = newPeer();
		gate.ban(peer.toString() as PeerId, 60_000);
		nowMs = 59_999;
		expect(codeOf(() => gate.admit(connectionFrom('127.0.0.1'), peer))).to.equal('unauthorized');
		expect(gate.gater.denyDialPeer?.(peer)).to.equal(true);
		nowMs = 60_000;
		expect(codeOf(() => gate.admit(connectionFrom('127.0.0.1'), peer))).to.equal('let in');
	});

	it('dials whom somebody wants by name, and of others only those it may', () => {
		const gate = new ConnectionGate({ mayDial: () => false });
		const peer = newPeer();
		expect(gate.gater.denyDialPeer?.(peer)).to.equal(true);
		const wanted = gate.expecting(peer.toString() as PeerId);
		expect(gate.gater.denyDialPeer?.(peer)).to.equal(false);
		wanted[Symbol.dispose]();
		expect(gate.gater.denyDialPeer?.(peer)).to.equal(true);
	});
});
