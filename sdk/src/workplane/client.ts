/**
 * Typed calls to whichever replica serves a contract: chosen by load, tried again elsewhere when that is safe (the call
 * was not applied, or its method is idempotent) and the retry budget allows.
 */
import type { Directory, PeerPrincipal, WorkloadView } from '../discovery/index.ts';
import { isMeshError, MeshError } from '../errors.ts';
import type { AnyMethod, Contract, Methods, CallOptions as SessionCallOptions } from '../streams/rpc/contract.ts';
import { durationMs } from '../streams/rpc/duration.ts';
import type { Session } from '../streams/rpc/session.types.ts';
import type { PeerId } from '../wire/index.ts';
import { Balancer, RetryBudget } from './balance.ts';
import { serves, toReplica } from './peers.ts';
import { Queue } from './queue.ts';
import type { Answer, CallOptions, CallPolicy, Client, ClientOptions, Replica } from './types.ts';

const TIMEOUT_MS = 10_000;
const ATTEMPTS = 3;
const WAIT_FOR_READY_MS = 5000;
/** Under this key in a call's meta travels which try it is. */
export const ATTEMPT_META = 'beemesh-attempt';

/** Where a client looks for replicas. */
export interface Target {
	/** For messages: `workload kv-store`. */
	readonly what: string;
	/** Name of the workload. */
	readonly workload: string;
	readonly directory: Directory;
	views(): readonly WorkloadView[];
	/** A session with ourselves, where this process serves the contract too. */
	self(): Promise<Session<PeerPrincipal>> | undefined;
	/** Nobody is there: look again. */
	wake(): void;
	/** Resolves at the next change of membership. */
	changed(signal: AbortSignal): Promise<void>;
}

interface Candidate {
	readonly peer: PeerId;
	readonly replica: Replica;
	session(): Promise<Session<PeerPrincipal>>;
}

type Invoke = (input: unknown, options: SessionCallOptions) => unknown;

export function createClient<M extends Methods>(
	contract: Contract<M>,
	target: Target,
	options: ClientOptions,
	defaults: CallPolicy,
): Client<M> {
	const caller = new ServiceCaller(contract, target, options, defaults);
	const client: Record<string, unknown> = {};
	const all: Record<string, unknown> = {};
	for (const [name, method] of Object.entries(contract.methods)) {
		if (method.kind === 'unary') {
			client[name] = (input: unknown, o?: CallOptions) => caller.unary(name, method, input, o);
			all[name] = (input: unknown, o?: CallOptions) => caller.all(name, input, o);
		} else if (method.kind === 'upload') {
			client[name] = (input: unknown, o?: CallOptions) => caller.once(name, input, o);
		} else {
			client[name] = (input: unknown, o?: CallOptions) => caller.stream(name, method, input, o);
		}
	}
	return { ...client, all } as unknown as Client<M>;
}

class ServiceCaller {
	readonly #contract: Contract;
	readonly #target: Target;
	readonly #balancer = new Balancer();
	readonly #budget = new RetryBudget();
	readonly #policy: CallPolicy;
	readonly #waitMs: number;

	constructor(contract: Contract, target: Target, options: ClientOptions, defaults: CallPolicy) {
		this.#contract = contract;
		this.#target = target;
		this.#policy = { ...defaults, ...options };
		this.#waitMs = durationMs(options.waitForReady ?? WAIT_FOR_READY_MS);
	}

