/** The network of production: a libp2p node per replica, and on it the workload's own DHT. */
import type { SingleKadDHT } from '@libp2p/kad-dht';
import { createLibp2pNode } from '../streams/libp2p/index.ts';
import type { OpenNetwork } from './network.ts';
import { createWorkloadDht, workloadDhtService } from './workload-dht.ts';

export const openLibp2pNetwork: OpenNetwork = async (options) => {
	const { seed, listen, announce, session } = options;
	const { node, transport, sessions } = await createLibp2pNode({
		seed,
		session,
		listen,
		announce,
		agentVersion: 'beemesh-replica',
		services: { dht: workloadDhtService(options) },
	});
	const recheck = (): void => void sessions.recheck();
	return { transport, recheck, dht: createWorkloadDht(node.services.dht as SingleKadDHT, options) };
};
