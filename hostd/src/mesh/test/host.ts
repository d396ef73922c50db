/** A real host on loopback QUIC, as far as the mesh goes. */
import { createNodeKeys } from '@beemesh/sdk/identity';
import { createLogger, type Logger, type Metrics, silentLogger, silentMetrics } from '@beemesh/sdk/telemetry';
import type { Presence } from '@beemesh/sdk/wire';
import type { Clock } from '../clock.ts';
import { createMeshNode, type Membership, type MeshNode, type PresenceSource } from '../index.ts';
import { createTestRoot } from './root.ts';

const NOTHING = { cpuMillis: 0, memoryBytes: 0, diskBytes: 0 };

export interface TestHost extends AsyncDisposable {
	readonly node: MeshNode;
	readonly membership: Membership;
	/** Changes what the host says of itself. */
	set(change: Partial<Presence>): void;
}

export function presenceSource(): PresenceSource & { set(change: Partial<Presence>): void } {
	const listeners = new Set<() => void>();
	let now = { runtime: 'memory', version: '0.0.0', capacity: NOTHING, free: NOTHING, pods: 0, leaving: false };
	return {
		current: () => now,
		onChange(listener) {
			listeners.add(listener);
			return () => void listeners.delete(listener);
		},
		set(change) {
			now = { ...now, ...change };
			for (const listener of listeners) listener();
		},
	};
}

export async function startHost(options: {
	readonly name: string;
	readonly mesh?: string;
	readonly join?: readonly string[];
	/** Of a host that comes back. */
	readonly seed?: Uint8Array;
	readonly membership?: Membership;
	readonly port?: number;
	/** @default silent, see {@link testLogger} */
	readonly logger?: Logger;
	readonly metrics?: Metrics;
	readonly clock?: Clock;
}): Promise<TestHost> {
	const certified = { labels: { name: options.name } };
	const membership = options.membership ?? createTestRoot(options.mesh).enrol(createNodeKeys(options.seed), certified);
	const source = presenceSource();
	const node = await createMeshNode({
		membership,
		name: options.name,
		labels: {},
		listen: [`/ip4/127.0.0.1/udp/${options.port ?? 0}/quic-v1`],
		join: options.join ?? [],
		presence: source,
		logger: options.logger ?? testLogger(options.name),
		metrics: options.metrics ?? silentMetrics,
		...(options.clock === undefined ? {} : { clock: options.clock }),
	});
	return {
		node,
		membership,
		set: (change) => source.set(change),
		[Symbol.asyncDispose]: () => node[Symbol.asyncDispose](),
	};
}

/** Silent, unless `BEEMESH_TEST_LOG` asks for a level. */
export function testLogger(host: string) {
	const level = process.env.BEEMESH_TEST_LOG;
	if (level !== 'debug' && level !== 'info') return silentLogger;
	return createLogger({
		level,
		format: 'text',
		sink: (line) => console.error(line),
		nowMs: Date.now,
		fields: { host },
	});
}

/** Resolves when the condition holds, looking again at each change of who is present. */
export function whenHosts(node: MeshNode, holds: (hosts: readonly Presence[]) => boolean): Promise<void> {
	return new Promise((resolve) => {
		const look = (): void => {
			if (!holds(node.hosts())) return;
			subscription[Symbol.dispose]();
			resolve();
		};
		const subscription = node.onHosts(look);
		look();
	});
}
