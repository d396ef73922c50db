/**
 * Proposals of this process on their way into the log. Each has a number in this process's session, so it may be
 * handed to one leader after the other and still applies once; its result is seen when this replica applies it,
 * whoever led. What is known about each attempt decides between "surely not applied" and "unknown".
 */
import { type Applied, MeshError } from '../errors.ts';
import type { Clock } from './clock.ts';
import type { Forwarded, ForwardOutcome, ForwardRefusal } from './codec/frames.ts';
import type { GroupConfig } from './config.ts';
import type { MemberId, ProposalResult } from './core/index.ts';
import { NONE } from './core/index.ts';
import type { Patience } from './patience.ts';
import { encodeCommand, type SessionOutcome, type SessionTable } from './sessions.ts';

/** How the group hands a proposal on. */
export interface ProposalRoutes {
	readonly selfId: MemberId;
	leadership(): { readonly isLeader: boolean; readonly leader: MemberId; readonly term: number };
	isDiskFull(): boolean;
	/** To the local core; the result comes back by `id`. */
	proposeLocally(id: number, commands: readonly Uint8Array[]): void;
	/** To the leader; its answers come back by the proposals' ids. Returns how many were sent, from the first on. */
	forward(leader: MemberId, proposals: readonly Forwarded[]): number;
	/** Something is pending: `sweep` wants to be called every now and then. */
	needsSweep(): void;
}

/** One handing-over of one proposal, whose fate is not known yet. */
interface Attempt {
	readonly pending: Pending;
	/** Where a leader put it. */
	place: { readonly index: number; readonly term: number } | undefined;
}

interface Pending {
	readonly bytes: Uint8Array;
	readonly deadlineMs: number;
	readonly open: Map<number, Attempt>;
	attempts: number;
	/** The term in which it was last handed over, and when. */
	sentTerm: number;
	sentMs: number;
	/** Since when no attempt is open. */
	idleSinceMs: number;
	lastRefusal: ForwardRefusal | undefined;
	isDone: boolean;
	readonly settle: (error: MeshError) => void;
}

interface Call<R> {
	readonly payload: Uint8Array;
	readonly callerId: string;
	readonly deadlineMs: number;
	resolve: (result: R) => void;
	reject: (error: MeshError) => void;
}

interface Session<R> {
	/** The index of the entry that opened it; 0 until it is applied. */
	id: number;
	nonce: number;
	nextSequence: number;
	readonly calls: Map<number, { readonly call: Call<R>; readonly pending: Pending }>;
}

export class Proposals<R> {
	private readonly routes: ProposalRoutes;
	private readonly config: GroupConfig;
	private readonly clock: Clock;
	private readonly random: () => number;
	private readonly patience: Patience;
	private session: Session<R>;
	/** Since when this replica's log has no room: results are seen by applying, and it applies what its disk holds. */
	private diskFullSinceMs: number | undefined;
	private opening: Pending | undefined;
	/** Called for before the session was open. */
	private waiting: Call<R>[] = [];
	private appliedIndex = 0;
	private nextAttempt = 1;
	private readonly attempts = new Map<number, Attempt>();
	private readonly byIndex = new Map<number, number[]>();
	/** Gathered during one turn of the event loop; handed over together. */
	private readonly outbox = new Set<Pending>();
	private readonly localBatches = new Map<number, readonly number[]>();
	private nextBatch = 1;

	constructor(
		routes: ProposalRoutes,
		config: GroupConfig,
		{ clock, random, patience }: { readonly clock: Clock; readonly random: () => number; readonly patience: Patience },
	) {
		this.routes = routes;
		this.config = config;
		this.clock = clock;
		this.random = random;
		this.patience = patience;
		this.session = this.newSession();
	}

	get count(): number {
		return this.waiting.length + this.session.calls.size;
	}

	propose(payload: Uint8Array, callerId: string, signal: AbortSignal | undefined): Promise<R> {
		if (this.count >= this.config.outstandingMax) {
			const message = `${this.count} proposals wait for an outcome already; try again when some have ended`;
			return Promise.reject(new MeshError('exhausted', message));
		}
		if (signal?.aborted) return Promise.reject(cancelled(signal, 'no'));
		const deadlineMs = this.clock.nowMs() + this.config.callTimeoutMs;
		return new Promise<R>((resolve, reject) => {
			const call: Call<R> = { payload, callerId, deadlineMs, resolve, reject };
			if (this.session.id === 0) {
				this.waiting.push(call);
				this.openSession();
			} else this.assign(call);
			if (signal !== undefined) onAbort(signal, call, () => this.cancel(call, signal));
			this.routes.needsSweep();
		});
	}

