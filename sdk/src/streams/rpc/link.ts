/**
 * One session over one byte stream: hello exchange, then calls, one-way messages and pings until either side says
 * goodbye or the stream breaks. `openSession` is the public way in; `node.ts` joins links to one session per peer.
 */
import { isMeshError, MeshError } from '../../errors.ts';
import type { PeerId } from '../../wire/ids.ts';
import { LIMITS } from '../../wire/limits.ts';
import type { ByteStream } from '../transport.ts';
import { CallsIn } from './calls-in.ts';
import { CallsOut, makeCaller } from './calls-out.ts';
import type { Caller, Contract, Methods } from './contract.ts';
import { decodeFailure, encodeFailure } from './failure.ts';
import { FRAME, type Message, MessageDecoder } from './frames.ts';
import {
	decodeHello,
	decodeNotify,
	decodeText,
	encodeHello,
	encodeNotify,
	encodeText,
	HANDSHAKE_MS,
	HELLO_BYTES_MAX,
} from './handshake.ts';
import { Outbox, SEND_QUEUE_BYTES_HIGH } from './outbox.ts';
import type { ServiceRegistry } from './services.ts';
import type { HelloExchange, Session } from './session.types.ts';

/** How long the remote gets to end its half after we said goodbye. */
const CLOSE_MS = 1_000;
/** Weight of the newest round trip. */
const RTT_WEIGHT = 0.2;
const NOTHING = new Uint8Array(0);

export interface LinkOptions<P> {
	readonly remote: PeerId | 'local';
	readonly initiator: boolean;
	readonly exchange: HelloExchange<P>;
	readonly services?: ServiceRegistry<P> | undefined;
	readonly instance: Uint8Array;
	readonly signal?: AbortSignal | undefined;
	/** What listeners of notifications are given; the link itself where there is nothing above it. */
	readonly session?: () => Session<P> | undefined;
	/** Called before the first message after the handshake is looked at. */
	readonly onOpen?: () => void;
}

type Phase = 'hello' | 'judging' | 'admitted' | 'open' | 'closing' | 'closed';

export class Link<P> implements Session<P> {
	readonly remote: PeerId | 'local';
	readonly initiator: boolean;
	readonly calls: CallsOut;
	/** Names the remote process; known once open. */
	remoteInstance = '';
	/** When the remote was last heard, by `performance.now()`. */
	heardMs = performance.now();
	rttMs: number | undefined;
	readonly #stream: ByteStream;
	readonly #options: LinkOptions<P>;
	readonly #outbox: Outbox;
	readonly #decoder = new MessageDecoder(HELLO_BYTES_MAX);
	readonly #incoming: CallsIn<P>;
	readonly #pings = new Map<number, { startedMs: number; settle: (error?: MeshError) => void }>();
	readonly #onClose: ((error?: Error) => void)[] = [];
	#phase: Phase = 'hello';
	#principal: P | undefined;
	#pingId = 0;
	#retiring = false;
	#retireSent = false;
	#retireSeen = false;
	#closedWith: Error | undefined;
	#opened: { resolve: () => void; reject: (error: Error) => void } | undefined;

