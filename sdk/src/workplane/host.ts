/**
 * The host as a replica knows it. In a pod it is hostd at the other end of the pod's unix socket; in `dev` mode and in
 * tests an object of this process answers the same calls.
 */
import { MeshError } from '../errors.ts';
import { PodApi } from '../replicas/pod-api.ts';
import type { Caller } from '../streams/rpc/contract.ts';
import { openSession } from '../streams/rpc/session.ts';
import type { HelloExchange, Session } from '../streams/rpc/session.types.ts';
import { dialUnix } from '../streams/socket.ts';

export type HostCalls = Caller<(typeof PodApi)['methods']>;

export interface PodHost extends AsyncDisposable {
	/** Rejects with `unavailable` while the host cannot be reached. */
	readonly calls: HostCalls;
	/** False: nobody places replicas here, so nobody should ask. */
	readonly canPlace: boolean;
	/** Told when the host is lost, and when it is back. */
	onConnection(listener: (isConnected: boolean) => void): Disposable;
}

const RECONNECT_MIN_MS = 100;
const RECONNECT_MAX_MS = 2000;
/** The socket's mode is the guard; there is nothing to say. */
const SILENT: HelloExchange<undefined> = { hello: () => new Uint8Array(0), admit: () => undefined };

/** Connects to hostd at this socket, and again whenever it is lost: hostd restarts and adopts its pods. */
export async function connectHost(path: string, signal?: AbortSignal): Promise<PodHost> {
	const host = new SocketHost(path);
	await host.open(signal);
	return host;
}

class SocketHost implements PodHost {
	readonly canPlace = true;
	readonly #path: string;
	readonly #listeners = new Set<(isConnected: boolean) => void>();
	#session: Session<undefined> | undefined;
	#timer: NodeJS.Timeout | undefined;
	#closed = false;

	constructor(path: string) {
		this.#path = path;
	}

	get calls(): HostCalls {
		if (this.#session === undefined)
			throw new MeshError('unavailable', `the host behind ${this.#path} cannot be reached now`);
		return this.#session.caller(PodApi);
	}

	onConnection(listener: (isConnected: boolean) => void): Disposable {
		this.#listeners.add(listener);
		return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
	}

	async open(signal?: AbortSignal): Promise<void> {
		const stream = await dialUnix(this.#path, signal === undefined ? {} : { signal });
		const session = await openSession(stream, { remote: 'local', initiator: true, exchange: SILENT });
		this.#session = session;
		session.onClose(() => {
			this.#session = undefined;
			if (this.#closed) return;
			this.#tell(false);
			this.#reconnect(RECONNECT_MIN_MS);
		});
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#closed = true;
		clearTimeout(this.#timer);
		await this.#session?.close('the replica ends');
	}

	#reconnect(waitMs: number): void {
		this.#timer = setTimeout(() => {
			this.open().then(
				() => this.#tell(true),
				() => this.#closed || this.#reconnect(Math.min(RECONNECT_MAX_MS, waitMs * 2)),
			);
		}, waitMs);
	}

	#tell(isConnected: boolean): void {
		for (const listener of [...this.#listeners]) listener(isConnected);
	}
}
