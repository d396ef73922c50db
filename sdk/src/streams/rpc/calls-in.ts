/** The serving half of a session: runs handlers for the remote's calls and sends what comes of them. */
import { isMeshError, MeshError } from '../../errors.ts';
import type { PeerId } from '../../wire/ids.ts';
import { creditOf, encodeBounded } from './calls-out.ts';
import type { AnyMethod, SessionCallContext } from './contract.ts';
import { encodeFailure } from './failure.ts';
import { FRAME, type Message } from './frames.ts';
import { Credit, ItemReader } from './items.ts';
import { decodeBody, encodeBody } from './msgpack.ts';
import { type Outbox, SEND_QUEUE_BYTES_FULL } from './outbox.ts';
import type { Handler, Service, ServiceRegistry } from './services.ts';
import { validate } from './validate.ts';

const META_ENTRIES_MAX = 32;
const TIMER_MS_MAX = 0x7fff_ffff;
const NOTHING = new Uint8Array(0);
const NO_META: Readonly<Record<string, string>> = Object.freeze({});

export interface CallsInOptions<P> {
	readonly outbox: Outbox;
	readonly remote: PeerId | 'local';
	readonly services: ServiceRegistry<P> | undefined;
	readonly principal: () => P;
}

interface Envelope {
	readonly service: string;
	readonly name: string;
	readonly timeoutMs: number;
	readonly meta: Readonly<Record<string, string>>;
	readonly input: unknown;
}

/** One call that runs here. It is also the context its handler sees. */
class Call<P> implements SessionCallContext<P> {
	readonly id: number;
	readonly remote: PeerId | 'local';
	readonly principal: P;
	readonly deadline: number;
	readonly meta: Readonly<Record<string, string>>;
	ended = false;
	timer: NodeJS.Timeout | undefined;
	reader: ItemReader | undefined;
	credit: Credit | undefined;
	#controller: AbortController | undefined;
	#reason: MeshError | undefined;
	#onEnd: (() => void)[] = [];

	constructor(id: number, remote: PeerId | 'local', principal: P, { timeoutMs, meta }: Envelope) {
		this.id = id;
		this.remote = remote;
		this.principal = principal;
		this.deadline = timeoutMs === 0 ? Number.POSITIVE_INFINITY : Date.now() + timeoutMs;
		this.meta = meta;
	}

	/** Made when first asked for: most unary handlers never look. */
	get signal(): AbortSignal {
		if (this.#controller === undefined) {
			this.#controller = new AbortController();
			if (this.#reason !== undefined) this.#controller.abort(this.#reason);
		}
		return this.#controller.signal;
	}

	/** With a reason: the handler is to stop. Without: it is done. */
	end(reason?: MeshError): void {
		this.ended = true;
		if (this.timer !== undefined) clearTimeout(this.timer);
		this.#reason = reason;
		this.credit?.close();
		this.reader?.end(reason);
		if (reason !== undefined) this.#controller?.abort(reason);
		const listeners = this.#onEnd;
		this.#onEnd = [];
		for (const listener of listeners) listener();
	}

	onEnd(listener: () => void): void {
		if (this.ended) listener();
		else this.#onEnd.push(listener);
	}
}

export class CallsIn<P> {
	readonly #options: CallsInOptions<P>;
	readonly #calls = new Map<number, Call<P>>();

	constructor(options: CallsInOptions<P>) {
		this.#options = options;
	}

