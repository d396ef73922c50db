/** `createRpcNode`: all sessions of one process under one protocol, one per remote process. */
import { randomBytes } from 'node:crypto';
import { isMeshError, MeshError } from '../../errors.ts';
import type { PeerId } from '../../wire/ids.ts';
import type { ByteStream, Transport } from '../transport.ts';
import { INSTANCE_BYTES } from './handshake.ts';
import { HEARTBEATS, type Heartbeats, HeartbeatWatch } from './heartbeat.ts';
import { Link } from './link.ts';
import { PeerSession } from './peer-session.ts';
import { ServiceRegistry, type ServicesOptions } from './services.ts';
import type { HelloExchange, RpcNode, Services, Session } from './session.types.ts';

/** Streams of one peer that may be in their handshake at once. One is usual, two at a simultaneous dial. */
const HANDSHAKES_PER_PEER_MAX = 4;

export interface RpcNodeOptions<P> extends ServicesOptions {
	readonly transport: Transport;
	/** Protocol ID of the transport's streams, e.g. `/beemesh/m/rpc/1.0.0`. */
	readonly protocol: string;
	readonly exchange: HelloExchange<P>;
	/** Default: a ping after 500 ms of silence, the verdict after 1 s. `false`: trust the transport. */
	readonly heartbeats?: Partial<Heartbeats> | false;
}

interface Dial<P> {
	readonly session: Promise<Session<P>>;
	readonly controller: AbortController;
	settle(session: Session<P>): void;
	waiting: number;
}

type ConnectOptions = NonNullable<Parameters<RpcNode['connect']>[1]>;

class Node<P> implements RpcNode<P> {
	readonly services: Services<P>;
	readonly #registry: ServiceRegistry<P>;
	readonly #options: RpcNodeOptions<P>;
	readonly #transport: Transport;
	readonly #instance = randomBytes(INSTANCE_BYTES);
	readonly #sessions = new Map<PeerId, PeerSession<P>>();
	readonly #dials = new Map<PeerId, Dial<P>>();
	/** Streams whose hello is under way, oldest first. */
	readonly #handshakes = new Map<PeerId, Set<ByteStream>>();
	readonly #listeners = new Set<(session: Session<P>) => void>();
	readonly #watch: HeartbeatWatch<Link<P>> | undefined;
	readonly #subscriptions: Disposable[];
	#closed = false;

