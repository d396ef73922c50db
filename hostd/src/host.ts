/** One host, composed: machine node, scheduler, runtime, pods, local API. */
import { MeshError } from '@beemesh/sdk/errors';
import { suite } from '@beemesh/sdk/identity';
import type { Logger, MetricsRegistry } from '@beemesh/sdk/telemetry';
import type { HostInfo } from './api/contract.ts';
import { serveOwners } from './api/server.ts';
import { type HostConfig, hostNameOf } from './config.ts';
import { loadNodeKeys } from './enrolment/node-keys.ts';
import { openMembership } from './enrolment/open.ts';
import { createMeshNode } from './mesh/index.ts';
import { serveMetrics } from './metrics-server.ts';
import { createPodManager } from './pods/index.ts';
import { loadHostPolicy } from './policy/index.ts';
import { allocatableOf, createAccountant, readMachineFacts } from './resources/index.ts';
import { openRuntime } from './runtime/open.ts';
import { createScheduler } from './scheduler/index.ts';
import { holdStateDir } from './state-dir.ts';
import { VERSION } from './version.ts';
import { MachineWorkloadsApi } from './workloads/contract.ts';
import { EndedWorkloads } from './workloads/ended.ts';
import { Fleet } from './workloads/fleet.ts';
import { Hosting } from './workloads/hosting.ts';

export interface Host {
	readonly info: HostInfo;
	/** Drains this host and closes everything. */
	stop(): Promise<void>;
}

/** Starts in the order of dependence; what was started is closed again when a later part fails. */
export async function startHost(components: {
	readonly config: HostConfig;
	readonly logger: Logger;
	readonly metrics: MetricsRegistry;
	readonly nowMs: () => number;
}): Promise<Host> {
	const { config, logger, metrics, nowMs } = components;
	const startedAtMs = nowMs();
	const started = new AsyncDisposableStack();
	try {
		const policy = await loadHostPolicy(config);
		started.use(await holdStateDir(config.stateDir));
		const keys = await loadNodeKeys(config.stateDir);
		const { stateDir, bundle, dev, labels } = config;
		const machine = { name: hostNameOf(config, undefined), keys };
		const membership = await openMembership({ stateDir, bundle, dev, labels, ...machine, logger, nowMs });
		const name = hostNameOf(config, membership.bundle.name);
		const runtime = started.use(await openRuntime(config, membership.machineId, policy));
		const runtimeVersion = await runtime.check();
		const capacity = allocatableOf(await readMachineFacts({ stateDir: config.stateDir }), config.reserve);
		const resources = createAccountant(capacity);
		const pods = createPodManager({ runtime, stateDir: config.stateDir, logger });
		started.defer(() => pods.close());
		const ended = new EndedWorkloads();
		const hosting = new Hosting({ config, name, runtime, pods, resources, ended, membership, logger, nowMs });
		started.defer(() => hosting.close());

		let leaving = false;
		const mesh = started.use(
			await createMeshNode({
				membership,
				name,
				labels: config.labels,
				listen: [quicAddress(config.bind, config.port)],
				announce: config.advertise === undefined ? [] : [quicAddress(config.advertise, config.port)],
				join: [...new Set([...config.join, ...membership.bundle.join])],
				logger,
				metrics,
				presence: {
					current: () => ({
						runtime: config.runtime,
						version: VERSION,
						capacity,
						free: resources.free(),
						pods: hosting.podCount,
						leaving,
					}),
					onChange: (listener) => resources.onChange(listener),
				},
			}),
		);
		const fleet = new Fleet(mesh, hosting);
		started.use(
			mesh.onHosts((event) => {
				if (event.type !== 'up') return;
				const { machineId } = event.presence;
				fleet.tell(machineId, ended.envelopes()).catch((error: unknown) => {
					logger.debug('a host did not hear which workloads were deleted', { machineId, error });
				});
			}),
		);
		const scheduler = createScheduler({
			mesh,
			resources,
			logger,
			metrics,
			admits: ({ manifest, charter }) => policy.check(manifest, charter.body),
			deploy: (award, opened, signal, replyKey) => hosting.deploy(award, opened, signal, replyKey),
		});
		started.use(scheduler);
		hosting.connect({ mesh, scheduler, fleet });
		mesh.rpc.services.serve(MachineWorkloadsApi, {
			members: ({ wid }) => ({ members: hosting.members(wid) }),
			rosters: ({ wid }) => ({ sealed: hosting.rosters(wid) }),
			ended: ({ end }) => {
				hosting.end(end);
				return {};
			},
		});
		await hosting.adopt();

		const info: HostInfo = {
			machineId: mesh.machineId,
			name,
			addresses: [...mesh.addresses()],
			version: VERSION,
			runtime: config.runtime,
			runtimeVersion,
			startedAtMs,
			mesh: membership.trust.mesh.body.name,
			meshId: membership.meshId,
			cryptography: suite.backend,
		};
		started.use(
			await serveOwners({
				socket: config.socket,
				mesh,
				scheduler,
				fleet,
				logger,
				info: () => info,
				workloads: hosting,
			}),
		);
		if (config.metrics !== undefined) {
			const server = await serveMetrics(config.metrics, metrics);
			started.defer(() => void server.close());
		}
		logger.info('host ready', { ...info, socket: config.socket, ms: nowMs() - startedAtMs });

		return {
			info,
			async stop() {
				leaving = true;
				mesh.announce();
				await hosting.drain();
				await started.disposeAsync();
				logger.info('host stopped');
			},
		};
	} catch (error) {
		await started.disposeAsync();
		if (error instanceof MeshError) throw error;
		throw new MeshError('internal', `hostd cannot start: ${(error as Error).message}`, { cause: error });
	}
}

function quicAddress(ip: string, port: number): string {
	return `/${ip.includes(':') ? 'ip6' : 'ip4'}/${ip}/udp/${port}/quic-v1`;
}
