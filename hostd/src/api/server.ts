/**
 * Where owners reach this host: its unix socket (0600 in a 0700 folder, no TCP listener), and other hosts that relay. Every
 * call is in a session between the owner and this host; what is for another host is carried there unread.
 */
import { isMeshError, MeshError } from '@beemesh/sdk/errors';
import { openRecord, peekRecord } from '@beemesh/sdk/identity';
import { type ByteStream, createServices, listenUnix, openSession, Sessions, secureStream } from '@beemesh/sdk/streams';
import type { Logger } from '@beemesh/sdk/telemetry';
import type { MachineId, OwnerId, PeerId, WorkloadId } from '@beemesh/sdk/wire';
import type { MeshNode } from '../mesh/index.ts';
import type { Scheduler } from '../scheduler/index.ts';
import type { Fleet } from '../workloads/fleet.ts';
import { HostApi, type HostInfo, type WorkloadView } from './contract.ts';
import { hostOwnerIdentity, type OwnerPrincipal } from './host-identity.ts';
import { OWNER_RELAY, OWNER_SESSION } from './owner-session.ts';
import { readAsk, refusal, writeAnswer } from './preface.ts';
import { type RelayConfig, Relays } from './relay.ts';

/** A live owner says whom it wants in its first packet. */
const PREFACE_MS = 5_000;
/** To another host; a live one answers in milliseconds. */
const DIAL_MS = 2_000;
const SESSIONS_MAX = 512;
/** That one other host carries here, so that it cannot keep the others' owners out. */
const SESSIONS_PER_RELAY_MAX = 64;

export interface OwnerApiOptions {
	readonly socket: string;
	readonly mesh: MeshNode;
	readonly scheduler: Scheduler;
	readonly fleet: Fleet;
	readonly workloads: OwnersWorkloads;
	readonly info: () => HostInfo;
	readonly logger: Logger;
	readonly relay?: Partial<RelayConfig>;
	/** The way to another host. Default: over the machine plane. */
	readonly dial?: (machineId: MachineId, signal: AbortSignal) => Promise<ByteStream>;
}

/** What this host runs, of one owner. */
export interface OwnersWorkloads {
	inventory(owner: OwnerId): WorkloadView[];
	/** Pods of the workload that this charter is of. */
	charter(charter: Uint8Array, manifest: Uint8Array | undefined): number;
	/** Sealed; the newest first, as many as fit into one message. */
	ownRosters(owner: OwnerId, wid: WorkloadId): Uint8Array[];
	/** Pods of the workload that were told. */
	checkpoint(owner: OwnerId, wid: WorkloadId, sealed: Uint8Array): number;
	logs(owner: OwnerId, input: LogsInput, signal: AbortSignal): AsyncIterable<LogsLine>;
}

