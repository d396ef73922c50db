/** A peer in a process of its own, for tests that kill it. Arguments: seed (hex), multiaddr to listen on. */
import * as v from 'valibot';
import { createLibp2pNode } from '../libp2p/index.ts';
import { contract, rpc } from '../rpc/contract.ts';
import { createRpcNode } from '../rpc/node.ts';
import type { HelloExchange } from '../rpc/session.types.ts';

export const PROTOCOL = '/test/rpc/1.0.0';
export const Names = contract('names', '1.0.0', { mine: rpc({ input: v.null(), output: v.string() }) });
export const openExchange: HelloExchange<string> = { hello: () => new Uint8Array(0), admit: (remote) => remote };

if (import.meta.main) {
	const [, , seed = '', listen = ''] = process.argv;
	const { transport } = await createLibp2pNode({ seed: Buffer.from(seed, 'hex'), listen: [listen] });
	const node = createRpcNode({ transport, protocol: PROTOCOL, exchange: openExchange });
	node.services.serve(Names, { mine: () => transport.peerId });
	console.log(JSON.stringify(transport.addresses()));
}
