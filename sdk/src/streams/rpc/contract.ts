import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { MeshError } from '../../errors.ts';
import type { PeerId } from '../../wire/ids.ts';

/** Milliseconds, or a number with its unit. */
export type Duration = number | `${number}${'ms' | 's' | 'm'}`;

export type SchemaIn<S> = S extends StandardSchemaV1 ? StandardSchemaV1.InferInput<S> : unknown;
export type SchemaOut<S> = S extends StandardSchemaV1 ? StandardSchemaV1.InferOutput<S> : unknown;

export type MethodKind = 'unary' | 'stream' | 'upload' | 'duplex';

export interface Method<I, O, K extends MethodKind> {
	readonly input: I;
	readonly output: O;
	readonly kind: K;
	/** May be repeated safely, so the client may retry after an unknown outcome. Default false. */
	readonly idempotent: boolean;
}

export type AnyMethod = Method<StandardSchemaV1, StandardSchemaV1, MethodKind>;
export type Methods = Record<string, AnyMethod>;

/** A plain value that caller and server share: no code generation, no classes. */
export interface Contract<M extends Methods = Methods> {
	readonly name: string;
	readonly version: string;
	readonly methods: M;
}

type Define<K extends MethodKind> = <I extends StandardSchemaV1, O extends StandardSchemaV1>(definition: {
	input: I;
	output: O;
	idempotent?: boolean;
}) => Method<I, O, K>;

function define<K extends MethodKind>(kind: K): Define<K> {
	return ({ input, output, idempotent = false }) => ({ input, output, kind, idempotent });
}

/** Defines a method: `rpc` is one answer per call, `rpc.stream` many. Schemas: any Standard Schema library. */
export const rpc: Define<'unary'> & { stream: Define<'stream'>; upload: Define<'upload'>; duplex: Define<'duplex'> } =
	Object.assign(define('unary'), { stream: define('stream'), upload: define('upload'), duplex: define('duplex') });

/** Names a set of methods. `name` and the major of `version` select the server. */
export function contract<const N extends string, M extends Methods>(name: N, version: string, methods: M): Contract<M> {
	return { name, version, methods };
}

type CallOf<D, O> =
	D extends Method<infer I, infer R, infer K>
		? K extends 'unary'
			? (input: SchemaIn<I>, options?: O) => Promise<SchemaOut<R>>
			: K extends 'stream'
				? (input: SchemaIn<I>, options?: O) => AsyncIterable<SchemaOut<R>>
				: K extends 'upload'
					? (input: AsyncIterable<SchemaIn<I>>, options?: O) => Promise<SchemaOut<R>>
					: (input: AsyncIterable<SchemaIn<I>>, options?: O) => AsyncIterable<SchemaOut<R>>
		: never;

/** The typed caller of one session: a function per method. */
export type Caller<M extends Methods, O = CallOptions> = { readonly [K in keyof M]: CallOf<M[K], O> };

type HandlerOf<D, C> =
	D extends Method<infer I, infer R, infer K>
		? (
				input: K extends 'unary' | 'stream' ? SchemaOut<I> : AsyncIterable<SchemaOut<I>>,
				context: C,
			) => K extends 'unary' | 'upload' ? SchemaIn<R> | Promise<SchemaIn<R>> : AsyncIterable<SchemaIn<R>>
		: never;

/** What a server provides: a function per method. */
export type Impl<M extends Methods, C = SessionCallContext> = { [K in keyof M]: HandlerOf<M[K], C> };

/** Options of one call on one session. */
export interface CallOptions {
	/** Default 10 s for unary calls; streams have none unless set. Crosses the wire. */
	readonly timeout?: Duration;
	readonly signal?: AbortSignal;
	readonly meta?: Readonly<Record<string, string>>;
}

/** What a handler knows of its caller. */
export interface SessionCallContext<P = unknown> {
	/** Peer ID proved by the transport; for a unix socket the literal `'local'`. */
	readonly remote: PeerId | 'local';
	/** What `admit` made of the remote's hello. */
	readonly principal: P;
	/** Aborts on cancellation, deadline, or loss of the session. */
	readonly signal: AbortSignal;
	/** Milliseconds since the epoch; Infinity when there is none. */
	readonly deadline: number;
	readonly meta: Readonly<Record<string, string>>;
}

export type CallFailure = MeshError;
