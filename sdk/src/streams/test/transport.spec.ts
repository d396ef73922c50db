import { randomBytes } from 'node:crypto';
import type { PeerId } from '../../wire/ids.ts';
import { createLibp2pNode } from '../libp2p/index.ts';
import { createMemoryNetwork } from '../memory/index.ts';
import type { Transport } from '../transport.ts';
import { transportSuite } from './transport-suite.ts';

transportSuite('memory', async () => {
	const network = createMemoryNetwork();
	return [network.join('a' as PeerId), network.join('b' as PeerId)];
});

const overLibp2p = (listen: string) => async (): Promise<[Transport, Transport]> => {
	const make = async () => (await createLibp2pNode({ seed: randomBytes(32), listen: [listen] })).transport;
	return [await make(), await make()];
};

transportSuite('libp2p (QUIC)', overLibp2p('/ip4/127.0.0.1/udp/0/quic-v1'));
transportSuite('libp2p (TCP)', overLibp2p('/ip4/127.0.0.1/tcp/0'));