	async unary(name: string, method: AnyMethod, input: unknown, options: CallOptions = {}): Promise<unknown> {
		const policy = { ...this.#policy, ...options };
		const deadlineMs = performance.now() + durationMs(policy.timeout ?? TIMEOUT_MS);
		const attempts = policy.retry?.attempts ?? ATTEMPTS;
		const tried = new Set<PeerId>();
		this.#budget.onCall();
		for (let attempt = 1; ; attempt++) {
			const candidate = await this.#choose(name, options, tried, deadlineMs);
			tried.add(candidate.peer);
			try {
				return await this.#invoke(candidate, name, input, options, attempt, deadlineMs);
			} catch (error) {
				const isLast = attempt >= attempts || options.to !== undefined || performance.now() >= deadlineMs;
				if (isLast || !mayRetry(error, method) || !this.#budget.take()) throw error;
			}
		}
	}

	/** One try: what has been read from an upload cannot be read again. */
	async once(name: string, input: unknown, options: CallOptions = {}): Promise<unknown> {
		const candidate = await this.#choose(name, options, new Set(), this.#deadline(options));
		return this.#invoke(candidate, name, input, options, 1, undefined);
	}

	async *stream(name: string, method: AnyMethod, input: unknown, options: CallOptions = {}): AsyncGenerator<unknown> {
		const attempts = method.kind === 'stream' ? (this.#policy.retry?.attempts ?? ATTEMPTS) : 1;
		const tried = new Set<PeerId>();
		for (let attempt = 1; ; attempt++) {
			const candidate = await this.#choose(name, options, tried, this.#deadline(options));
			tried.add(candidate.peer);
			const end = this.#balancer.begin(candidate.peer);
			let hasItems = false;
			try {
				const invoke = await this.#function(candidate, name);
				const items = invoke(input, this.#callOptions(options, attempt, undefined)) as AsyncIterable<unknown>;
				for await (const item of items) {
					hasItems = true;
					yield item;
				}
				end(false);
				return;
			} catch (error) {
				end(isReplicaFault(error));
				if (hasItems || attempt >= attempts || options.to !== undefined || !mayRetry(error, method)) throw error;
				if (!this.#budget.take()) throw error;
			} finally {
				// A reader that leaves early has no quarrel with the replica; a second end changes nothing.
				end(false);
			}
		}
	}

	all(name: string, input: unknown, options: CallOptions = {}): AsyncIterable<Answer<unknown>> {
		const answers = new Queue<Answer<unknown>>();
		const deadlineMs = performance.now() + durationMs(options.timeout ?? this.#policy.timeout ?? TIMEOUT_MS);
		const ask = async (candidate: Candidate): Promise<void> => {
			try {
				const value = await this.#invoke(candidate, name, input, options, 1, deadlineMs);
				answers.push({ from: candidate.replica, value });
			} catch (error) {
				const known = isMeshError(error) ? error : new MeshError('internal', String(error), { cause: error });
				answers.push({ from: candidate.replica, error: known });
			}
		};
		void Promise.all(this.#candidates().map(ask)).then(() => answers.end());
		return answers;
	}

	#deadline(options: CallOptions): number {
		return performance.now() + durationMs(options.timeout ?? this.#policy.timeout ?? TIMEOUT_MS);
	}

	async #invoke(
		candidate: Candidate,
		name: string,
		input: unknown,
		options: CallOptions,
		attempt: number,
		deadlineMs: number | undefined,
	): Promise<unknown> {
		const end = this.#balancer.begin(candidate.peer);
		try {
			const invoke = await this.#function(candidate, name);
			const value = await invoke(input, this.#callOptions(options, attempt, deadlineMs));
			end(false);
			return value;
		} catch (error) {
			end(isReplicaFault(error));
			throw error;
		}
	}

	async #function(candidate: Candidate, name: string): Promise<Invoke> {
		const caller = (await candidate.session()).caller(this.#contract) as Record<string, Invoke>;
		return caller[name] as Invoke;
	}

	#callOptions(options: CallOptions, attempt: number, deadlineMs: number | undefined): SessionCallOptions {
		const timeout = options.timeout ?? this.#policy.timeout;
		const leftMs = deadlineMs === undefined ? undefined : Math.max(1, deadlineMs - performance.now());
		return {
			...(leftMs !== undefined ? { timeout: leftMs } : timeout === undefined ? {} : { timeout }),
			...(options.signal === undefined ? {} : { signal: options.signal }),
			meta: attempt === 1 ? { ...options.meta } : { ...options.meta, [ATTEMPT_META]: String(attempt) },
		};
	}

	/** A replica for the next try: one not tried yet where there is any. Waits for one to become ready. */
	async #choose(
		name: string,
		{ to, signal }: CallOptions,
		tried: ReadonlySet<PeerId>,
		deadlineMs: number,
	): Promise<Candidate> {
		const untilMs = Math.min(deadlineMs, performance.now() + this.#waitMs);
		for (;;) {
			signal?.throwIfAborted();
			const candidates = this.#candidates().filter(({ peer }) => to === undefined || peer === to);
			const fresh = candidates.filter(({ peer }) => !tried.has(peer));
			const found = this.#balancer.pick(fresh.length > 0 ? fresh : candidates);
			if (found !== undefined) return found;
			const leftMs = untilMs - performance.now();
			if (leftMs <= 0) throw this.#nobody(name, to);
			this.#target.wake();
			const limit = AbortSignal.timeout(Math.ceil(leftMs));
			await this.#target.changed(signal === undefined ? limit : AbortSignal.any([signal, limit]));
		}
	}

	#candidates(): Candidate[] {
		const { directory, workload } = this.#target;
		const found: Candidate[] = [];
		for (const view of this.#target.views()) {
			for (const { record, phase } of view.live()) {
				if (!record.ready || phase !== 'alive' || !serves(record, this.#contract)) continue;
				const isSelf = record.replicaId === directory.record.replicaId;
				const session = isSelf ? undefined : directory.node.get(record.replicaId);
				const self = isSelf ? this.#target.self() : undefined;
				if (session === undefined && self === undefined) continue;
				found.push({
					peer: record.replicaId,
					replica: toReplica({ record, workload, rttMs: session?.rttMs }),
					session: async () => session ?? (self as Promise<Session<PeerPrincipal>>),
				});
			}
		}
		this.#balancer.retain(new Set(found.map(({ peer }) => peer)));
		return found;
	}

	#nobody(method: string, to: PeerId | undefined): MeshError {
		const { name, version } = this.#contract;
		const who = to === undefined ? 'no ready replica' : `replica ${to} is not ready or`;
		return new MeshError(
			'no_replicas',
			`${who} of ${this.#target.what} serves ${name}@${version} (${method}): is it running, of this owner, in this namespace?`,
		);
	}
}

/** Safe to repeat: it was not applied, or repeating does no harm. */
function mayRetry(error: unknown, method: AnyMethod): boolean {
	if (!isMeshError(error)) return false;
	if (error.applied === 'no') return error.retryable;
	return (
		method.idempotent && (error.code === 'unavailable' || error.code === 'draining' || error.code === 'unknown_outcome')
	);
}

/** The replica, not the call, is at fault. */
function isReplicaFault(error: unknown): boolean {
	return isMeshError(error, 'unavailable') || isMeshError(error, 'exhausted') || isMeshError(error, 'deadline');
}
