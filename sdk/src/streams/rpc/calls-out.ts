/** The calling half of a session: calls by id, their deadlines, cancellation and streams. */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { MeshError } from '../../errors.ts';
import type { PeerId } from '../../wire/ids.ts';
import { LIMITS } from '../../wire/limits.ts';
import type { AnyMethod, Caller, CallOptions, Contract, Methods } from './contract.ts';
import { durationMs } from './duration.ts';
import { decodeFailure } from './failure.ts';
import { FRAME, type Message } from './frames.ts';
import { Credit, ItemReader } from './items.ts';
import { decodeBody, encodeBody } from './msgpack.ts';
import { type Outbox, SEND_QUEUE_BYTES_FULL, type Ticket } from './outbox.ts';
import { serviceKey } from './services.ts';
import { validate } from './validate.ts';

const DEADLINE_MS = 10_000;
const ID_MAX = 0xffff_ffff;
/** Longest delay a timer can hold. */
const TIMER_MS_MAX = 0x7fff_ffff;
const NOTHING = new Uint8Array(0);

interface Call {
	readonly id: number;
	/** `service.method`, for messages. */
	readonly what: string;
	readonly method: AnyMethod;
	readonly ticket: Ticket;
	readonly startedMs: number;
	readonly credit: Credit | undefined;
	readonly reader: ItemReader | undefined;
	settle(error: MeshError | undefined, body: Uint8Array): void;
	timer: NodeJS.Timeout | undefined;
	signal: AbortSignal | undefined;
	onAbort: (() => void) | undefined;
}

export interface CallsOutOptions {
	readonly outbox: Outbox;
	readonly remote: PeerId | 'local';
	/** The initiator of the session numbers its calls odd, the other side even. */
	readonly isInitiator: boolean;
	readonly onRtt: (ms: number) => void;
	readonly onIdle: () => void;
}

export class CallsOut {
	readonly #options: CallsOutOptions;
	readonly #calls = new Map<number, Call>();
	#nextId: number;
	#lost: Error | undefined;
	#isLost = false;

	constructor(options: CallsOutOptions) {
		this.#options = options;
		this.#nextId = options.isInitiator ? 1 : 2;
	}

	get inflight(): number {
		return this.#calls.size;
	}

	unary(contract: Contract, name: string, input: unknown, options: CallOptions): Promise<unknown> {
		return new Promise((resolve, reject) => {
			const { method, what } = methodOf(contract, name);
			const settle = settleOne(method.output, what, resolve, reject);
			try {
				this.#start(contract, name, method, what, input, options, durationMs(options.timeout ?? DEADLINE_MS), settle);
			} catch (error) {
				reject(error);
			}
		});
	}

	upload(contract: Contract, name: string, input: AsyncIterable<unknown>, options: CallOptions): Promise<unknown> {
		return new Promise((resolve, reject) => {
			const { method, what } = methodOf(contract, name);
			const settle = settleOne(method.output, what, resolve, reject);
			try {
				const call = this.#start(contract, name, method, what, undefined, options, timeoutOf(options), settle);
				void this.#pump(call, input, reject);
			} catch (error) {
				reject(error);
			}
		});
	}

	/** Server streams and duplex calls. Nothing is sent until the first item is asked for. */
	stream(contract: Contract, name: string, input: unknown, options: CallOptions): AsyncIterableIterator<unknown> {
		const { method, what } = methodOf(contract, name);
		let call: Call | undefined;
		const reader: ItemReader = new ItemReader({
			decode: (body) => decodeOutput(method.output, what, body),
			grant: (bytes) => {
				if (call) this.#options.outbox.send(FRAME.credit, call.id, encodeBody(bytes));
			},
			onStart: () => {
				try {
					const isDuplex = method.kind === 'duplex';
					const first = isDuplex ? undefined : input;
					const settle = (error: MeshError | undefined): void => reader.end(error);
					call = this.#start(contract, name, method, what, first, options, timeoutOf(options), settle, reader);
					if (isDuplex) void this.#pump(call, input as AsyncIterable<unknown>, (error) => reader.end(error));
				} catch (error) {
					reader.end(error);
				}
			},
			onReturn: () => {
				if (call) this.#giveUp(call, undefined);
			},
		});
		return reader;
	}

