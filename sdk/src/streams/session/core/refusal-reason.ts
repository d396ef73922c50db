/**
 * Why a handshake that we answered came to nothing, in one word: for counting, and for whoever has to mend it. Errors that
 * know say so in `details.refusal`; they may come from an identity, wrapped.
 */
import { isMeshError } from '../../../errors.ts';

export const REFUSAL_REASONS = [
	/** A credential of the other plane. */
	'plane',
	/** Another mesh, or another owner's workload. */
	'mesh',
	/** Does not know the pre-shared key. */
	'psk',
	/** Speaks no session protocol at all. */
	'protocol',
	'version',
	'suite',
	'revoked',
	'expired',
	'not_yet_valid',
	/** Another fault of its certificate. */
	'certificate',
	/** It is the peer that refused us. */
	'refused_us',
	/** Too many handshakes at once. */
	'busy',
	/** Did not finish: lost, or too slow. */
	'unfinished',
	/** Does not verify. */
	'handshake',
] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

export function refusalReasonOf(error: unknown): RefusalReason {
	let reason: RefusalReason | undefined;
	// The innermost says most: what is wrong with a certificate, rather than that something is.
	for (let one: unknown = error; isMeshError(one); one = one.cause) {
		const { refusal } = (one.details ?? {}) as { readonly refusal?: unknown };
		reason = REFUSAL_REASONS.find((known) => known === refusal) ?? reason;
	}
	if (reason !== undefined) return reason;
	if (isMeshError(error, 'exhausted') || isMeshError(error, 'cancelled')) return 'busy';
	return isMeshError(error, 'unavailable') ? 'unfinished' : 'handshake';
}
