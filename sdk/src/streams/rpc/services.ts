/**
 * What a process serves: contracts with their handlers, each behind a concurrency limit and a bounded queue, and
 * listeners of one-way messages. One registry is shared by all sessions of a node.
 */
import { MeshError } from '../../errors.ts';
import type { PeerId } from '../../wire/ids.ts';
import type { AnyMethod, Contract, Impl, Methods, SessionCallContext } from './contract.ts';
import type { ServiceHandle, Services, Session } from './session.types.ts';

/** Calls of one service that run at once. Enough for I/O-bound handlers, too few to run out of memory. */
const CONCURRENCY = 256;
/** Calls that wait for a turn. Four turns deep: later ones would mostly miss their deadline. */
const QUEUE = 1024;

/** A failure that no caller is told about in full, for the process's own log. */
export interface HandlerFailure {
	readonly error: unknown;
	readonly what: string;
	readonly remote: PeerId | 'local';
}

export interface ServicesOptions {
	/** Told of every throw in a handler or listener that is not a MeshError. */
	readonly onFailure?: (failure: HandlerFailure) => void;
}

export type Handler<P> = (input: unknown, context: SessionCallContext<P>) => unknown;

/** Name under which a contract is called: its name and the major of its version. */
export function serviceKey({ name, version }: Pick<Contract, 'name' | 'version'>): string {
	return `${name}@${version.split('.', 1)[0]}`;
}

export class Service<P> implements ServiceHandle {
	readonly key: string;
	readonly #methods: Methods;
	readonly #impl: Readonly<Record<string, unknown>>;
	readonly #concurrency: number;
	readonly #queueMax: number;
	readonly #remove: () => void;
	readonly #queue: (() => void)[] = [];
	readonly #aborts = new Set<(error: MeshError) => void>();
	#unary = 0;
	#streams = 0;
	#calls = 0;
	#errors = 0;
	#draining = false;
	#drained: (() => void)[] = [];

	constructor(
		key: string,
		methods: Methods,
		impl: Readonly<Record<string, unknown>>,
		concurrency: number,
		queueMax: number,
		remove: () => void,
	) {
		this.key = key;
		this.#methods = methods;
		this.#impl = impl;
		this.#concurrency = concurrency;
		this.#queueMax = queueMax;
		this.#remove = remove;
	}

	get stats(): ServiceHandle['stats'] {
		return {
			calls: this.#calls,
			errors: this.#errors,
			inflight: this.#unary + this.#streams,
			queued: this.#queue.length,
		};
	}

	method(name: string): { method: AnyMethod; handler: Handler<P> } | undefined {
		if (!Object.hasOwn(this.#methods, name)) return undefined;
		const method = this.#methods[name];
		const handler = this.#impl[name];
		if (method === undefined || typeof handler !== 'function') return undefined;
		return { method, handler: (input, context) => handler.call(this.#impl, input, context) as unknown };
	}

	/**
	 * Takes a turn for a call: at once (undefined), or later (a promise). Throws `draining` or `exhausted`. Streams are
	 * counted apart and never queue: one that waits for hours must not hold up unary calls. `abort` is called when the
	 * service goes away under the call.
	 */
	enter(isStream: boolean, abort: (error: MeshError) => void): Promise<void> | undefined {
		if (this.#draining) throw new MeshError('draining', `${this.key} is draining: call another replica`);
		const running = isStream ? this.#streams : this.#unary;
		if (running >= this.#concurrency && (isStream || this.#queue.length >= this.#queueMax)) {
			throw new MeshError(
				'exhausted',
				isStream
					? `${this.key} serves its limit of ${this.#concurrency} streams`
					: `${this.key} runs its limit of ${this.#concurrency} calls and ${this.#queueMax} wait: call another replica or later`,
			);
		}
		this.#calls++;
		this.#aborts.add(abort);
		if (isStream) this.#streams++;
		else if (running < this.#concurrency) this.#unary++;
		else return new Promise((resolve) => this.#queue.push(resolve));
		return undefined;
	}

	/** Ends a turn, and passes it on. */
	leave(isStream: boolean, abort: (error: MeshError) => void, failed: boolean): void {
		this.#aborts.delete(abort);
		if (failed) this.#errors++;
		if (isStream) this.#streams--;
		else {
			const next = this.#queue.shift();
			if (next) next();
			else this.#unary--;
		}
		if (this.#draining && this.#idle) {
			const drained = this.#drained;
			this.#drained = [];
			for (const resolve of drained) resolve();
		}
	}

	get #idle(): boolean {
		return this.#unary + this.#streams + this.#queue.length === 0;
	}

	drain(): Promise<void> {
		this.#draining = true;
		if (this.#idle) return Promise.resolve();
		return new Promise((resolve) => this.#drained.push(resolve));
	}

	/** Stops at once: calls in flight end with `draining`, later ones find nothing. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.#draining = true;
		this.#remove();
		for (const abort of [...this.#aborts])
			abort(new MeshError('draining', `${this.key} stopped`, { applied: 'maybe' }));
	}
}

export class ServiceRegistry<P> implements Services<P> {
	readonly #services = new Map<string, Service<P>>();
	readonly #listeners = new Map<string, Set<(payload: Uint8Array, session: Session<P>) => void>>();
	readonly #onFailure: ((failure: HandlerFailure) => void) | undefined;

	constructor(options: ServicesOptions = {}) {
		this.#onFailure = options.onFailure;
	}

	serve<M extends Methods>(
		contract: Contract<M>,
		impl: Impl<M, SessionCallContext<P>>,
		options: { readonly concurrency?: number; readonly queue?: number } = {},
	): ServiceHandle {
		const key = serviceKey(contract);
		if (this.#services.has(key)) throw new MeshError('conflict', `${key} is already served here`);
		const service = new Service<P>(
			key,
			contract.methods,
			impl,
			options.concurrency ?? CONCURRENCY,
			options.queue ?? QUEUE,
			() => {
				if (this.#services.get(key) === service) this.#services.delete(key);
			},
		);
		this.#services.set(key, service);
		return service;
	}

	onNotify(channel: string, listener: (payload: Uint8Array, session: Session<P>) => void): Disposable {
		const listeners = this.#listeners.get(channel) ?? new Set();
		this.#listeners.set(channel, listeners);
		listeners.add(listener);
		return {
			[Symbol.dispose]: () => {
				listeners.delete(listener);
				if (listeners.size === 0 && this.#listeners.get(channel) === listeners) this.#listeners.delete(channel);
			},
		};
	}

	find(key: string): Service<P> | undefined {
		return this.#services.get(key);
	}

	/** Hands a one-way message to its listeners. A channel nobody listens to is no error. */
	notified(channel: string, payload: Uint8Array, session: Session<P>): void {
		for (const listener of this.#listeners.get(channel) ?? []) {
			try {
				listener(payload, session);
			} catch (error) {
				this.failed({ error, what: `listener of ${channel}`, remote: session.remote });
			}
		}
	}

	failed(failure: HandlerFailure): void {
		this.#onFailure?.(failure);
	}
}

/** A registry of its own, e.g. for sessions on a unix socket. Nodes make theirs. */
export function createServices<P = unknown>(options?: ServicesOptions): ServiceRegistry<P> {
	return new ServiceRegistry<P>(options);
}
