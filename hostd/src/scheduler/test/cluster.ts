/** Hosts in one process on a memory network: real mesh nodes and schedulers; only wire, gossip and DHT are in memory. */
import { createNodeKeys } from '@beemesh/sdk/identity';
import type { Transport } from '@beemesh/sdk/streams';
import { type Logger, silentMetrics } from '@beemesh/sdk/telemetry';
import { createMemoryNetwork, type MemoryNetwork } from '@beemesh/sdk/testing';
import type { Award, MachineId, Resources } from '@beemesh/sdk/wire';
import type { Dht, Gossip, GossipHandler, MeshNode } from '../../mesh/index.ts';
import { systemClock } from '../../mesh/index.ts';
import { createNode } from '../../mesh/node.ts';
import { presenceSource, testLogger, whenHosts } from '../../mesh/test/host.ts';
import { createTestRoot } from '../../mesh/test/root.ts';
import { type Accountant, createAccountant } from '../../resources/index.ts';
import type { Deploy } from '../deployer.ts';
import { createScheduler, type Scheduler, type SchedulerOptions } from '../index.ts';
import { admissionOf } from './workload.ts';

export interface SchedulerHost extends AsyncDisposable {
	readonly machineId: MachineId;
	readonly mesh: MeshNode;
	readonly resources: Accountant;
	readonly scheduler: Scheduler;
	/** Awards whose pods run here. */
	readonly pods: Set<Award>;
}

const CAPACITY: Resources = { cpuMillis: 4_000, memoryBytes: 64 * 1024, diskBytes: 2 ** 40 };

/** A scheduler on a mesh node, whose pods do nothing but join. */
export function startScheduler(
	mesh: MeshNode,
	options: { readonly capacity?: Partial<Resources>; readonly deploy?: Deploy } & Pick<
		Partial<SchedulerOptions>,
		'admits' | 'requester' | 'bidder'
	> = {},
	logger: Logger = testLogger(mesh.self().name),
): SchedulerHost {
	const { capacity, deploy, ...rest } = options;
	const resources = createAccountant({ ...CAPACITY, ...capacity });
	const pods = new Set<Award>();
	const join: Deploy = async (award, { charter }, signal, replyKey) => {
		const papers = admissionOf(award, mesh.membership.keys, createNodeKeys(), charter.body);
		await scheduler.requestAdmission(
			{ awardId: award.awardId, requester: award.requester, replyKey, ...pick(papers) },
			signal,
		);
		pods.add(award);
	};
	const scheduler = createScheduler({
		mesh,
		resources,
		deploy: deploy ?? join,
		logger,
		metrics: silentMetrics,
		...rest,
	});
	return {
		machineId: mesh.machineId,
		mesh,
		resources,
		scheduler,
		pods,
		async [Symbol.asyncDispose]() {
			await scheduler[Symbol.asyncDispose]();
			await mesh[Symbol.asyncDispose]();
		},
	};
}

function pick({ csr, cert, statement }: ReturnType<typeof admissionOf>) {
	return { csr, cert, statement };
}

export interface Cluster extends AsyncDisposable {
	readonly network: MemoryNetwork;
	readonly hosts: readonly SchedulerHost[];
}

export async function startCluster(
	size: number,
	options: NonNullable<Parameters<typeof startScheduler>[1]> & {
		/** Looks at what a host sends and hears. */
		readonly tap?: (transport: Transport, host: number) => Transport;
		/** Default: silent. */
		readonly logger?: (host: number) => Logger;
		/** What a host says of itself, beside what is certified. */
		readonly declares?: (host: number) => Readonly<Record<string, string>>;
	} = {},
): Promise<Cluster> {
	const { tap = untapped, declares = () => ({}), logger: loggerOf, ...rest } = options;
	const network = createMemoryNetwork();
	const hub = createHub();
	const root = createTestRoot();
	const hosts: SchedulerHost[] = [];
	for (let i = 0; i < size; i++) {
		const name = `host-${i}`;
		const membership = root.enrol(createNodeKeys(), { labels: { name, parity: i % 2 === 0 ? 'even' : 'odd' } });
		const { machineId } = membership;
		const first = hosts[0];
		const logger = loggerOf?.(i) ?? testLogger(name);
		const mesh = createNode({
			transport: tap(network.join(machineId), i),
			gossip: hub.gossip(machineId),
			dht: hub.dht(machineId),
			membership,
			name,
			labels: declares(i),
			join: first === undefined ? [] : [`/memory/${first.machineId}/p2p/${first.machineId}`],
			presence: presenceSource(),
			logger,
			metrics: silentMetrics,
			clock: systemClock,
			random: Math.random,
		});
		hosts.push(startScheduler(mesh, rest, logger));
	}
	// Handshakes of all with all take seconds of a processor, in which no bid would come in time.
	await Promise.all(hosts.map(({ mesh }) => whenConnected(mesh, size - 1)));
	await Promise.all(hosts.map(({ mesh }) => whenHosts(mesh, (present) => present.length === size)));
	return {
		network,
		hosts,
		async [Symbol.asyncDispose]() {
			await Promise.all(hosts.map((host) => host[Symbol.asyncDispose]()));
		},
	};
}

function whenConnected({ rpc }: MeshNode, count: number): Promise<void> {
	return new Promise((resolve) => {
		const look = (): void => {
			if (rpc.sessions().length < count) return;
			listening[Symbol.dispose]();
			resolve();
		};
		const listening = rpc.onSession(look);
		look();
	});
}

const untapped = (transport: Transport): Transport => transport;

/** Gossip as one hub that everybody hears, and a DHT as one table. */
function createHub(): { gossip(self: MachineId): Gossip; dht(self: MachineId): Dht } {
	const topics = new Map<string, Map<MachineId, GossipHandler>>();
	const values = new Map<string, Uint8Array>();
	const providers = new Map<string, Set<MachineId>>();
	const nameOf = (key: Uint8Array): string => Buffer.from(key).toString('hex');
	return {
		gossip: (self) => ({
			async publish(topic, data) {
				await Promise.resolve();
				const reached = new Set<MachineId>();
				for (const [machineId, handler] of topics.get(topic) ?? []) {
					if (machineId === self) continue;
					handler(data, self);
					reached.add(machineId);
				}
				return reached;
			},
			subscribe(topic, handler) {
				const handlers = topics.get(topic) ?? new Map<MachineId, GossipHandler>();
				topics.set(topic, handlers);
				handlers.set(self, handler);
				return { [Symbol.dispose]: () => void handlers.delete(self) };
			},
		}),
		dht: (self) => ({
			async provide(key) {
				const set = providers.get(nameOf(key)) ?? new Set<MachineId>();
				providers.set(nameOf(key), set.add(self));
			},
			async unprovide(key) {
				providers.get(nameOf(key))?.delete(self);
			},
			findProviders: async (key) => [...(providers.get(nameOf(key)) ?? [])].filter((machineId) => machineId !== self),
			async put(key, value) {
				values.set(key, value);
			},
			get: async (key) => values.get(key),
		}),
	};
}
