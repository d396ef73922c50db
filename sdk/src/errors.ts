/**
 * The one error that crosses rooms, processes and machines. Each code has a line in `docs/errors.md`:
 * what happened, whether a retry is safe, what to do.
 */
export const MESH_CODES = [
	'unavailable',
	'no_replicas',
	'deadline',
	'cancelled',
	'unauthorized',
	'invalid_input',
	'invalid_output',
	'not_found',
	'conflict',
	'exhausted',
	'draining',
	'no_quorum',
	'lost_lease',
	'unknown_outcome',
	'disk_full',
	'corrupt',
	'internal',
] as const;

export type MeshCode = (typeof MESH_CODES)[number];

/** Whether the operation may have taken effect although it failed. `'no'` makes a retry safe. */
export type Applied = 'no' | 'maybe';

export interface MeshErrorOptions {
	/** Default: true for `unavailable`, `no_replicas`, `exhausted`, `draining`, `no_quorum`; else false. */
	readonly retryable?: boolean;
	/** Default: `'maybe'` for `deadline`, `cancelled`, `unknown_outcome`, `internal`; else `'no'`. */
	readonly applied?: Applied;
	/** Peer ID of the process that failed, where there is one. */
	readonly peer?: string;
	/** Structured-clonable facts for programs; never secrets. */
	readonly details?: unknown;
	readonly cause?: unknown;
}

const RETRYABLE: ReadonlySet<MeshCode> = new Set(['unavailable', 'no_replicas', 'exhausted', 'draining', 'no_quorum']);
const MAYBE: ReadonlySet<MeshCode> = new Set(['deadline', 'cancelled', 'unknown_outcome', 'internal']);

/** A failure that someone can act on. States believed impossible are assertions, not this. */
export class MeshError extends Error {
	override readonly name = 'MeshError';
	readonly code: MeshCode;
	readonly retryable: boolean;
	readonly applied: Applied;
	readonly peer?: string;
	readonly details?: unknown;

	constructor(code: MeshCode, message: string, options: MeshErrorOptions = {}) {
		super(message, options.cause === undefined ? undefined : { cause: options.cause });
		this.code = code;
		this.retryable = options.retryable ?? RETRYABLE.has(code);
		this.applied = options.applied ?? (MAYBE.has(code) ? 'maybe' : 'no');
		if (options.peer !== undefined) this.peer = options.peer;
		if (options.details !== undefined) this.details = options.details;
	}
}

/** True for a `MeshError`, and for one with this code where a code is given. Works across package copies. */
export function isMeshError(error: unknown, code?: MeshCode): error is MeshError {
	if (!(error instanceof Error) || error.name !== 'MeshError') return false;
	return code === undefined || (error as MeshError).code === code;
}

/** Throws a refusal that the caller is meant to see. For handlers. */
export function fail(
	code: 'not_found' | 'conflict' | 'invalid_input' | 'unauthorized' | 'exhausted',
	message: string,
	details?: unknown,
): never {
	throw new MeshError(code, message, details === undefined ? {} : { details });
}