	constructor(stream: ByteStream, options: LinkOptions<P>) {
		this.#stream = stream;
		this.#options = options;
		this.remote = options.remote;
		this.initiator = options.initiator;
		const outbox = new Outbox(stream, (error) => this.abort(error));
		this.#outbox = outbox;
		this.calls = new CallsOut({
			outbox,
			remote: options.remote,
			isInitiator: options.initiator,
			onRtt: (ms) => this.#measured(ms),
			onIdle: () => this.#closeIfRetired(),
		});
		this.#incoming = new CallsIn({
			outbox,
			remote: options.remote,
			services: options.services,
			principal: () => this.principal,
		});
		stream.onClose((error) => this.abort(error ?? this.#unavailable('the stream closed')));
	}

	get principal(): P {
		if (this.#phase === 'hello' || this.#phase === 'judging') throw new Error('no principal before admission');
		return this.#principal as P;
	}

	get open(): boolean {
		return this.#phase === 'open';
	}

	get retiring(): boolean {
		return this.#retiring;
	}

	/** Says hello both ways. Rejects with the remote's refusal, ours, or `unavailable`. */
	async handshake(): Promise<void> {
		const { signal, exchange, instance } = this.#options;
		const opened = new Promise<void>((resolve, reject) => {
			this.#opened = { resolve, reject };
		});
		const timer = setTimeout(() => this.abort(this.#unavailable(`no hello within ${HANDSHAKE_MS} ms`)), HANDSHAKE_MS);
		const onAbort = (): void =>
			this.abort(new MeshError('cancelled', 'opening the session was cancelled', { applied: 'no' }));
		signal?.addEventListener('abort', onAbort, { once: true });
		if (signal?.aborted) onAbort();
		void this.#read();
		void Promise.resolve()
			.then(() => exchange.hello(this.remote))
			.then(
				(hello) => this.#outbox.send(FRAME.hello, 0, encodeHello(instance, hello)),
				(error: unknown) => this.#refuse(error),
			);
		try {
			await opened;
		} finally {
			clearTimeout(timer);
			signal?.removeEventListener('abort', onAbort);
		}
	}

	caller<M extends Methods>(contract: Contract<M>): Caller<M> {
		return makeCaller(contract, () => this.calls);
	}

	notify(channel: string, payload: Uint8Array): boolean {
		if (!this.open || this.#outbox.bytes >= SEND_QUEUE_BYTES_HIGH) return false;
		const body = encodeNotify(channel, payload);
		if (body.byteLength > LIMITS.messageBytesMax) return false;
		this.#outbox.send(FRAME.notify, 0, body);
		return true;
	}

	ping(timeoutMs: number): Promise<number> {
		return new Promise((resolve, reject) => {
			if (!this.open) return reject(this.#unavailable('the session is closed'));
			this.#pingId = (this.#pingId + 1) >>> 0;
			const id = this.#pingId;
			const startedMs = performance.now();
			const timer = setTimeout(() => {
				this.#pings.delete(id);
				reject(
					new MeshError('deadline', `${this.remote} did not answer a ping within ${timeoutMs} ms`, { applied: 'no' }),
				);
			}, timeoutMs);
			const settle = (error?: MeshError): void => {
				clearTimeout(timer);
				if (error) reject(error);
				else resolve(performance.now() - startedMs);
			};
			this.#pings.set(id, { startedMs, settle });
			this.#outbox.send(FRAME.ping, id, NOTHING);
		});
	}

	onClose(listener: (error?: Error) => void): void {
		if (this.#phase === 'closed') queueMicrotask(() => listener(this.#closedWith));
		else this.#onClose.push(listener);
	}

	/** Takes no new calls of ours, lets those in flight finish, and closes when the remote did the same. */
	retire(): void {
		this.#retiring = true;
		this.#closeIfRetired();
	}

	async close(reason = 'closed'): Promise<void> {
		if (this.#phase === 'closing' || this.#phase === 'closed') return;
		const wasOpen = this.open;
		this.#phase = 'closing';
		this.#loseCalls(this.#unavailable(`this side closed the session: ${reason}`));
		if (wasOpen) this.#outbox.send(FRAME.goodbye, 0, encodeText(reason));
		this.#opened?.reject(this.#unavailable('this side closed the session'));
		await this.#leave();
	}

	/** Ends at once. Harmless on a closed link. */
	abort(error: Error): void {
		if (this.#phase === 'closed') return;
		const expected = this.#phase === 'closing';
		this.#phase = 'closed';
		this.#closedWith = expected ? undefined : error;
		this.#outbox.close();
		this.#loseCalls(error);
		this.#opened?.reject(isMeshError(error) ? error : this.#unavailable(error.message, error));
		this.#stream.abort(error);
		const listeners = this.#onClose.splice(0);
		for (const listener of listeners) listener(this.#closedWith);
	}

	/** Sends what is queued, ends our half, and gives the remote a moment to end its own. */
	async #leave(): Promise<void> {
		const done = new Promise<void>((resolve) => this.onClose(() => resolve()));
		const timer = setTimeout(() => this.abort(this.#unavailable('the remote did not close')), CLOSE_MS);
		try {
			await this.#outbox.flushed();
			await this.#stream.close();
		} catch (error) {
			this.abort(error as Error);
		}
		await done;
		clearTimeout(timer);
	}

	async #read(): Promise<void> {
		try {
			for await (const chunk of this.#stream.source) {
				this.heardMs = performance.now();
				if (this.#phase === 'closing') continue;
				let rest = chunk;
				while (rest.byteLength > 0 && this.#phase !== 'closed') {
					let hello: Message | undefined;
					rest = this.#decoder.push(rest, (message) => {
						if (this.#phase === 'open') {
							this.#receive(message);
							return undefined;
						}
						if (this.#phase !== 'hello' || message.type !== FRAME.hello) return this.#opening(message);
						hello = message;
						return false;
					});
					// Nothing more is read until the remote is admitted.
					if (hello !== undefined) await this.#judge(hello);
				}
			}
			this.abort(this.#unavailable('the remote ended the stream'));
		} catch (error) {
			this.abort(error instanceof Error ? error : new Error(String(error)));
		}
	}

	async #judge({ body }: Message): Promise<void> {
		this.#phase = 'judging';
		try {
			const { instance, hello } = decodeHello(body);
			const principal = await this.#options.exchange.admit(this.remote, hello);
			if (this.#phase !== 'judging') return;
			this.remoteInstance = instance;
			this.#principal = principal;
			this.#phase = 'admitted';
			this.#outbox.send(FRAME.admit, 0, NOTHING);
		} catch (error) {
			this.#refuse(error);
		}
	}

	/** Messages between our admission of the remote and its admission of us. */
	#opening(message: Message): boolean {
		if (message.type === FRAME.refuse) {
			this.abort(decodeFailure(message.body, this.remote));
			return false;
		}
		if (this.#phase === 'closing' || this.#phase === 'closed') return true;
		if (this.#phase !== 'admitted' || message.type !== FRAME.admit) {
			throw new MeshError('invalid_input', `malformed frame: type ${message.type} before admission`);
		}
		this.#phase = 'open';
		this.#decoder.messageBytesMax = LIMITS.messageBytesMax;
		this.#options.onOpen?.();
		this.#opened?.resolve();
		return true;
	}

	/** Tells the remote why it is not welcome, then ends. */
	#refuse(error: unknown): void {
		if (this.#phase === 'closing' || this.#phase === 'closed') return;
		this.#phase = 'closing';
		const reason = isMeshError(error)
			? error
			: new MeshError('internal', 'the hello exchange failed', { cause: error });
		this.#outbox.send(FRAME.refuse, 0, encodeFailure(reason));
		this.#opened?.reject(reason);
		void this.#leave();
	}

	#receive(message: Message): void {
		const { type, id, body } = message;
		switch (type) {
			case FRAME.call:
			case FRAME.cancel:
				if (this.#isOurs(id)) throw new MeshError('invalid_input', `malformed frame: id ${id} is one of ours`);
				this.#incoming.receive(message);
				return;
			case FRAME.result:
			case FRAME.error:
				if (!this.#isOurs(id)) throw new MeshError('invalid_input', `malformed frame: id ${id} is not one of ours`);
				this.calls.receive(message);
				return;
			case FRAME.item:
			case FRAME.end:
			case FRAME.credit:
				(this.#isOurs(id) ? this.calls : this.#incoming).receive(message);
				return;
			case FRAME.notify: {
				const { channel, payload } = decodeNotify(body);
				this.#options.services?.notified(channel, payload, this.#options.session?.() ?? this);
				return;
			}
			case FRAME.ping:
				this.#outbox.send(FRAME.pong, id, NOTHING);
				return;
			case FRAME.pong: {
				const ping = this.#pings.get(id);
				if (ping === undefined) return;
				this.#pings.delete(id);
				this.#measured(performance.now() - ping.startedMs);
				ping.settle();
				return;
			}
			case FRAME.retire:
				this.#retireSeen = true;
				this.retire();
				return;
			case FRAME.goodbye: {
				this.#phase = 'closing';
				this.#loseCalls(this.#unavailable(`the remote closed the session: ${decodeText(body)}`));
				void this.#leave();
				return;
			}
			default:
				throw new MeshError('invalid_input', `malformed frame: type ${type} in an open session`);
		}
	}

	#isOurs(id: number): boolean {
		return (id & 1) === (this.initiator ? 1 : 0);
	}

	#measured(ms: number): void {
		this.rttMs = this.rttMs === undefined ? ms : this.rttMs + RTT_WEIGHT * (ms - this.rttMs);
	}

	#loseCalls(cause: MeshError | Error): void {
		this.calls.lose(cause);
		this.#incoming.lose(cause);
		const pings = [...this.#pings.values()];
		this.#pings.clear();
		for (const { settle } of pings) settle(this.#unavailable('the session ended'));
	}

	/** `retire` says: I have no calls here and start none. When both said so, nothing can be lost by closing. */
	#closeIfRetired(): void {
		if (!this.#retiring || !this.open || this.calls.inflight > 0) return;
		if (!this.#retireSent) {
			this.#retireSent = true;
			this.#outbox.send(FRAME.retire, 0, NOTHING);
		}
		if (this.#retireSeen) void this.close('retired');
	}

	#unavailable(why: string, cause?: Error): MeshError {
		return new MeshError('unavailable', `session with ${this.remote}: ${why}`, {
			...(this.remote === 'local' ? {} : { peer: this.remote }),
			...(cause === undefined ? {} : { cause }),
		});
	}
}