	/** A message for one of our calls. Late ones, for calls that were given up, are dropped. */
	receive({ type, id, body }: Message): void {
		const call = this.#calls.get(id);
		if (call === undefined) return;
		switch (type) {
			case FRAME.result:
				if (call.reader === undefined) {
					if (call.method.kind === 'unary') this.#options.onRtt(performance.now() - call.startedMs);
					this.#finish(call, undefined, body);
				}
				return;
			case FRAME.error:
				this.#finish(call, decodeFailure(body, this.#options.remote));
				return;
			case FRAME.item:
				call.reader?.push(body);
				return;
			case FRAME.end:
				if (call.reader !== undefined) this.#finish(call, undefined);
				return;
			case FRAME.credit:
				call.credit?.grant(creditOf(body));
				return;
			default:
				throw new MeshError('invalid_input', `malformed frame: type ${type} does not belong to a call of ours`);
		}
	}

	/** The session is gone: every call ends, each saying whether it may have been applied. */
	lose(cause: Error | undefined): void {
		this.#isLost = true;
		this.#lost = cause;
		for (const call of [...this.#calls.values()]) {
			const applied = call.ticket.written && !call.method.idempotent ? 'maybe' : 'no';
			this.#finish(call, this.#unavailable(`the session ended during ${call.what}`, applied));
		}
	}

	#unavailable(what: string, applied: 'no' | 'maybe'): MeshError {
		const { remote } = this.#options;
		const why = this.#lost === undefined ? '' : ` (${this.#lost.message})`;
		return new MeshError('unavailable', `${remote}: ${what}${why}`, {
			applied,
			...(remote === 'local' ? {} : { peer: remote }),
			...(this.#lost === undefined ? {} : { cause: this.#lost }),
		});
	}

	#start(
		contract: Contract,
		name: string,
		method: AnyMethod,
		what: string,
		input: unknown,
		options: CallOptions,
		timeoutMs: number,
		settle: Call['settle'],
		reader?: ItemReader,
	): Call {
		const { outbox, remote } = this.#options;
		const { signal, meta } = options;
		if (this.#isLost) throw this.#unavailable('the session is closed', 'no');
		if (signal?.aborted)
			throw new MeshError('cancelled', `${what} was cancelled before it was sent`, { applied: 'no' });
		if (outbox.bytes > SEND_QUEUE_BYTES_FULL) {
			throw new MeshError('exhausted', `${what}: the send queue to ${remote} is full; call less or later`);
		}
		const hasDeadline = Number.isFinite(timeoutMs);
		const body = encodeBounded(
			[serviceKey(contract), name, hasDeadline ? Math.max(1, Math.ceil(timeoutMs)) : 0, meta ?? null, input],
			'invalid_input',
			what,
		);
		const sendsItems = method.kind === 'upload' || method.kind === 'duplex';
		const call: Call = {
			id: this.#takeId(),
			what,
			method,
			ticket: { written: false, dropped: false },
			startedMs: performance.now(),
			credit: sendsItems ? new Credit() : undefined,
			reader,
			settle,
			timer: undefined,
			signal: undefined,
			onAbort: undefined,
		};
		this.#calls.set(call.id, call);
		if (hasDeadline) {
			call.timer = setTimeout(
				() => this.#giveUp(call, 'deadline', `${what} on ${remote} took longer than ${timeoutMs} ms`),
				Math.min(timeoutMs, TIMER_MS_MAX),
			);
		}
		if (signal) {
			call.signal = signal;
			call.onAbort = () => this.#giveUp(call, 'cancelled', `${what} on ${remote} was cancelled`);
			signal.addEventListener('abort', call.onAbort, { once: true });
		}
		outbox.send(FRAME.call, call.id, body, call.ticket);
		return call;
	}

	/** Ids go up by two and skip those still in use after they wrapped. */
	#takeId(): number {
		let id = this.#nextId;
		while (this.#calls.has(id)) id = this.#after(id);
		this.#nextId = this.#after(id);
		return id;
	}

	#after(id: number): number {
		return id + 2 > ID_MAX ? (this.#options.isInitiator ? 1 : 2) : id + 2;
	}

	/** Ends a call on our side and tells the remote, if it has heard of it. */
	#giveUp(call: Call, code: 'deadline' | 'cancelled' | undefined, message = ''): void {
		if (!this.#calls.has(call.id)) return;
		if (call.ticket.written) this.#options.outbox.send(FRAME.cancel, call.id, NOTHING);
		else call.ticket.dropped = true;
		const { remote } = this.#options;
		const applied = call.ticket.written ? 'maybe' : 'no';
		const peer = remote === 'local' ? {} : { peer: remote };
		this.#finish(call, code === undefined ? undefined : new MeshError(code, message, { applied, ...peer }));
	}

	#finish(call: Call, error: MeshError | undefined, body: Uint8Array = NOTHING): void {
		this.#calls.delete(call.id);
		if (call.timer !== undefined) clearTimeout(call.timer);
		if (call.onAbort !== undefined) call.signal?.removeEventListener('abort', call.onAbort);
		call.credit?.close();
		call.settle(error, body);
		if (this.#calls.size === 0) this.#options.onIdle();
	}

	/** Sends what the caller's iterable yields, as credit allows. Stops it when the call ends first. */
	async #pump(call: Call, input: AsyncIterable<unknown>, onError: (error: unknown) => void): Promise<void> {
		const { outbox } = this.#options;
		const iterator = input[Symbol.asyncIterator]();
		let done = false;
		try {
			while (await call.credit?.ready()) {
				await outbox.writable();
				const next = await iterator.next();
				if (next.done === true) {
					done = true;
					if (this.#calls.has(call.id)) outbox.send(FRAME.end, call.id, NOTHING);
					return;
				}
				if (!this.#calls.has(call.id)) break;
				const body = encodeBounded(next.value, 'invalid_input', call.what);
				call.credit?.spend(body);
				outbox.send(FRAME.item, call.id, body);
			}
		} catch (error) {
			// The caller's own iterable failed, so the caller gets its own error back.
			onError(error);
			this.#giveUp(call, undefined);
		} finally {
			if (!done) await iterator.return?.()?.then(undefined, () => undefined);
		}
	}
}

function timeoutOf(options: CallOptions): number {
	return options.timeout === undefined ? Number.POSITIVE_INFINITY : durationMs(options.timeout);
}

function methodOf(contract: Contract, name: string): { method: AnyMethod; what: string } {
	const method = contract.methods[name];
	if (method === undefined) throw new MeshError('not_found', `contract ${contract.name} has no method ${name}`);
	return { method, what: `${contract.name}.${name}` };
}

function decodeOutput(schema: StandardSchemaV1, what: string, body: Uint8Array): unknown {
	let value: unknown;
	try {
		value = decodeBody(body);
	} catch (cause) {
		throw new MeshError('invalid_output', `the answer of ${what} cannot be decoded`, { cause, applied: 'maybe' });
	}
	return validate(schema, value, 'invalid_output', `the answer of ${what}`);
}

function settleOne(
	schema: StandardSchemaV1,
	what: string,
	resolve: (value: unknown) => void,
	reject: (error: unknown) => void,
): Call['settle'] {
	return (error, body) => {
		if (error) return reject(error);
		try {
			resolve(decodeOutput(schema, what, body));
		} catch (invalid) {
			reject(invalid);
		}
	};
}

/** Encodes a value for a call, or says why it cannot travel. */
export function encodeBounded(value: unknown, code: 'invalid_input' | 'invalid_output', what: string): Uint8Array {
	let body: Uint8Array;
	try {
		body = encodeBody(value);
	} catch (cause) {
		throw new MeshError(code, `${what}: a value cannot be encoded: ${(cause as Error).message}`, { cause });
	}
	if (body.byteLength > LIMITS.messageBytesMax) {
		throw new MeshError(
			code,
			`${what}: ${body.byteLength} bytes are more than one message can have (${LIMITS.messageBytesMax}); use a stream`,
		);
	}
	return body;
}

/** Bytes of credit in a frame. */
export function creditOf(body: Uint8Array): number {
	const bytes = decodeBody(body);
	if (typeof bytes !== 'number' || !Number.isInteger(bytes) || bytes <= 0) {
		throw new MeshError('invalid_input', 'malformed frame: credit is not a positive integer');
	}
	return bytes;
}

/** A function per method, each calling through whatever link is current when it is called. */
export function makeCaller<M extends Methods>(contract: Contract<M>, calls: () => CallsOut): Caller<M> {
	const caller: Record<string, unknown> = {};
	for (const [name, { kind }] of Object.entries(contract.methods)) {
		caller[name] = (input: unknown, options: CallOptions = {}): unknown => {
			if (kind === 'unary') return calls().unary(contract, name, input, options);
			if (kind === 'upload') return calls().upload(contract, name, input as AsyncIterable<unknown>, options);
			return calls().stream(contract, name, input, options);
		};
	}
	return caller as Caller<M>;
}