	/** An entry was applied here. `outcome` is undefined for entries that are no commands. */
	applied(index: number, term: number, outcome: SessionOutcome<R> | undefined): void {
		this.appliedIndex = index;
		if (outcome !== undefined) this.settleApplied(outcome);
		const there = this.byIndex.get(index);
		if (there === undefined) return;
		this.byIndex.delete(index);
		for (const id of there) {
			const attempt = this.attempts.get(id);
			if (attempt === undefined) continue;
			// Another leader's entry stands where this one was put: it is lost for good.
			this.closeAttempt(id, attempt);
			if (attempt.place?.term !== term) this.submit(attempt.pending);
		}
	}

	/**
	 * The state was replaced by a snapshot as of `index`. What it knows of our commands counts; the others are offered
	 * again.
	 */
	restored(index: number, sessions: Pick<SessionTable<R>, 'has' | 'resultOf'>): void {
		this.appliedIndex = index;
		const { session } = this;
		if (session.id !== 0 && session.id <= index && !sessions.has(session.id)) this.sessionLost('maybe');
		for (const [sequence, { call, pending }] of [...this.session.calls]) {
			const known = sessions.resultOf(this.session.id, sequence);
			if (known === undefined) continue;
			this.session.calls.delete(sequence);
			this.drop(pending);
			call.resolve(known.result);
		}
		for (const [at, there] of [...this.byIndex]) {
			if (at > index) continue;
			this.byIndex.delete(at);
			for (const id of there) {
				const attempt = this.attempts.get(id);
				if (attempt === undefined) continue;
				this.closeAttempt(id, attempt);
				this.submit(attempt.pending);
			}
		}
	}

	private settleApplied(outcome: SessionOutcome<R>): void {
		if (outcome.kind === 'opened') {
			if (this.session.id !== 0 || outcome.nonce !== this.session.nonce) return;
			this.session.id = outcome.session;
			this.drop(this.opening);
			this.opening = undefined;
			for (const call of this.waiting.splice(0)) this.assign(call);
			return;
		}
		if (outcome.kind === 'forgotten' || outcome.session !== this.session.id) return;
		const known = this.session.calls.get(outcome.sequence);
		if (known === undefined) return;
		if (outcome.kind === 'no-session') {
			this.sessionLost('no');
			return;
		}
		this.session.calls.delete(outcome.sequence);
		this.drop(known.pending);
		known.call.resolve(outcome.result);
	}

	/**
	 * The group dropped our session. What was tried once was refused just now or will be, unless that was before our
	 * eyes were on the log (`maybe`); the rest may have applied.
	 */
	private sessionLost(once: Applied): void {
		const { calls } = this.session;
		this.session = this.newSession();
		for (const { call, pending } of calls.values()) {
			this.drop(pending);
			if (pending.attempts > (once === 'no' ? 1 : 0)) {
				const message = 'the group forgot this process while it waited, so whether the command applied is not known';
				call.reject(new MeshError('unknown_outcome', message));
			} else this.waiting.push(call);
		}
		this.openSession();
	}

	/** The local core's word about a batch handed to it. */
	localResult(result: ProposalResult): void {
		const ids = this.localBatches.get(result.id);
		this.localBatches.delete(result.id);
		ids?.forEach((id, i) => {
			if (result.outcome === 'accepted') {
				this.answered(id, { outcome: 'accepted', term: result.term, index: result.index + i });
			} else if (result.outcome === 'refused') this.answered(id, result);
		});
	}

