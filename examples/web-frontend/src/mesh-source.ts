/** What the page shows, taken from the mesh: which replicas there are, and what those of the store say of themselves. */
import type { Workplane } from '@beemesh/sdk';
import type { LiveSource } from './live.ts';
import { overviewOf } from './overview.ts';
import { type KvClient, watchRemote } from './remote-store.ts';

/** A replica that needs longer to tell its status is shown as not answering. */
const STATUS_TIMEOUT_MS = 1000;

export function meshSource(wp: Workplane, kv: KvClient, store: string): LiveSource {
	return {
		watch: (options) => watchRemote(kv, options),
		async overview(signal) {
			const statuses = new Map<string, Awaited<ReturnType<KvClient['status']>>>();
			for await (const { from, value } of kv.all.status({}, { timeout: STATUS_TIMEOUT_MS, signal })) {
				if (value !== undefined) statuses.set(from.peer, value);
			}
			const found = wp.replicas({ workload: store }).map(({ peer, ready, rttMs }) => {
				const status = statuses.get(peer);
				return {
					replica: peer,
					ready,
					...(rttMs === undefined ? {} : { rttMs }),
					...(status === undefined ? {} : { status }),
				};
			});
			const own = wp.replicas().map(({ peer, ready }) => ({ replica: peer, ready, self: peer === wp.self.peer }));
			return overviewOf({ workload: store, found }, { workload: wp.self.workload, replicas: own });
		},
	};
}
