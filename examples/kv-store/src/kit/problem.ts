/**
 * How a failure looks to an HTTP client: a status, and a JSON body `{"code","message",…}` that programs can act on.
 * Failures of the mesh keep their codes; what is wrong with the request itself has a code of its own.
 */
import { isMeshError, type MeshCode } from '@beemesh/sdk';

/** Codes that only HTTP has; all others are the mesh's. */
export type ProblemCode = MeshCode | 'bad_request' | 'method_not_allowed' | 'too_large' | 'compacted' | 'forbidden';

export class Problem extends Error {
	override readonly name = 'Problem';
	readonly status: number;
	readonly code: ProblemCode;
	/** Further members of the JSON body. */
	readonly facts: Readonly<Record<string, unknown>>;
	readonly headers: Readonly<Record<string, string>>;

	constructor(
		status: number,
		code: ProblemCode,
		message: string,
		more: { facts?: Readonly<Record<string, unknown>>; headers?: Readonly<Record<string, string>> } = {},
	) {
		super(message);
		this.status = status;
		this.code = code;
		this.facts = more.facts ?? {};
		this.headers = more.headers ?? {};
	}
}

export function badRequest(message: string): never {
	throw new Problem(400, 'bad_request', message);
}

const STATUS: Readonly<Record<MeshCode, number>> = {
	invalid_input: 400,
	unauthorized: 403,
	not_found: 404,
	conflict: 412,
	no_quorum: 503,
	unavailable: 503,
	no_replicas: 503,
	draining: 503,
	exhausted: 503,
	lost_lease: 503,
	deadline: 504,
	cancelled: 504,
	unknown_outcome: 504,
	disk_full: 507,
	corrupt: 500,
	invalid_output: 500,
	internal: 500,
};

/**
 * What to answer for `error`. A write whose fate nobody knows is `unknown_outcome`, whatever broke: the client must
 * read before it writes again, and must never be told "failed".
 */
export function problemOf(error: unknown, effect: 'read' | 'write'): Problem {
	if (error instanceof Problem) return error;
	if (!isMeshError(error)) {
		return effect === 'write'
			? new Problem(504, 'unknown_outcome', 'the server failed while it handled this write; read the key to learn more')
			: new Problem(500, 'internal', 'the server failed while it handled this request; its log says why');
	}
	if (effect === 'write' && error.applied === 'maybe') {
		return new Problem(504, 'unknown_outcome', `${error.message}; the write may or may not have happened`);
	}
	const status = STATUS[error.code];
	const headers: Record<string, string> = status === 503 ? { 'retry-after': '1' } : {};
	return new Problem(status, error.code, error.message, { headers, facts: factsOf(error.details) });
}

/** A conflict says at which revision the key is now. */
function factsOf(details: unknown): Record<string, unknown> {
	if (typeof details !== 'object' || details === null || !('rev' in details)) return {};
	return { rev: Number(details.rev) };
}
