/**
 * Sessions with hosts. The entry host is the one behind the socket; every other host is reached through it, in a session
 * of its own that the entry host carries and cannot read. No host is believed that does not prove to be of our mesh.
 */
import { askFor, HostApi, OWNER_SESSION } from '@beemesh/hostd/api';
import { isMeshError, MeshError } from '@beemesh/sdk/errors';
import type { OpenedMachine, OpenedMesh } from '@beemesh/sdk/identity';
import { type Caller, dialUnix, openSession, type Session, secureStream } from '@beemesh/sdk/streams';
import type { MachineId } from '@beemesh/sdk/wire';
import type { Owner } from '../owner/owner.ts';
import type { MeshTrust } from '../trust/known-mesh.ts';
import { machineOf, ownerSessionIdentity } from './owner-identity.ts';

export type HostCaller = Caller<(typeof HostApi)['methods']>;

export interface HostClient {
	/** The entry host. */
	readonly api: HostCaller;
	/** As its certificate has it. */
	readonly machine: OpenedMachine;
	readonly mesh: OpenedMesh;
	/** A machine of the mesh, by its certificate. Throws `unauthorized` for one of another mesh, or known to be out. */
	machineOf(credential: Uint8Array): OpenedMachine;
	/** A session with one host of the mesh; kept, and made again when it was lost. Rejects like `connectHost`. */
	host(machineId: MachineId, signal: AbortSignal): Promise<HostCaller>;
	close(): Promise<void>;
}

export interface ConnectOptions {
	readonly socket: string;
	/** In whose name. */
	readonly owner: Pick<Owner, 'root' | 'signer'>;
	/** Whether the mesh of this genesis is ours. Throws `unauthorized`. */
	readonly trust: (genesis: Uint8Array) => Promise<MeshTrust>;
	readonly nowMs: () => number;
	readonly signal: AbortSignal;
}

/** For a host to be reached and to prove itself; a live one takes some ten milliseconds. */
const REACH_MS = 2_000;
const ENTRY_MS = 5_000;
/** Often enough for a relay to see that somebody still listens. */
const PING_EVERY_MS = 30_000;

/** Rejects with `unavailable`, naming what to do, or `unauthorized` when it is no host of our mesh. */
export async function connectHost(options: ConnectOptions): Promise<HostClient> {
	const entry = await within(ENTRY_MS, `the host at ${options.socket}`, options.signal, (signal) =>
		open(options, undefined, options.trust, signal),
	);
	await entry.trust.met();
	const others = new Map<MachineId, Promise<Opened>>();
	const sessions = (): Promise<readonly Session[]> =>
		Promise.allSettled([entry, ...others.values()]).then((all) =>
			all.flatMap((each) => (each.status === 'fulfilled' ? [each.value.session] : [])),
		);
	const pings = setInterval(() => {
		void sessions().then((all) => all.map((session) => session.ping(PING_EVERY_MS).catch(() => undefined)));
	}, PING_EVERY_MS);
	pings.unref();
	return {
		api: entry.api,
		machine: entry.machine,
		mesh: entry.trust.mesh,
		machineOf: (credential) => machineOf(credential, entry.trust, options.nowMs()),
		async host(machineId, forWhom) {
			if (machineId === entry.machine.machineId) return entry.api;
			let opening = others.get(machineId);
			if (opening === undefined) {
				const trust = async (): Promise<MeshTrust> => entry.trust;
				opening = within(REACH_MS, `host ${machineId}`, forWhom, (signal) => open(options, machineId, trust, signal));
				others.set(machineId, opening);
				const forget = (): void => void others.delete(machineId);
				opening.then(({ session }) => session.onClose(forget), forget);
			}
			return (await opening).api;
		},
		async close() {
			clearInterval(pings);
			await Promise.all((await sessions()).map((session) => session.close()));
		},
	};
}

interface Opened {
	readonly api: HostCaller;
	readonly session: Session;
	readonly machine: OpenedMachine;
	readonly trust: MeshTrust;
}

async function within<T>(
	ms: number,
	who: string,
	signal: AbortSignal,
	act: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
	const timeout = AbortSignal.timeout(ms);
	try {
		return await act(AbortSignal.any([signal, timeout]));
	} catch (cause) {
		if (!timeout.aborted || signal.aborted) throw cause;
		throw new MeshError('unavailable', `${who} has not answered within ${ms / 1_000} s`, { cause });
	}
}

async function open(
	{ socket, owner, nowMs }: ConnectOptions,
	target: MachineId | undefined,
	trustOf: ConnectOptions['trust'],
	signal: AbortSignal,
): Promise<Opened> {
	const raw = await dialUnix(socket, { signal }).catch((cause: unknown) => {
		if (!isMeshError(cause, 'unavailable')) throw cause;
		throw new MeshError(
			'unavailable',
			`no host answers at ${socket}; start one with \`hostd\`, or name its socket with --host or BEEMESH_HOST`,
			{ cause },
		);
	});
	const abort = (): void => raw.abort(new MeshError('cancelled', 'no longer wanted', { applied: 'no' }));
	signal.addEventListener('abort', abort, { once: true });
	try {
		const { machineId, genesis, stream } = await askFor(raw, target);
		const trust = await trustOf(genesis);
		const secured = await secureStream(stream, {
			role: 'initiator',
			identity: ownerSessionIdentity(owner, trust, nowMs),
			protocol: OWNER_SESSION,
			remote: target ?? machineId,
			signal,
		});
		const exchange = { hello: () => new Uint8Array(), admit: () => undefined };
		const session = await openSession(secured, { remote: 'local', initiator: true, exchange });
		return { api: session.caller(HostApi), session, machine: secured.principal, trust };
	} catch (error) {
		raw.abort(error as Error);
		signal.throwIfAborted();
		throw error;
	} finally {
		signal.removeEventListener('abort', abort);
	}
}