	/** A message for a call of the remote's. Late ones, for calls that ended here, are dropped. */
	receive({ type, id, body }: Message): void {
		if (type === FRAME.call) {
			if (this.#calls.has(id)) throw new MeshError('invalid_input', `malformed frame: call ${id} is already open`);
			this.#begin(id, body);
			return;
		}
		const call = this.#calls.get(id);
		if (call === undefined) return;
		switch (type) {
			case FRAME.cancel:
				this.#end(call, new MeshError('cancelled', 'the caller cancelled', { peer: this.#options.remote }));
				return;
			case FRAME.item:
				call.reader?.push(body);
				return;
			case FRAME.end:
				call.reader?.end();
				return;
			case FRAME.credit:
				call.credit?.grant(creditOf(body));
				return;
			default:
				throw new MeshError('invalid_input', `malformed frame: type ${type} does not belong to a call of the remote's`);
		}
	}

	lose(cause: Error | undefined): void {
		const error = new MeshError('unavailable', 'the session of the caller ended', cause === undefined ? {} : { cause });
		for (const call of [...this.#calls.values()]) this.#end(call, error);
	}

	#begin(id: number, body: Uint8Array): void {
		const { remote, services, outbox, principal } = this.#options;
		let call: Call<P> | undefined;
		try {
			const envelope = readEnvelope(body);
			const service = services?.find(envelope.service);
			if (service === undefined) {
				throw new MeshError('not_found', `${envelope.service} is not served here`);
			}
			const found = service.method(envelope.name);
			if (found === undefined) throw new MeshError('not_found', `${service.key} has no method ${envelope.name}`);
			if (outbox.bytes > SEND_QUEUE_BYTES_FULL) {
				throw new MeshError('exhausted', 'answers wait to be read: read them before calling more');
			}
			call = new Call(id, remote, principal(), envelope);
			this.#open(call, envelope, service, found.method, found.handler);
		} catch (error) {
			if (call !== undefined) this.#fail(call, error, 'call');
			else outbox.send(FRAME.error, id, encodeFailure(error));
		}
	}

	#open(call: Call<P>, envelope: Envelope, service: Service<P>, method: AnyMethod, handler: Handler<P>): void {
		const isStream = method.kind === 'stream' || method.kind === 'duplex';
		const what = `${service.key}.${envelope.name}`;
		const stop = (error: MeshError): void => this.#fail(call, error, what);
		const turn = service.enter(isStream, stop);
		this.#calls.set(call.id, call);
		if (envelope.timeoutMs > 0) {
			call.timer = setTimeout(
				() => stop(new MeshError('deadline', `${what} did not end within its deadline`)),
				Math.min(envelope.timeoutMs, TIMER_MS_MAX),
			);
		}
		if (method.kind === 'upload' || method.kind === 'duplex') {
			call.reader = new ItemReader({
				decode: (body) => decodeInput(method, what, body),
				grant: (bytes) => {
					if (!call.ended) this.#options.outbox.send(FRAME.credit, call.id, encodeBody(bytes));
				},
			});
		}
		if (isStream) call.credit = new Credit();
		void this.#run(call, turn, service, method, handler, envelope.input, what, stop);
	}

	async #run(
		call: Call<P>,
		turn: Promise<void> | undefined,
		service: Service<P>,
		method: AnyMethod,
		handler: Handler<P>,
		raw: unknown,
		what: string,
		stop: (error: MeshError) => void,
	): Promise<void> {
		let failed = true;
		const isStream = call.credit !== undefined;
		try {
			if (turn !== undefined) await turn;
			if (call.ended) return;
			let input: unknown = call.reader;
			if (input === undefined) {
				const checked = validate(method.input, raw, 'invalid_input', `the input of ${what}`);
				input = checked instanceof Promise ? await checked : checked;
			}
			const output = handler(input, call);
			if (isStream) await this.#pump(call, output, what);
			else {
				const value = await output;
				if (call.ended) return;
				this.#options.outbox.send(FRAME.result, call.id, encodeBounded(value, 'invalid_output', what));
				this.#end(call);
			}
			failed = false;
		} catch (error) {
			this.#fail(call, error, what);
		} finally {
			service.leave(isStream, stop, failed);
		}
	}

	/** Sends what the handler yields, as credit allows; ends its iterator when the call ends first. */
	async #pump(call: Call<P>, output: unknown, what: string): Promise<void> {
		const { outbox } = this.#options;
		const iterator = (output as AsyncIterable<unknown>)[Symbol.asyncIterator]();
		const ended = new Promise<undefined>((resolve) => call.onEnd(() => resolve(undefined)));
		let done = false;
		try {
			while (await call.credit?.ready()) {
				await outbox.writable();
				const next = await Promise.race([iterator.next(), ended]);
				if (next === undefined || call.ended) return;
				if (next.done === true) {
					done = true;
					outbox.send(FRAME.end, call.id, NOTHING);
					this.#end(call);
					return;
				}
				const body = encodeBounded(next.value, 'invalid_output', what);
				call.credit?.spend(body);
				outbox.send(FRAME.item, call.id, body);
			}
		} finally {
			// Not awaited: a generator that waits for something of its own would hold the turn for ever.
			if (!done) iterator.return?.().then(undefined, () => undefined);
		}
	}

	#fail(call: Call<P>, error: unknown, what: string): void {
		const { outbox, remote, services } = this.#options;
		// A handler that stops because its call ended is not news.
		if (!isMeshError(error) && !call.ended) services?.failed({ error, what, remote });
		if (call.ended) return;
		outbox.send(FRAME.error, call.id, encodeFailure(error));
		this.#end(call, isMeshError(error) ? error : new MeshError('internal', `${what} failed`, { cause: error }));
	}

	#end(call: Call<P>, reason?: MeshError): void {
		if (call.ended) return;
		this.#calls.delete(call.id);
		call.end(reason);
	}
}

function decodeInput(method: AnyMethod, what: string, body: Uint8Array): unknown {
	return validate(method.input, decodeBody(body), 'invalid_input', `an item of ${what}`);
}

function readEnvelope(body: Uint8Array): Envelope {
	const fields = decodeBody(body);
	if (!Array.isArray(fields)) throw new MeshError('invalid_input', 'the call is ill-formed');
	const [service, name, timeoutMs, meta, input] = fields as unknown[];
	if (typeof service !== 'string' || typeof name !== 'string' || typeof timeoutMs !== 'number' || !(timeoutMs >= 0)) {
		throw new MeshError('invalid_input', 'the call is ill-formed');
	}
	return { service, name, timeoutMs, meta: readMeta(meta), input };
}

function readMeta(meta: unknown): Readonly<Record<string, string>> {
	if (meta === null || meta === undefined) return NO_META;
	if (typeof meta !== 'object') throw new MeshError('invalid_input', 'meta of the call is not an object');
	const entries = Object.entries(meta);
	if (entries.length > META_ENTRIES_MAX || entries.some(([, value]) => typeof value !== 'string')) {
		throw new MeshError('invalid_input', `meta of the call is not an object of at most ${META_ENTRIES_MAX} strings`);
	}
	return meta as Readonly<Record<string, string>>;
}
