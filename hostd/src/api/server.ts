/** The local API on this host's unix socket: 0600 in a 0700 folder, no TCP listener. */
import { MeshError } from '@beemesh/sdk/errors';
import { createServices, listenUnix, openSession, type UnixListener } from '@beemesh/sdk/streams';
import type { Logger } from '@beemesh/sdk/telemetry';
import type { MachineId } from '@beemesh/sdk/wire';
import type { MeshNode } from '../mesh/index.ts';
import type { Scheduler } from '../scheduler/index.ts';
import type { Fleet } from '../workloads/fleet.ts';
import { HostApi, type HostInfo } from './contract.ts';

export interface LocalApiOptions {
	readonly socket: string;
	readonly mesh: MeshNode;
	readonly scheduler: Scheduler;
	readonly fleet: Fleet;
	readonly info: () => HostInfo;
	/** Log lines of a pod of this host. Verifies the request's signature. */
	readonly logs: (input: LogsInput, signal: AbortSignal) => AsyncIterable<LogsLine>;
	readonly logger: Logger;
}

export interface LogsInput {
	readonly request: Uint8Array;
	readonly podId: string;
	readonly container?: string | undefined;
	readonly follow: boolean;
	readonly tail?: number | undefined;
	readonly timestamps: boolean;
}

export interface LogsLine {
	readonly stream: 'stdout' | 'stderr';
	readonly timeMs: number;
	readonly line: string;
}

/** Throws `conflict` when another hostd serves this socket. */
export async function serveLocalApi(options: LocalApiOptions): Promise<UnixListener> {
	const { mesh, scheduler, fleet, logger } = options;
	const services = createServices<undefined>({
		onFailure: ({ error, what }) => logger.error('local call failed', { what, error }),
	});
	services.serve(HostApi, {
		info: () => options.info(),
		hosts: () => ({ hosts: [...mesh.hosts()] }),
		credential: () => ({
			credential: mesh.membership.credential,
			genesis: mesh.membership.trust.mesh.envelope,
		}),
		meshEpoch: ({ epoch, keyring }) => {
			mesh.membership.offerEpoch(epoch);
			if (keyring !== undefined) mesh.membership.offerSealedKeyring(keyring);
			return { hostsReached: mesh.rpc.sessions().length + 1 };
		},
		inventory: ({ request }) => fleet.inventory(request),
		charter: ({ charter, manifest }) => fleet.charter(charter, manifest),
		place: (request, { signal }) => scheduler.place(request, signal),
		admit: async (request) => {
			await scheduler.admit(request);
			return {};
		},
		logs: ({ machineId, ...input }, { signal }) => logsOf(machineId, input, signal),
	});

	async function* logsOf(machineId: MachineId, input: LogsInput, signal: AbortSignal): AsyncGenerator<LogsLine> {
		if (machineId === mesh.machineId) {
			yield* options.logs(input, signal);
			return;
		}
		const caller = await fleet.caller(machineId);
		const { container, tail, ...rest } = input;
		yield* caller.logs(
			{ ...rest, ...(container === undefined ? {} : { container }), ...(tail === undefined ? {} : { tail }) },
			{ signal },
		);
	}

	try {
		return await listenUnix(options.socket, (stream) => {
			openSession(stream, {
				remote: 'local',
				initiator: false,
				services,
				exchange: { hello: () => new Uint8Array(), admit: () => undefined },
			}).catch((error: unknown) => logger.debug('local session refused', { error }));
		});
	} catch (error) {
		if (error instanceof MeshError) throw error;
		throw new MeshError('unavailable', `cannot listen on ${options.socket}: ${(error as Error).message}`, {
			cause: error,
		});
	}
}
