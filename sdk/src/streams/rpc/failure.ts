/** Errors as they cross the wire: coded ones whole, anything else as `internal` without its stack. */
import { type Applied, isMeshError, MESH_CODES, type MeshCode, MeshError } from '../../errors.ts';
import type { PeerId } from '../../wire/ids.ts';
import { decodeBody, encodeBody } from './msgpack.ts';

const CODES: ReadonlySet<unknown> = new Set(MESH_CODES);
const MESSAGE_CHARS_MAX = 4_096;

/** What the remote may know of a failure in a handler. */
export function encodeFailure(error: unknown): Uint8Array {
	const known = isMeshError(error) ? error : new MeshError('internal', 'the handler failed; its log says why');
	const { code, message, retryable, applied, details, peer } = known;
	const cut = message.slice(0, MESSAGE_CHARS_MAX);
	try {
		return encodeBody([code, cut, retryable, applied, details, peer ?? null]);
	} catch {
		// Details that msgpack cannot carry are worth less than the error.
		return encodeBody([code, cut, retryable, applied, undefined, peer ?? null]);
	}
}

/** The error a remote reported. Anything ill-formed is `internal`: the call did fail, only the reason is lost. */
export function decodeFailure(body: Uint8Array, remote: PeerId | 'local'): MeshError {
	let fields: unknown;
	try {
		fields = decodeBody(body);
	} catch (cause) {
		return new MeshError('internal', `${remote} sent an error that cannot be read`, { cause, ...peerOf(remote) });
	}
	if (!Array.isArray(fields)) return new MeshError('internal', `${remote} sent an ill-formed error`, peerOf(remote));
	const [code, message, retryable, applied, details, peer] = fields as unknown[];
	if (!CODES.has(code) || typeof message !== 'string') {
		return new MeshError('internal', `${remote} sent an error of an unknown code`, peerOf(remote));
	}
	return new MeshError(code as MeshCode, message, {
		...peerOf(remote),
		...(typeof retryable === 'boolean' ? { retryable } : {}),
		...(applied === 'no' || applied === 'maybe' ? { applied: applied as Applied } : {}),
		...(typeof peer === 'string' ? { peer } : {}),
		...(details === undefined ? {} : { details }),
	});
}

function peerOf(remote: PeerId | 'local'): { peer?: string } {
	return remote === 'local' ? {} : { peer: remote };
}
