/** The public face of a group: what an app hands in, and what it gets. */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Logger } from '../telemetry/index.ts';
import type { Clock } from './clock.ts';
import type { GroupSettings } from './config.ts';
import type { ConfState, MemberId, ProgressStatus } from './core/index.ts';
import type { GroupLink } from './link.ts';
import type { LogStore } from './storage/log-store.ts';

/**
 * The app's state machine. `apply` must be a function of its arguments alone: no clock, no randomness, no I/O, or
 * replicas drift apart. What it throws is the command's result: a `MeshError` reaches the proposer as it is.
 */
export interface Machine<S, C extends StandardSchemaV1, R> {
	/** Checked before a command is proposed. Its output is what `apply` gets, by way of msgpack. */
	readonly command: C;
	init(): S;
	/** `now` is log time: stamped by the leader, in milliseconds since the epoch, never going back. */
	apply(state: S, command: StandardSchemaV1.InferOutput<C>, at: { readonly index: bigint; readonly now: number }): R;
	/**
	 * The state as of this call, as bytes. Commands go on being applied while the rest of an iterable is read: what it
	 * needs must be taken before it first awaits or yields. Results of `apply` are kept beside it, by way of msgpack.
	 */
	snapshot(state: S): AsyncIterable<Uint8Array> | Uint8Array;
	restore(bytes: AsyncIterable<Uint8Array>): Promise<S>;
}

/** Who somebody is, for the app: opaque to Raft, carried by the entry that adds the member. */
export interface MemberIdentity {
	readonly id: MemberId;
	readonly context: Uint8Array;
}

export interface MemberStatus {
	readonly id: MemberId;
	/** Empty when unknown. */
	readonly context: Uint8Array;
	readonly kind: 'voter' | 'learner';
	readonly isLeader: boolean;
	/** How far it is; known to the leader alone. */
	readonly progress: ProgressStatus | undefined;
}

export type GroupRole = 'leader' | 'follower' | 'learner' | 'candidate';

export type GroupEvent =
	/** Role or leader changed. `leaderId` is undefined while there is none. */
	| {
			readonly type: 'leadership';
			readonly role: GroupRole;
			readonly leaderId: MemberId | undefined;
			readonly term: bigint;
	  }
	| { readonly type: 'members'; readonly confState: ConfState }
	/** This replica's log has no room (again). It leads no longer if another can; it goes on by itself. */
	| { readonly type: 'disk'; readonly isFull: boolean }
	/** This replica is over; every call fails. The process should be replaced. */
	| { readonly type: 'failed'; readonly error: Error };

export interface ReadOptions {
	/**
	 * `linear` sees every write acknowledged before the read began, for one round trip between the members; `stale`
	 * sees what this replica has applied, at once. @default 'linear'
	 */
	readonly level?: 'linear' | 'stale';
	readonly signal?: AbortSignal;
}

/** One member's view of a replicated state machine. */
export interface Group<S, C, R> extends AsyncDisposable {
	/**
	 * Resolves with what `apply` returned, once a majority holds the command durably. Applied at most once, however
	 * often leaders change meanwhile. With an `id`, repeats by other calls and processes apply once, too.
	 *
	 * Errors: `no_quorum`, `disk_full`, `exhausted`, `invalid_input` (surely not applied); `unknown_outcome` (a leader
	 * took it and vanished: it may still apply); `cancelled`; and whatever `apply` threw.
	 */
	propose(command: C, options?: { readonly id?: string; readonly signal?: AbortSignal }): Promise<R>;
	/** Errors: `no_quorum`, `exhausted`, `cancelled`. */
	read<T>(view: (state: Readonly<S>) => T, options?: ReadOptions): Promise<T>;
	/**
	 * The state after changes, from index `from` on: at least once after the last of several, not after each. The
	 * state is the live one: take what is needed before awaiting.
	 */
	changes(options?: {
		readonly from?: bigint;
		readonly signal?: AbortSignal;
	}): AsyncIterable<{ readonly index: bigint; readonly state: Readonly<S> }>;
	/** Hands over to `to`, or to the most caught-up member. Errors: `unavailable` when it does not come about. */
	transferLeadership(to?: MemberId): Promise<void>;
	/**
	 * Says who should belong. Whoever leads adds those missing as learners, promotes them once they caught up, and
	 * removes the rest, one change at a time. Tell every member; tell again whenever it changes.
	 */
	reconcileMembers(desired: readonly MemberIdentity[]): void;
	onEvent(listener: (event: GroupEvent) => void): Disposable;
	readonly selfId: MemberId;
	readonly role: GroupRole;
	readonly term: bigint;
	readonly leaderId: MemberId | undefined;
	/** A leader is known, so a majority was there an election timeout ago at most. */
	readonly hasQuorum: boolean;
	/** This replica's log has no room: it takes no proposals, and falls behind until there is. */
	readonly isDiskFull: boolean;
	readonly commitIndex: bigint;
	readonly appliedIndex: bigint;
	readonly confState: ConfState;
	members(): readonly MemberStatus[];
}

export interface OpenGroupOptions<S, C extends StandardSchemaV1, R> {
	/** For messages and logs. */
	readonly name: string;
	/** Given once and never reused: a replica that lost its disk comes back under another id. */
	readonly selfId: MemberId;
	/**
	 * The first members, the same list for each of them. Only for a group that is new: on a log that holds anything it
	 * is ignored. Undefined for a replica that will be added by the others.
	 */
	readonly bootstrap: readonly MemberIdentity[] | undefined;
	readonly store: LogStore;
	readonly link: GroupLink;
	readonly machine: Machine<S, C, R>;
	readonly settings?: GroupSettings;
	/** @default the real one */
	readonly clock?: Clock;
	/** Uniform in [0, 1). @default Math.random */
	readonly random?: () => number;
	/** @default silent */
	readonly logger?: Logger;
}