	/** The leader's word about one attempt, local or forwarded. */
	answered(id: number, outcome: ForwardOutcome): void {
		const attempt = this.attempts.get(id);
		if (attempt === undefined) return;
		if (outcome.outcome === 'accepted') {
			attempt.place = { index: outcome.index, term: outcome.term };
			if (outcome.index <= this.appliedIndex) {
				// Applied here already, and it was not this command: else it would have been answered.
				this.closeAttempt(id, attempt);
				this.submit(attempt.pending);
				return;
			}
			const there = this.byIndex.get(outcome.index);
			if (there === undefined) this.byIndex.set(outcome.index, [id]);
			else there.push(id);
			return;
		}
		this.closeAttempt(id, attempt);
		const { pending } = attempt;
		pending.lastRefusal = outcome.reason;
		if (pending.open.size > 0) return;
		if (outcome.reason === 'quota' || outcome.reason === 'busy') {
			pending.settle(new MeshError('exhausted', 'the leader has too much uncommitted work; try again a little later'));
		}
	}

	/** There is a leader, or none any more. Whatever an earlier one took is offered to the new one. */
	leadershipChanged(): void {
		const { leader, term } = this.routes.leadership();
		if (leader === NONE) return;
		for (const pending of this.pendings()) if (pending.sentTerm !== term) this.submit(pending);
	}

	diskChanged(isFull: boolean): void {
		this.diskFullSinceMs = isFull ? this.clock.nowMs() : undefined;
	}

	/** Ends what waited too long, repeats what got no answer. */
	sweep(): void {
		const nowMs = this.clock.nowMs();
		const { leader } = this.routes.leadership();
		const { quorumWaitMs, electionTimeoutMs } = this.config;
		const waitMs = this.patience.waitMs(nowMs);
		const hopelessSinceMs = this.patience.leaderlessSinceMs ?? this.diskFullSinceMs ?? nowMs;
		for (const pending of this.pendings()) {
			const isIdle = pending.open.size === 0;
			const isHopeless = isIdle
				? nowMs - pending.idleSinceMs >= waitMs
				: nowMs - Math.max(hopelessSinceMs, pending.sentMs) >= quorumWaitMs;
			if (nowMs >= pending.deadlineMs || isHopeless) pending.settle(this.failure(pending));
			else if (leader === NONE) continue;
			else if (isIdle || this.isUnanswered(pending, nowMs - 2 * electionTimeoutMs)) this.submit(pending);
		}
	}

	/** This replica is over. */
	failAll(error: MeshError): void {
		for (const { call, pending } of [...this.session.calls.values()]) {
			this.drop(pending);
			const unknown = (): MeshError =>
				new MeshError('unknown_outcome', `${error.message}; the command may have been applied`, { cause: error });
			call.reject(pending.attempts > 0 ? unknown() : error);
		}
		this.session.calls.clear();
		this.drop(this.opening);
		this.opening = undefined;
		for (const call of this.waiting.splice(0)) call.reject(error);
	}

	private newSession(): Session<R> {
		return { id: 0, nonce: Math.floor(this.random() * Number.MAX_SAFE_INTEGER), nextSequence: 1, calls: new Map() };
	}

	private openSession(): void {
		if (this.opening !== undefined) return;
		const bytes = encodeCommand({ kind: 'open-session', nonce: this.session.nonce });
		const opening = this.newPending(bytes, this.clock.nowMs() + this.config.callTimeoutMs, (error) => {
			this.drop(opening);
			this.opening = undefined;
			// An orphan session may remain in the group; it does no harm and expires. The commands were never sent.
			const reason = error.code === 'unknown_outcome' ? NO_QUORUM() : error;
			for (const call of this.waiting.splice(0)) call.reject(reason);
		});
		this.opening = opening;
		this.submit(opening);
	}

	private assign(call: Call<R>): void {
		const { session } = this;
		const sequence = session.nextSequence++;
		// The map is in order of sequence numbers.
		const ackedBelow = session.calls.keys().next().value ?? sequence;
		const { callerId, payload } = call;
		const bytes = encodeCommand({ kind: 'command', session: session.id, sequence, ackedBelow, callerId, payload });
		const pending = this.newPending(bytes, call.deadlineMs, (error) => {
			session.calls.delete(sequence);
			this.drop(pending);
			call.reject(error);
		});
		session.calls.set(sequence, { call, pending });
		this.submit(pending);
	}

	private newPending(bytes: Uint8Array, deadlineMs: number, settle: (error: MeshError) => void): Pending {
		const nowMs = this.clock.nowMs();
		return {
			bytes,
			deadlineMs,
			open: new Map(),
			attempts: 0,
			sentTerm: 0,
			sentMs: nowMs,
			idleSinceMs: nowMs,
			lastRefusal: undefined,
			isDone: false,
			settle,
		};
	}