	constructor(options: RpcNodeOptions<P>) {
		this.#options = options;
		this.#transport = options.transport;
		this.#registry = new ServiceRegistry<P>(options);
		this.services = this.#registry;
		if (options.heartbeats !== false) {
			this.#watch = new HeartbeatWatch(
				{ ...HEARTBEATS, ...options.heartbeats },
				() => this.#links(),
				(link, silentMs) => this.#dead(link, silentMs),
			);
		}
		this.#subscriptions = [
			this.#transport.handle(options.protocol, (stream, remote) => void this.#accept(stream, remote)),
			this.#transport.onPeer(({ type, peer }) => {
				if (type === 'disconnected') this.#sessions.get(peer)?.abort(unavailable(peer, 'the connection is gone'));
			}),
		];
	}

	get(peer: PeerId): Session<P> | undefined {
		const session = this.#sessions.get(peer);
		return session?.open ? session : undefined;
	}

	sessions(): readonly Session<P>[] {
		return [...this.#sessions.values()].filter((session) => session.open);
	}

	async connect(peer: PeerId, options: ConnectOptions = {}): Promise<Session<P>> {
		const { signal } = options;
		if (this.#closed) throw unavailable(peer, 'this node is closed');
		if (peer === this.#transport.peerId) throw new MeshError('invalid_input', 'a peer does not connect to itself');
		if (signal?.aborted) throw cancelled(peer);
		const existing = this.get(peer);
		if (existing !== undefined) return existing;
		const dial = this.#dials.get(peer) ?? this.#dial(peer, options.addresses);
		dial.waiting++;
		if (signal === undefined) return dial.session;
		// One caller that leaves does not end the dial of the others; the last one does.
		return new Promise((resolve, reject) => {
			const onAbort = (): void => {
				if (--dial.waiting === 0) dial.controller.abort();
				reject(cancelled(peer));
			};
			signal.addEventListener('abort', onAbort, { once: true });
			dial.session.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
		});
	}

	onSession(listener: (session: Session<P>) => void): Disposable {
		this.#listeners.add(listener);
		return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
	}

	async [Symbol.asyncDispose](): Promise<void> {
		if (this.#closed) return;
		this.#closed = true;
		this.#watch?.stop();
		for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
		for (const { controller } of this.#dials.values()) controller.abort();
		await Promise.all([...this.#sessions.values()].map((session) => session.close('the node closed')));
	}

	#dial(peer: PeerId, addresses: readonly string[] | undefined): Dial<P> {
		const { promise, resolve, reject } = Promise.withResolvers<Session<P>>();
		const controller = new AbortController();
		const dial: Dial<P> = { session: promise, controller, settle: resolve, waiting: 0 };
		// Callers hold their own promises; this keeps a dial that all of them left from being an unhandled rejection.
		promise.catch(() => undefined);
		this.#dials.set(peer, dial);
		const run = async (): Promise<void> => {
			try {
				const { signal } = controller;
				const stream = await this.#transport.dial(peer, this.#options.protocol, {
					...(addresses === undefined ? {} : { addresses }),
					signal,
				});
				await this.#open(stream, peer, true, signal);
			} catch (error) {
				const session = this.get(peer);
				if (session !== undefined) resolve(session);
				else reject(isMeshError(error) ? error : unavailable(peer, (error as Error).message, error));
			} finally {
				if (this.#dials.get(peer) === dial) this.#dials.delete(peer);
			}
		};
		void run();
		return dial;
	}

	async #accept(stream: ByteStream, remote: PeerId): Promise<void> {
		const handshakes = this.#handshakes.get(remote)?.size ?? 0;
		if (this.#closed || handshakes >= HANDSHAKES_PER_PEER_MAX) {
			stream.abort(new MeshError('exhausted', `${remote} opens too many sessions at once`));
			return;
		}
		try {
			await this.#open(stream, remote, false, undefined);
		} catch {
			// The remote was told why; there is nobody here to tell.
		}
	}

	async #open(stream: ByteStream, remote: PeerId, initiator: boolean, signal: AbortSignal | undefined): Promise<void> {
		const link: Link<P> = new Link<P>(stream, {
			remote,
			initiator,
			exchange: this.#options.exchange,
			services: this.#registry,
			instance: this.#instance,
			signal,
			session: () => this.#sessions.get(remote),
			onOpen: () => this.#adopt(link, stream),
		});
		const handshakes = this.#handshakes.get(remote) ?? new Set();
		this.#handshakes.set(remote, handshakes.add(stream));
		try {
			await link.handshake();
		} finally {
			handshakes.delete(stream);
			if (handshakes.size === 0 && this.#handshakes.get(remote) === handshakes) this.#handshakes.delete(remote);
		}
	}

	#adopt(link: Link<P>, stream: ByteStream): void {
		const peer = link.remote as PeerId;
		if (this.#closed) {
			link.abort(unavailable(peer, 'this node is closed'));
			return;
		}
		const existing = this.#sessions.get(peer);
		if (existing?.open && existing.instance === link.remoteInstance) {
			existing.add(link);
			this.#dials.get(peer)?.settle(existing);
			return;
		}
		const session = new PeerSession<P>(this.#transport.peerId, link);
		this.#sessions.set(peer, session);
		session.onClose(() => {
			if (this.#sessions.get(peer) === session) this.#sessions.delete(peer);
		});
		existing?.abort(unavailable(peer, 'the remote restarted'));
		// Older connections lead to the process that is gone, and look open for seconds: nobody else is to try them.
		if (existing !== undefined && existing.instance !== session.instance) this.#disconnect(peer, stream);
		this.#dials.get(peer)?.settle(session);
		for (const listener of [...this.#listeners]) listener(session);
	}

	*#links(): Iterable<Link<P>> {
		for (const session of [...this.#sessions.values()]) yield* [...session.links];
	}

	#dead(link: Link<P>, silentMs: number): void {
		const peer = link.remote as PeerId;
		link.abort(unavailable(peer, `nothing heard for ${Math.round(silentMs)} ms`));
		if (this.get(peer) !== undefined) return;
		// What else runs over its connections would wait for the transport to notice. One on which it says hello lives.
		const [hello] = this.#handshakes.get(peer) ?? [];
		this.#disconnect(peer, hello);
	}

	#disconnect(peer: PeerId, keep: ByteStream | undefined): void {
		this.#transport.disconnect(peer, keep).then(undefined, () => undefined);
	}
}

function unavailable(peer: PeerId, why: string, cause?: unknown): MeshError {
	return new MeshError('unavailable', `session with ${peer}: ${why}`, {
		peer,
		...(cause === undefined ? {} : { cause }),
	});
}

function cancelled(peer: PeerId): MeshError {
	return new MeshError('cancelled', `connecting to ${peer} was cancelled`, { peer, applied: 'no' });
}

/** Serves `protocol` on the transport from now on. Disposing says goodbye to all sessions and leaves the transport. */
export function createRpcNode<P>(options: RpcNodeOptions<P>): RpcNode<P> {
	return new Node<P>(options);
}
