/**
 * The frontend over a store in memory: the real server, the real contract's handlers and the real page, without a mesh.
 * Tests move the store's replicas by hand.
 */
import { type HttpServer, listen } from '@beemesh/example-kv-store/kit';
import { silentLogger } from '@beemesh/sdk/telemetry';
import { kvService } from '../../kv-store/src/serve.ts';
import { MemoryStore } from '../../kv-store/test/memory-store.ts';
import { assetRoutes } from '../src/assets.ts';
import { frontendHttp } from '../src/http.ts';
import { Live } from '../src/live.ts';
import { type FoundReplica, type OwnReplica, overviewOf } from '../src/overview.ts';
import { type KvClient, remoteStore, watchRemote } from '../src/remote-store.ts';

export interface Frontend {
	readonly store: MemoryStore;
	server: HttpServer;
	/** What the mesh would find; replace it to move replicas. */
	replicas: readonly FoundReplica[];
	/** Serves again at the same port, after the server was drained. */
	restart(): Promise<void>;
	close(): Promise<void>;
}

const peers = ['12D3KooWQ8tFaLfAzYKqaWmZ1Rk3', '12D3KooWHvzVbnQm7xT2cD5eP9sU', '12D3KooWLc4ZJrXn6yB8fG1hK2mN'];

/** Three replicas in term 7, of which the first leads, or another, or none. */
export function threeReplicas(leader: number | 'none' = 0): FoundReplica[] {
	const members = peers.map((replica, i) => ({ id: i + 1, name: `kv-store-${i}`, voter: true, replica }));
	return peers.map((replica, i) => ({
		replica,
		name: `kv-store-${i}`,
		ready: leader !== 'none',
		rttMs: 0.4 + i,
		status: {
			self: { id: i + 1, replica, name: `kv-store-${i}` },
			role: leader === 'none' ? 'candidate' : i === leader ? 'leader' : 'follower',
			term: 7,
			...(leader === 'none' ? {} : { leader: leader + 1 }),
			commitIndex: 1234,
			hasQuorum: leader !== 'none',
			members,
		},
	}));
}

const own: OwnReplica[] = [
	{ replica: '12D3KooWAb3NqS5tV7wX9yZ2aC4d', ready: true, self: true },
	{ replica: '12D3KooWEf6gHj8kLm2nPq4rSt6u', ready: true, self: false },
];

export async function startFrontend(): Promise<Frontend> {
	const store = new MemoryStore();
	const client = inProcess(store);
	const draining = new AbortController();
	let replicas: readonly FoundReplica[] = threeReplicas();
	const live = new Live(
		{
			watch: (options) => watchRemote(client, options),
			overview: async () =>
				overviewOf({ workload: 'kv-store', found: replicas }, { workload: 'web-frontend', replicas: own }),
		},
		draining.signal,
		{ pollMs: 10, retryMs: 10, recentMax: 50, queueMax: 1000 },
	);
	const assets = await assetRoutes(new URL('../public/', import.meta.url));
	const parts = {
		store: remoteStore(client),
		live,
		assets,
		log: silentLogger,
		draining: draining.signal,
		heartbeatMs: 1000,
	};
	const server = await listen(frontendHttp(parts), { host: '127.0.0.1', port: 0 });
	const frontend: Frontend = {
		store,
		server,
		async restart() {
			frontend.server = await listen(frontendHttp(parts), { host: '127.0.0.1', port: server.port });
		},
		get replicas() {
			return replicas;
		},
		set replicas(next) {
			replicas = next;
		},
		async close() {
			draining.abort();
			await frontend.server.drain(100);
		},
	};
	return frontend;
}

/** The contract's handlers, called without a network in between. */
function inProcess(store: MemoryStore): Pick<KvClient, 'get' | 'put' | 'delete' | 'list' | 'watch'> {
	const impl = kvService(store);
	const context = (signal = new AbortController().signal) => ({ signal });
	return {
		get: async (input) => impl.get(input, context()),
		put: async (input) => impl.put(input, context()),
		delete: async (input) => impl.delete(input, context()),
		list: async (input) => impl.list(input, context()),
		watch: (input, options) => impl.watch(input, context(options?.signal)),
	};
}