export interface LogsInput {
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
export async function serveOwners(options: OwnerApiOptions): Promise<AsyncDisposable> {
	const { mesh, logger, socket } = options;
	const services = ownerServices(options);
	const sessions = new Sessions({ identity: hostOwnerIdentity(mesh.membership), self: mesh.machineId });
	const relays = new Relays(options.relay);
	const dial =
		options.dial ??
		((machineId, signal) => {
			const presence = mesh.hosts().find((host) => host.machineId === machineId);
			if (presence === undefined) throw new MeshError('unavailable', 'it is not in the mesh now');
			return mesh.transport.dial(machineId, OWNER_RELAY, { addresses: presence.addresses, signal });
		});

	async function serve(stream: ByteStream): Promise<void> {
		if (sessions.sessions().length >= SESSIONS_MAX) {
			stream.abort(new MeshError('exhausted', 'too many owners are connected'));
			return;
		}
		const { identity } = sessions;
		const secured = await secureStream(stream, { role: 'responder', identity, protocol: OWNER_SESSION, sessions });
		const exchange = { hello: () => new Uint8Array(), admit: () => secured.principal };
		await openSession(secured, { remote: 'local', initiator: false, services, exchange });
	}

	async function greet(socketStream: ByteStream): Promise<void> {
		const target = await admitted(socketStream);
		if (target === undefined) return;
		const { stream, remote } = target;
		if (remote === undefined) await serve(stream);
		else await relays.join(stream, remote).finally(() => target.relay?.[Symbol.dispose]());
	}

	/** Hears whom it wants and answers; undefined when that was a refusal. */
	async function admitted(socketStream: ByteStream) {
		const tooLate = (): void => socketStream.abort(new MeshError('deadline', 'no preface came in time'));
		const patience = setTimeout(tooLate, PREFACE_MS);
		let relay: Disposable | undefined;
		try {
			const { ask, stream } = await readAsk(socketStream).finally(() => clearTimeout(patience));
			const { target: machineId = mesh.machineId } = ask;
			if (machineId !== mesh.machineId) relay = relays.begin();
			const remote = relay === undefined ? undefined : await reach(machineId);
			writeAnswer(stream, { ok: true, machineId, genesis: mesh.membership.trust.mesh.envelope });
			return { stream, remote, relay };
		} catch (error) {
			relay?.[Symbol.dispose]();
			logger.debug('local session refused', { error });
			writeAnswer(socketStream, refusal(meshError(error)));
			await socketStream.close();
			return undefined;
		}
	}

	async function reach(target: MachineId): Promise<ByteStream> {
		try {
			return await dial(target, AbortSignal.timeout(DIAL_MS));
		} catch (cause) {
			const { code, message } = meshError(cause);
			const [to, from] = [nameOf(target), nameOf(mesh.machineId)];
			throw new MeshError(
				code === 'unauthorized' || code === 'exhausted' ? code : 'unavailable',
				`host ${to} cannot be reached from host ${from}: ${message}`,
				{ cause },
			);
		}
	}

	function nameOf(machineId: MachineId): string {
		return mesh.hosts().find((host) => host.machineId === machineId)?.name ?? machineId;
	}

	const started = new AsyncDisposableStack();
	started.defer(() => sessions.end());
	const carried = new Map<PeerId, number>();
	started.use(
		mesh.transport.handle(OWNER_RELAY, (stream, remote) => {
			const count = carried.get(remote) ?? 0;
			if (count >= SESSIONS_PER_RELAY_MAX) {
				stream.abort(new MeshError('exhausted', 'this host carries enough owners here'));
				return;
			}
			carried.set(remote, count + 1);
			stream.onClose(() => {
				const left = (carried.get(remote) ?? 1) - 1;
				if (left > 0) carried.set(remote, left);
				else carried.delete(remote);
			});
			serve(stream).catch((error: unknown) => logger.debug('relayed session refused', { relay: remote, error }));
		}),
	);
	try {
		const listener = await listenUnix(socket, (stream) => {
			greet(stream).catch((error: unknown) => logger.debug('local session refused', { error }));
		});
		started.use(listener);
		return started;
	} catch (error) {
		await started.disposeAsync();
		if (error instanceof MeshError) throw error;
		throw new MeshError('unavailable', `cannot listen on ${socket}: ${(error as Error).message}`, { cause: error });
	}
}

function ownerServices({ mesh, scheduler, fleet, workloads, info, logger }: OwnerApiOptions) {
	const services = createServices<OwnerPrincipal>({
		onFailure: ({ error, what }) => logger.error('a call of an owner failed here', { what, error }),
	});
	const requireOwnTender = (tender: Uint8Array, { owner }: OwnerPrincipal): void => {
		// Whether the grant holds is checked with the tender.
		const { grant } = peekRecord('tender', tender).body;
		requireOwner(peekRecord('tender-grant', grant).body.owner, owner);
	};
	const requireOwnAward = (awardId: string, { owner }: OwnerPrincipal): void => {
		const award = scheduler.awardedBy(awardId);
		if (award !== undefined) requireOwner(award.owner, owner);
	};
	services.serve(HostApi, {
		info: () => info(),
		hosts: () => ({ hosts: [...mesh.hosts()] }),
		meshEpoch: ({ epoch, keyring }) => {
			mesh.membership.offerEpoch(epoch);
			if (keyring !== undefined) mesh.membership.offerSealedKeyring(keyring);
			return { hostsReached: mesh.rpc.sessions().length + 1 };
		},
		inventory: (_, { principal }) => ({ workloads: workloads.inventory(principal.owner) }),
		charter: ({ charter, manifest }, { principal }) => {
			requireOwner(openRecord('charter', charter).body.owner, principal.owner);
			return { pods: workloads.charter(charter, manifest) };
		},
		rosters: ({ wid }, { principal }) => ({ sealed: workloads.ownRosters(principal.owner, wid) }),
		checkpoint: ({ wid, sealed }, { principal }) => ({ pods: workloads.checkpoint(principal.owner, wid, sealed) }),
		end: ({ end }) => fleet.end(end),
		place: (request, { principal, signal }) => {
			requireOwnTender(request.tender, principal);
			return scheduler.place(request, signal);
		},
		retender: ({ tender }, { principal }) => {
			requireOwnTender(tender, principal);
			scheduler.retender(tender);
			return {};
		},
		deliver: (request, { principal }) => {
			requireOwnAward(request.awardId, principal);
			scheduler.deliver(request);
			return {};
		},
		admit: async (request, { principal }) => {
			requireOwnAward(request.awardId, principal);
			await scheduler.admit(request);
			return {};
		},
		logs: (input, { principal, signal }) => workloads.logs(principal.owner, input, signal),
	});
	return services;
}

function requireOwner(named: OwnerId, caller: OwnerId): void {
	if (named !== caller) throw new MeshError('unauthorized', 'this belongs to another owner than the one who asks');
}

function meshError(error: unknown): MeshError {
	return isMeshError(error) ? error : new MeshError('internal', error instanceof Error ? error.message : String(error));
}
