/** The public surface of a workplane: what an app sees of its own replica, of others, and of the mesh. */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { MeshError } from '../errors.ts';
import type { Contract, Duration, Method, MethodKind, Methods, SchemaIn, SchemaOut } from '../streams/rpc/contract.ts';
import type { Logger, Metrics } from '../telemetry/index.ts';
import type { PeerId } from '../wire/index.ts';

export interface Locality {
	readonly zone?: string;
}

export interface JoinOptions {
	/** The workload's name in `dev` mode. In a pod the charter says it. Default `app`. */
	readonly workload?: string;
	/**
	 * Join other processes of this machine instead of a host: no daemon, account or file needed. A string names the
	 * mesh; `true` is the mesh `default`. Without it, and without a pod's environment, joining fails with advice.
	 */
	readonly dev?: boolean | string;
	/** `dev` only: where this replica keeps its slot and its state. Default: nothing is kept, each start is a new replica. */
	readonly data?: string;
	/** `dev` only: processes that found a Raft group together. Default 3. */
	readonly voters?: number;
	/** Version of the app, shown to others. Default `0.0.0`. */
	readonly version?: string;
	/** Ends the attempt to join. */
	readonly signal?: AbortSignal;
	/** How long joining may take: admission waits for whoever placed this replica. Default 60 s. */
	readonly readyTimeout?: Duration;
	readonly locality?: Locality;
	readonly defaults?: CallPolicy;
	readonly drain?: DrainDefaults;
	readonly log?: Logger;
	readonly metrics?: Metrics;
}

export interface DrainDefaults {
	/** Time for calls in flight. Default 10 s. */
	readonly grace?: Duration;
	/** Drain on SIGTERM, and end the process then. Default true. */
	readonly onSigterm?: boolean;
}

export type WorkplaneState = 'joining' | 'serving' | 'degraded' | 'draining' | 'left';

export interface Replica {
	readonly peer: PeerId;
	/** Name of its workload. */
	readonly workload: string;
	readonly ready: boolean;
	readonly slot: number;
	readonly gen: number;
	readonly zone?: string;
	/** Round trip of recent calls, weighted; absent before the first. */
	readonly rttMs?: number;
	readonly version: string;
	readonly labels: Readonly<Record<string, string>>;
}

export interface CallPolicy {
	/** Default 10 s for unary calls; streams have none. */
	readonly timeout?: Duration;
	readonly retry?: {
		/** Tries of one call, the first included. Default 3. */
		readonly attempts?: number;
	};
}

export interface CallOptions extends CallPolicy {
	readonly signal?: AbortSignal;
	/** Only this replica. No other is tried. */
	readonly to?: PeerId;
	readonly meta?: Readonly<Record<string, string>>;
}

export interface ClientOptions extends CallPolicy {
	/** Another workload of the same owner and namespace. Default: our own. */
	readonly workload?: string;
	/** How long a call waits for a replica that can serve it. Default 5 s; 0 fails at once with `no_replicas`. */
	readonly waitForReady?: Duration;
}

export interface ServeOptions {
	/** Calls that run at once; later ones queue. Default 256. */
	readonly concurrency?: number;
	/** Calls that wait; later ones are refused with `exhausted`. Default 1024. */
	readonly queue?: number;
}

export interface ServerStats {
	readonly calls: number;
	readonly errors: number;
	readonly inflight: number;
	readonly queued: number;
}

export interface Server extends AsyncDisposable {
	readonly stats: ServerStats;
}

/** What a handler knows of its call. */
export interface CallContext {
	readonly from: Replica;
	/** Aborts on cancellation, deadline, or loss of the caller. */
	readonly signal: AbortSignal;
	/** Milliseconds since the epoch; Infinity when there is none. */
	readonly deadline: number;
	/** 1 for the first try. */
	readonly attempt: number;
	readonly meta: Readonly<Record<string, string>>;
}

type ClientFn<D> =
	D extends Method<infer I, infer O, infer K>
		? K extends 'unary'
			? (input: SchemaIn<I>, options?: CallOptions) => Promise<SchemaOut<O>>
			: K extends 'stream'
				? (input: SchemaIn<I>, options?: CallOptions) => AsyncIterable<SchemaOut<O>>
				: K extends 'upload'
					? (input: AsyncIterable<SchemaIn<I>>, options?: CallOptions) => Promise<SchemaOut<O>>
					: (input: AsyncIterable<SchemaIn<I>>, options?: CallOptions) => AsyncIterable<SchemaOut<O>>
		: never;

/** One replica's answer to a call to all. */
export interface Answer<O> {
	readonly from: Replica;
	readonly value?: O;
	readonly error?: MeshError;
}

type UnaryNames<M extends Methods> = {
	[K in keyof M]: M[K] extends Method<StandardSchemaV1, StandardSchemaV1, infer T extends MethodKind>
		? 'unary' extends T
			? K
			: never
		: never;
}[keyof M];

export type Client<M extends Methods> = { readonly [K in keyof M]: ClientFn<M[K]> } & {
	/** The same unary methods, asked of every ready replica at once; answers come as they arrive. */
	readonly all: {
		readonly [K in UnaryNames<M>]: (
			input: SchemaIn<M[K]['input']>,
			options?: CallOptions,
		) => AsyncIterable<Answer<SchemaOut<M[K]['output']>>>;
	};
};

export interface MembershipEvent {
	readonly type: 'added' | 'removed' | 'ready' | 'unready' | 'suspect';
	readonly replica: Replica;
}

export interface Events {
	state: WorkplaneState;
	member: MembershipEvent;
	reconcile: { readonly observed: number; readonly desired: number; readonly acted: boolean };
	consensus: { readonly group: string; readonly role: string; readonly term: bigint };
	warn: MeshError;
}

export interface Health {
	/** Marks this replica ready or not. Callers elsewhere stop choosing one that is not. */
	setReady(ready: boolean): void;
	/** Runs a probe again and again; three failures in a row make this replica unready, one success ready again. */
	check(
		name: string,
		probe: (signal: AbortSignal) => unknown,
		options?: { readonly every?: Duration; readonly timeout?: Duration },
	): Disposable;
}

export interface DrainReport {
	/** Calls that ended by themselves. */
	readonly finished: number;
	/** Calls that were cut off at the end of the grace. */
	readonly aborted: number;
	readonly tookMs: number;
}

export type { Contract, Duration };
