/** A peer in a process of its own, for tests that kill it. Arguments: seed, multiaddr to listen on, root of the mesh. */
import * as v from 'valibot';
import { createLibp2pNode, peerIdFromSeed } from '../libp2p/index.ts';
import { contract, rpc } from '../rpc/contract.ts';
import { createRpcNode } from '../rpc/node.ts';
import type { HelloExchange } from '../rpc/session.types.ts';
import { createTestMesh, type TestIdentity } from '../session/test/identities.ts';

export const PROTOCOL = '/test/rpc/1.0.0';
export const Names = contract('names', '1.0.0', { mine: rpc({ input: v.null(), output: v.string() }) });
export const openExchange: HelloExchange<string> = { hello: () => new Uint8Array(0), admit: (remote) => remote };

/** An identity in the mesh of this root, whose processes have nothing else in common. */
export function memberOf(root: Uint8Array, seed: Uint8Array): TestIdentity {
	const mesh = createTestMesh({ rootSeed: root, psks: [root.subarray(0, 32)] });
	return mesh.issue('member', peerIdFromSeed(seed));
}

if (import.meta.main) {
	const [seed = Buffer.of(), root = Buffer.of()] = [process.argv[2], process.argv[4]].map((hex = '') =>
		Buffer.from(hex, 'hex'),
	);
	const session = memberOf(root, seed);
	const { transport } = await createLibp2pNode({ seed, listen: [process.argv[3] ?? ''], session });
	const node = createRpcNode({ transport, protocol: PROTOCOL, exchange: openExchange });
	node.services.serve(Names, { mine: () => transport.peerId });
	console.log(JSON.stringify(transport.addresses()));
}