	private pendings(): Pending[] {
		const pendings = [...this.session.calls.values()].map(({ pending }) => pending);
		return this.opening === undefined ? pendings : [this.opening, ...pendings];
	}

	private submit(pending: Pending): void {
		this.outbox.add(pending);
		if (this.outbox.size === 1) queueMicrotask(() => this.flush());
	}

	private flush(): void {
		const { isLeader, leader, term } = this.routes.leadership();
		const batch = [...this.outbox].filter((pending) => !pending.isDone);
		this.outbox.clear();
		if (leader === NONE || batch.length === 0) return;
		const nowMs = this.clock.nowMs();
		if (isLeader && this.routes.isDiskFull()) {
			for (const pending of batch) pending.lastRefusal = 'disk-full';
			return;
		}
		const forwarded = batch.map((pending): Forwarded => {
			const id = this.nextAttempt++;
			const attempt: Attempt = { pending, place: undefined };
			this.attempts.set(id, attempt);
			pending.open.set(id, attempt);
			pending.attempts++;
			pending.sentTerm = term;
			pending.sentMs = nowMs;
			return { id, payload: pending.bytes };
		});
		if (isLeader) {
			const batchId = this.nextBatch++;
			const ids = forwarded.map(({ id }) => id);
			this.localBatches.set(batchId, ids);
			this.routes.proposeLocally(
				batchId,
				forwarded.map(({ payload }) => payload),
			);
			return;
		}
		const sent = this.routes.forward(leader, forwarded);
		for (const { id } of forwarded.slice(sent)) {
			const attempt = this.attempts.get(id);
			if (attempt === undefined) continue;
			attempt.pending.attempts--;
			this.closeAttempt(id, attempt);
		}
	}

	private closeAttempt(id: number, attempt: Attempt): void {
		this.attempts.delete(id);
		attempt.pending.open.delete(id);
		attempt.pending.idleSinceMs = this.clock.nowMs();
	}

	/** Forwarded, and neither taken nor refused: message or answer was lost. */
	private isUnanswered(pending: Pending, beforeMs: number): boolean {
		if (pending.sentMs > beforeMs) return false;
		return [...pending.open.values()].every(({ place }) => place === undefined);
	}

	private drop(pending: Pending | undefined): void {
		if (pending === undefined) return;
		for (const id of pending.open.keys()) this.attempts.delete(id);
		pending.open.clear();
		pending.isDone = true;
	}

	private failure(pending: Pending): MeshError {
		if (pending.open.size > 0) {
			const message = 'a leader took the command, but whether a majority holds it is not known; it may still apply';
			return new MeshError('unknown_outcome', message);
		}
		if (pending.lastRefusal === 'disk-full') {
			return new MeshError(
				'disk_full',
				'the leader has no room for its log and nobody could take over; free space on its disk',
			);
		}
		return NO_QUORUM();
	}

	private cancel(call: Call<R>, signal: AbortSignal): void {
		if (this.waiting.includes(call)) {
			this.waiting = this.waiting.filter((other) => other !== call);
			call.reject(cancelled(signal, 'no'));
			return;
		}
		for (const { call: other, pending } of this.session.calls.values()) {
			if (other === call) pending.settle(cancelled(signal, pending.open.size > 0 ? 'maybe' : 'no'));
		}
	}
}

/** Listens until the call ends, so that a signal that outlives many calls does not keep them all. */
function onAbort<R>(signal: AbortSignal, call: Call<R>, abort: () => void): void {
	const { resolve, reject } = call;
	signal.addEventListener('abort', abort, { once: true });
	call.resolve = (result) => {
		signal.removeEventListener('abort', abort);
		resolve(result);
	};
	call.reject = (error) => {
		signal.removeEventListener('abort', abort);
		reject(error);
	};
}

function cancelled(signal: AbortSignal, applied: 'no' | 'maybe'): MeshError {
	return new MeshError('cancelled', 'the proposal was cancelled by its caller', { applied, cause: signal.reason });
}

const NO_QUORUM = (): MeshError =>
	new MeshError(
		'no_quorum',
		'no majority of the group can be reached, so nothing was written; try again when it is back',
	);
