import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { PeerId } from '../../wire/ids.ts';
import { createLibp2pNode, peerIdFromSeed } from '../libp2p/index.ts';
import { createMemoryNetwork } from '../memory/index.ts';
import { createTestMesh } from '../session/test/identities.ts';
import type { Transport } from '../transport.ts';
import { transportSuite } from './transport-suite.ts';

transportSuite('memory', async () => {
	const network = createMemoryNetwork();
	return [network.join('a' as PeerId), network.join('b' as PeerId)];
});

const overLibp2p = (listen: string) => async (): Promise<[Transport, Transport]> => {
	const mesh = createTestMesh();
	const make = async (name: string) => {
		const seed = randomBytes(32);
		const session = mesh.issue(name, peerIdFromSeed(seed));
		return (await createLibp2pNode({ seed, listen: [listen], session })).transport;
	};
	return [await make('a'), await make('b')];
};

transportSuite('libp2p (QUIC)', overLibp2p('/ip4/127.0.0.1/udp/0/quic-v1'));
transportSuite('libp2p (TCP)', overLibp2p('/ip4/127.0.0.1/tcp/0'));

describe('addresses told to others', () => {
	const told = async (announce: string[]): Promise<readonly string[]> => {
		const seed = randomBytes(32);
		const { transport } = await createLibp2pNode({
			seed,
			listen: ['/ip4/127.0.0.1/udp/0/quic-v1'],
			announce,
			session: createTestMesh().issue('teller', peerIdFromSeed(seed)),
		});
		const addresses = transport.addresses();
		await transport[Symbol.asyncDispose]();
		return addresses.map((address) => address.replace(/\/p2p\/.*/, ''));
	};

	it('leave out loopback, which is another machine to everybody else', async () => {
		const [loopback, other] = ['/ip4/127.0.0.1/udp/7000/quic-v1', '/ip4/192.0.2.1/udp/7000/quic-v1'];
		expect(await told([loopback, other])).to.deep.equal([other]);
	});

	it('keep loopback when there is nothing else: all are on one machine then', async () => {
		expect((await told([])).every((address) => address.startsWith('/ip4/127.0.0.1/udp/'))).to.equal(true);
		expect(await told([])).to.have.length(1);
	});
});
