/**
 * The log that the first members of a group start from: one committed membership entry per member. Because the
 * members stand in the log, whoever joins later learns them by replaying it.
 */
import { encodeConfChange } from './conf-change.ts';
import type { Entry, HardState, MemberId } from './types.ts';
import { NONE } from './types.ts';

export interface BootstrapMember {
	readonly id: MemberId;
	/** Who this member is (slot, generation, address), as in {@link ConfChange.context}. */
	readonly context: Uint8Array;
}

const BOOTSTRAP_TERM = 1;

/** Write this to an empty disk before the first start. Every first member must use the same list. */
export function bootstrapLog(members: readonly BootstrapMember[]): { hardState: HardState; entries: readonly Entry[] } {
	const sorted = [...members].sort((a, b) => a.id - b.id);
	const entries = sorted.map(
		({ id, context }, i): Entry => ({
			term: BOOTSTRAP_TERM,
			index: i + 1,
			type: 'conf-change',
			data: encodeConfChange({ transition: 'auto', changes: [{ type: 'add-voter', id }], context }),
		}),
	);
	return { hardState: { term: BOOTSTRAP_TERM, vote: NONE, commit: entries.length }, entries };
}
